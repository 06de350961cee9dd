#include "loop_kernels.h"

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

float key_of(const SelectPartial& partial, const SequenceState& sequence, const PlanEntry& entry,
             int position, const SpecialTokens& tokens) {
  const bool deferred = (sequence.flags & kDeferEos) != 0 &&
                        (partial.token == tokens.eos || partial.token == tokens.eot);
  if (deferred) return kInfinity;
  float key;
  switch (sequence.rule) {
    case kRandomOrder:
      key = random_odds(sequence.seed, entry.step, position);
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

bool is_done(const SequenceState& sequence) { return sequence.cursor == sequence.plan_end; }

}  // namespace

void select_merge(const RemaskLaunch&, int* candidates, float* keys, const SelectPartial* partials,
                  const SequenceState* sequences, const PlanEntry* plan, const int* row_sequence,
                  const int* canvas, int rows, int slices, SpecialTokens tokens) {
  for (int row = 0; row < rows; ++row) {
    candidates[row] = -1;
    keys[row] = -1.0f;
    const SequenceState& sequence = sequences[row_sequence[row]];
    if (is_done(sequence)) continue;
    const PlanEntry& entry = plan[sequence.cursor];
    const int position = entry.block_begin + row - sequence.row_begin;
    if (canvas[sequence.canvas_begin + position] != tokens.mask) continue;
    SelectPartial partial = kEmpty;
    for (int slice = 0; slice < slices; ++slice) {
      partial = merge(partial, partials[static_cast<std::size_t>(row) * slices + slice]);
    }
    if (partial.token < 0) continue;
    candidates[row] = partial.token;
    keys[row] = key_of(partial, sequence, entry, position, tokens);
  }
}

void commit_topk(const RemaskLaunch& launch, int* canvas, int* trace_step, float* trace_confidence,
                 const float* keys, const int* candidates, const SequenceState* sequences,
                 const PlanEntry* plan) {
  // Grows to the longest block once per worker; (key, row) packed so that integers order both:
  // the bits of floats >= 0 order like the floats.
  thread_local std::vector<std::uint64_t> order;
  for (unsigned s = 0; s < launch.grid.x; ++s) {
    const SequenceState& sequence = sequences[s];
    if (is_done(sequence)) continue;
    const PlanEntry& entry = plan[sequence.cursor];
    order.clear();
    for (int i = 0; i < sequence.row_count; ++i) {
      const float key = keys[sequence.row_begin + i];
      if (!(key >= 0.0f)) continue;
      const float unsigned_zero = key + 0.0f;  // -0 has the sign bit
      std::uint32_t bits;
      std::memcpy(&bits, &unsigned_zero, sizeof(bits));
      order.push_back(std::uint64_t{bits} << 32 | static_cast<std::uint32_t>(i));
    }
    const std::size_t quota = entry.quota < 0 ? 0 : static_cast<std::size_t>(entry.quota);
    if (quota < order.size()) {
      std::nth_element(order.begin(), order.begin() + quota, order.end());
      order.resize(quota);
    }
    for (const std::uint64_t packed : order) {
      const int i = static_cast<int>(packed & 0xffffffffu);
      const int row = sequence.row_begin + i;
      const int position = entry.block_begin + i;
      const int at = sequence.canvas_begin + position;
      canvas[at] = candidates[row];
      trace_step[at] = entry.step;
      trace_confidence[at] = 1.0f / (1.0f + keys[row]);
      if (sequence.unconditional_begin >= 0) {
        canvas[sequence.unconditional_begin + position] = candidates[row];
      }
    }
  }
}

void advance(const RemaskLaunch& launch, SequenceState* sequences, int* row_index,
             const PlanEntry* plan) {
  for (unsigned s = 0; s < launch.grid.x; ++s) {
    SequenceState& sequence = sequences[s];
    if (is_done(sequence)) continue;
    ++sequence.cursor;
    if (is_done(sequence)) continue;
    const int block_begin = plan[sequence.cursor].block_begin;
    for (int i = 0; i < sequence.row_count; ++i) {
      row_index[sequence.row_begin + i] = sequence.canvas_begin + block_begin + i;
      if (sequence.unconditional_row_begin >= 0) {
        row_index[sequence.unconditional_row_begin + i] =
            sequence.unconditional_begin + block_begin + i;
      }
    }
  }
}

template <typename X>
void gather_rows(const RemaskLaunch&, X* out, const X* in, const int* index, int rows, int width) {
  for (int row = 0; row < rows; ++row) {
    std::memcpy(out + static_cast<std::size_t>(row) * width,
                in + static_cast<std::size_t>(index[row]) * width, sizeof(X) * width);
  }
}
template void gather_rows(const RemaskLaunch&, bf16*, const bf16*, const int*, int, int);
template void gather_rows(const RemaskLaunch&, float*, const float*, const int*, int, int);

}  // namespace remask::host
