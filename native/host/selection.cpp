#include "selection.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "parallel.h"
#include "philox.h"

namespace remask::host {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr SelectPartial kEmpty = {-kInfinity, -1.0f, -kInfinity, -1,
                                  -kInfinity, 0.0f,  -kInfinity, -kInfinity};

// In slice order. An empty partial stands for rest + 1 = 0 columns and adds nothing.
SelectPartial merge(const SelectPartial& a, const SelectPartial& b) {
  SelectPartial merged = a.best >= b.best ? a : b;  // on ties the earlier slice has the lower id
  const SelectPartial& upper = a.max >= b.max ? a : b;
  const SelectPartial& lower = a.max >= b.max ? b : a;
  const float gap = upper.max == lower.max ? 0.0f : upper.max - lower.max;  // both may be infinite
  const float scale = std::exp(-gap);
  merged.max = upper.max;
  merged.rest = upper.rest + (lower.rest + 1.0f) * scale;
  merged.spread = upper.spread;
  if (scale > 0) merged.spread += (lower.spread + (lower.rest + 1.0f) * gap) * scale;
  merged.first = std::max(a.first, b.first);
  merged.second = std::max({std::min(a.first, b.first), a.second, b.second});
  return merged;
}

// The keys of the rules, RemaskingRule in diffusion_state.h, as kernels/select.cu computes them.

float odds_against_candidate(const SelectPartial& row) {
  if (row.clean == row.max) return row.rest;
  const float share = std::exp(row.clean - row.max);
  return (1.0f + row.rest - share) / share;
}

float excess_perplexity(const SelectPartial& row) {
  return std::expm1(std::log1p(row.rest) + row.spread / (1.0f + row.rest));
}

float odds_against_lead(const SelectPartial& row) {
  if (row.first == row.second) return kInfinity;
  const bool leads_all = row.first == row.max;
  const float share = leads_all ? 1.0f : std::exp(row.first - row.max);
  const float others = leads_all ? row.rest : 1.0f + row.rest - share;
  return (others + std::exp(row.second - row.max)) / (share * -std::expm1(row.second - row.first));
}

// Odds that a uniform draw of (seed, step, position) implies. In f64, because 24 random bits and
// the half that keeps u inside (0, 1) need 25.
float random_odds(unsigned long long seed, int step, int position) {
  constexpr unsigned kRemaskingStream = 1;  // the counter's last word: one per use of the generator
  const unsigned word = philox4x32_10_word0(
      static_cast<unsigned>(step), static_cast<unsigned>(position), 0, kRemaskingStream, seed);
  const double u = ((word >> 8) + 0.5) * 0x1p-24;
  return static_cast<float>((1.0 - u) / u);
}

float key_of(const SelectPartial& partial, const Sequence& sequence, const Row& row,
             const SpecialTokens& tokens) {
  const bool deferred = (sequence.flags & kDeferEos) != 0 &&
                        (partial.token == tokens.eos || partial.token == tokens.eot);
  if (deferred) return kInfinity;
  float key;
  switch (sequence.rule) {
    case kRandomOrder:
      key = random_odds(sequence.seed, row.step, row.position);
      break;
    case kEntropy:
      key = excess_perplexity(partial);
      break;
    case kMargin:
      key = odds_against_lead(partial);
      break;
    default:
      key = odds_against_candidate(partial);
  }
  return std::fmin(key, std::numeric_limits<float>::max());
}

// What a row's constraints are held against.
struct Request {
  const int* canvas;          // from position 0 on
  const int* mask_positions;  // of its masks
  int mask_count;
  int own;  // the row's mask
  int mask;
};

// Whether every committed mask but the row's own holds the choice's id.
bool is_alive(const int* choice, const Request& request) {
  for (int m = 0; m < request.mask_count; ++m) {
    if (m == request.own || choice[m] < 0) continue;
    const int token = request.canvas[request.mask_positions[m]];
    if (token != request.mask && token != choice[m]) return false;
  }
  return true;
}

// -inf for the columns that the entry does not name.
void keep_only(float* row, int columns, const Constraint& entry, const int* data,
               const Request& request) {
  // Allowed ids, ascending; grows to the largest set once per worker.
  thread_local std::vector<int> ids;
  ids.clear();
  if (entry.kind == kAllowOnly) {
    ids.assign(data, data + entry.count);
  } else {
    for (int i = 0; i < entry.count; ++i) {
      const int* choice = data + static_cast<std::size_t>(i) * request.mask_count;
      if (!is_alive(choice, request)) continue;
      if (choice[request.own] < 0) return;
      ids.push_back(choice[request.own]);
    }
  }
  if (!std::is_sorted(ids.begin(), ids.end())) std::sort(ids.begin(), ids.end());
  int kept = 0;  // columns before it are done
  for (const int id : ids) {
    if (id < kept || id >= columns) continue;
    std::fill(row + kept, row + id, -kInfinity);
    kept = id + 1;
  }
  std::fill(row + kept, row + columns, -kInfinity);
}

void ban_or_bias(float* conditional, float* unconditional, int columns, const Constraint& entry,
                 const int* data) {
  for (int i = 0; i < entry.count; ++i) {
    const int id = data[i];
    if (id < 0 || id >= columns) continue;
    if (entry.kind == kBan) {
      conditional[id] = -kInfinity;
      continue;
    }
    float bias;
    std::memcpy(&bias, &data[entry.count + i], sizeof(bias));
    conditional[id] += bias;
    if (unconditional != nullptr) unconditional[id] += bias;
  }
}

}  // namespace

void select_merge(const RemaskLaunch&, int* candidates, float* keys, const SelectPartial* partials,
                  const Row* rows, const Sequence* sequences, int row_count, int slices,
                  SpecialTokens tokens) {
  for (int index = 0; index < row_count; ++index) {
    candidates[index] = -1;
    keys[index] = -1.0f;
    const Row& row = rows[index];
    if (row.kind != kChoose) continue;
    SelectPartial partial = kEmpty;
    for (int slice = 0; slice < slices; ++slice) {
      partial = merge(partial, partials[static_cast<std::size_t>(index) * slices + slice]);
    }
    if (partial.token < 0) continue;
    candidates[index] = partial.token;
    keys[index] = key_of(partial, sequences[row.sequence], row, tokens);
  }
}

void constrain(const RemaskLaunch& launch, float* logits, const Row* rows,
               const Sequence* sequences, const Constraint* constraints, const int* data,
               const int* canvas, const int* mask_positions, int row_count, int columns, int mask) {
  const auto apply = [=](int index) {
    const Row& row = rows[index];
    if (row.kind == kNothing) return;
    const Sequence& sequence = sequences[row.sequence];
    float* conditional = logits + static_cast<std::size_t>(index) * columns;
    float* unconditional = row.unconditional_row < 0
                               ? nullptr
                               : logits + static_cast<std::size_t>(row.unconditional_row) * columns;
    const Request request = {canvas + sequence.canvas_begin, mask_positions + sequence.canvas_begin,
                             sequence.mask_count, row.mask_index, mask};
    for (int i = 0; i < sequence.constraint_count; ++i) {
      const Constraint& entry = constraints[sequence.constraint_begin + i];
      if (entry.position >= 0 && entry.position != row.position) continue;
      const int* ids = data + entry.begin;
      if (entry.kind == kBan || entry.kind == kBias) {
        ban_or_bias(conditional, unconditional, columns, entry, ids);
      } else {
        keep_only(conditional, columns, entry, ids, request);
      }
    }
  };
  const std::int64_t work = std::int64_t{row_count} * columns / 4;  // where few ids are allowed
  const int threads = region_threads(launch.threads, row_count, work);
  if (threads == 1) {
    for (int index = 0; index < row_count; ++index) apply(index);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    name_compute_thread(omp_get_thread_num());
#pragma omp for schedule(dynamic, 1)
    for (int index = 0; index < row_count; ++index) apply(index);
  }
}

}  // namespace remask::host
