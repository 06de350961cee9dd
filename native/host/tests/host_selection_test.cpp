// target_odds, restrict_tokens and constrain of every instruction set against plain double
// arithmetic, and bit for bit against themselves with other numbers of threads.
#include <algorithm>

#include "host_testing.h"
#include "selection.h"

using namespace remask;
using namespace remask::host;
using namespace remask::host::testing;

namespace {

constexpr float kInfinity = HUGE_VALF;
constexpr int kSizes[] = {1, 7, 33, 500, 2048, 8191, 126464};

struct Rows {
  int columns;
  SpecialTokens tokens;
  std::vector<Sequence> sequences;
  std::vector<Row> table;
  std::vector<float> logits;  // rows, then their copies

  explicit Rows(int columns_) : columns(columns_), tokens{columns_, columns_ - 1, 1, 2} {
    if (columns > 4) tokens.vocabulary = columns - 1;
  }

  // A row of a sequence of its own.
  Sequence& add(int kind, int target) {
    Sequence sequence = {};
    sequence.top_p = 1;
    sequence.guidance = 2.5f;
    sequences.push_back(sequence);
    const int slot = static_cast<int>(sequences.size()) - 1;
    table.push_back({slot, 5, 1, kind, -1, target, 0, 0});
    return sequences.back();
  }

  // Eighths: guidance mixes without rounding, and there are ties.
  void draw(bool guided, float deviation) {
    const std::size_t count = table.size() * columns * (guided ? 2 : 1);
    logits = random_values<float>(count, deviation);
    for (float& x : logits) x = std::rint(x * 8) / 8;
    for (std::size_t i = 3; i < count; i += 211) logits[i] = i % 2 ? NAN : -kInfinity;
    for (std::size_t row = 0; guided && row < table.size(); ++row) {
      table[row].unconditional_row = static_cast<int>(table.size() + row);
    }
  }

  int rows() const { return static_cast<int>(table.size()); }

  double at(int row, int id) const {
    const Sequence& sequence = sequences[table[row].sequence];
    double x = logits[static_cast<std::size_t>(row) * columns + id];
    if (table[row].unconditional_row >= 0) {
      const double base =
          logits[static_cast<std::size_t>(table[row].unconditional_row) * columns + id];
      x = base + static_cast<double>(sequence.guidance) * (x - base);
    }
    const bool suppressed = (sequence.flags & kSuppressEos) != 0 && id == tokens.eos;
    return std::isnan(x) || suppressed ? -HUGE_VAL : x;
  }

  bool deferred(int row, int id) const {
    const int target = table[row].target;
    if (target == tokens.eos || target == tokens.eot) return false;
    return (sequences[table[row].sequence].flags & kDeferEos) != 0 &&
           (id == tokens.eos || id == tokens.eot);
  }
};

void odds_match_reference(const KernelSet& set) {
  for (const int columns : kSizes) {
    for (const bool guided : {false, true}) {
      Rows s(columns);
      for (int row = 0; row < (columns > 10000 ? 4 : 12); ++row) {
        const int target = static_cast<int>(random_engine()() % columns);
        s.add(row == 3 ? kChoose : kReconsider, row == 2 ? columns : target).flags = row % 4;
      }
      s.draw(guided, 4.0f);
      Poisoned<float> keys(s.table.size());
      Poisoned<int> candidates(s.table.size());
      const auto run = [&](int threads, float* key, int* candidate) {
        set.target_odds(launch(threads, s.rows()), key, candidate, s.logits.data(), s.table.data(),
                        s.sequences.data(), s.rows(), columns, s.tokens);
      };
      run(2, keys.data(), candidates.data());
      Comparison close(std::string(set.name) + " odds, columns " + std::to_string(columns));
      for (int row = 0; row < s.rows(); ++row) {
        const int target = s.table[row].target;
        if (s.table[row].kind != kReconsider) {
          EXPECT_THAT(std::isnan(keys[row]) && candidates[row] == -1, "left alone");
          continue;
        }
        if (target == columns) {
          EXPECT_THAT(keys[row] == -1 && candidates[row] == -1, "no column");
          continue;
        }
        EXPECT_THAT(candidates[row] == target, "candidate");
        const double wanted = s.at(row, target);
        double sum = 0;
        for (int id = 0; id < columns; ++id) {
          if (id != target && !s.deferred(row, id)) sum += std::exp(s.at(row, id) - wanted);
        }
        if (wanted == -HUGE_VAL) sum = HUGE_VAL;
        // Reach of an argument, exp, 64 terms a lane and the lanes.
        close.add(row, keys[row], sum, sum * (64 + 4 + 64 + 6) * kF32Roundoff + 1e-30);
      }
      for (const int threads : {1, 3}) {
        Poisoned<float> key(s.table.size());
        Poisoned<int> candidate(s.table.size());
        run(threads, key.data(), candidate.data());
        EXPECT_THAT(key.copy() == keys.copy(), "keys depend on the number of threads");
      }
    }
  }
}

void check_floor(const KernelSet& set, const Rows& s, int row, float floor) {
  const Sequence& sequence = s.sequences[s.table[row].sequence];
  std::vector<double> sorted;
  for (int id = 0; id < s.tokens.vocabulary; ++id) {
    if (id != s.tokens.mask && s.at(row, id) > -HUGE_VAL) sorted.push_back(s.at(row, id));
  }
  std::sort(sorted.rbegin(), sorted.rend());
  const std::string what = std::string(set.name) + " floor of row " + std::to_string(row) +
                           ", columns " + std::to_string(s.columns) + ": " + std::to_string(floor);
  const std::size_t k = static_cast<std::size_t>(sequence.top_k);
  const double least = k > 0 && k <= sorted.size() ? sorted[k - 1] : -HUGE_VAL;
  if (!(sequence.top_p < 1) || sorted.empty()) {
    EXPECT_THAT(static_cast<double>(floor) == least, what);
    return;
  }
  double all = 0, above = 0, with = 0;
  for (const double x : sorted) {
    const double weight = std::exp((x - sorted[0]) / static_cast<double>(sequence.temperature));
    if (x >= least) all += weight;
    if (x > static_cast<double>(floor)) above += weight;
    if (x >= static_cast<double>(floor)) with += weight;
  }
  // A weight's exp and its argument, and the 2^-40 cut off.
  const double error = all * 100 * kF32Roundoff + s.columns * 0x1p-40;
  const double wanted = static_cast<double>(sequence.top_p) * all;
  const bool largest = static_cast<double>(floor) == sorted[0];
  EXPECT_THAT(static_cast<double>(floor) >= least, what);
  EXPECT_THAT(largest || above <= wanted + error, what + ": too low");
  EXPECT_THAT(with >= wanted - error, what + ": too high");
}

void floors_match_reference(const KernelSet& set) {
  struct Setting {
    int top_k;
    float top_p, temperature;
  };
  const Setting settings[] = {{1, 1, 1},    {50, 1, 1},         {1500, 1, 0.5f},  {1 << 30, 1, 1},
                              {0, 0.9f, 1}, {0, 0.999f, 3},     {30, 0.7f, 0.6f}, {0, 0.5f, 1e-3f},
                              {0, 0, 1},    {4000, 0.95f, 2.5f}};
  for (const int columns : kSizes) {
    for (const bool guided : {false, true}) {
      if (guided && columns > 10000) continue;
      for (const float deviation : {0.5f, 4.0f}) {
        Rows s(columns);
        for (const Setting& setting : settings) {
          Sequence& sequence = s.add(kChoose, -1);
          sequence.top_k = setting.top_k;
          sequence.top_p = setting.top_p;
          sequence.temperature = setting.temperature;
          sequence.flags = setting.top_k == 50 ? kSuppressEos : 0;
        }
        s.add(kReconsider, 0).temperature = 1;
        s.sequences.back().top_k = 1;
        s.add(kChoose, -1).top_k = 1;  // temperature 0
        s.draw(guided, deviation);
        Poisoned<float> floors(s.table.size());
        const auto run = [&](int threads, float* out) {
          set.restrict_tokens(launch(threads, s.rows()), out, s.logits.data(), s.table.data(),
                              s.sequences.data(), s.rows(), columns, s.tokens);
        };
        run(2, floors.data());
        for (int row = 0; row < s.rows() - 2; ++row) check_floor(set, s, row, floors[row]);
        for (int row = s.rows() - 2; row < s.rows(); ++row) {
          EXPECT_THAT(floors[row] == -kInfinity, "nothing is restricted");
        }
        for (const int threads : {1, 3}) {
          Poisoned<float> again(s.table.size());
          run(threads, again.data());
          EXPECT_THAT(again.copy() == floors.copy(), "floors depend on the number of threads");
        }
      }
    }
  }
}

// Several sets of ids, in and out of order, and choices; with one and with three threads.
void constraints_are_applied() {
  const float no = -kInfinity;
  for (const int threads : {1, 3}) {
    for (const int columns : {8, 100000}) {
      Rows s(columns);
      s.tokens.mask = 6;
      for (const int mask : {0, 1}) {
        s.table.push_back({0, 2 + mask, 0, kChoose, -1, -1, mask, 0});
      }
      Sequence sequence = {};
      sequence.canvas_begin = 1;
      sequence.mask_count = 3;
      sequence.constraint_count = 3;
      s.sequences.push_back(sequence);
      const std::vector<int> canvas = {99, 0, 0, 6, 6, 4}, positions = {99, 2, 3, 4, 0, 0};
      // Choices, of which the last disagrees with the 4 that is committed; a ban; an unsorted set.
      const std::vector<int> data = {1, 2, 4, 3, 5, -1, 7, 7, 7, /**/ 5, -1, 9999999, /**/ 5, 3, 2};
      const std::vector<Constraint> entries = {
          {-1, kOneOf, 0, 3}, {-1, kBan, 9, 3}, {2, kAllowOnly, 12, 3}};
      s.logits.assign(static_cast<std::size_t>(2) * columns, 0.0f);
      constrain(launch(threads, 2), s.logits.data(), s.table.data(), s.sequences.data(),
                entries.data(), data.data(), canvas.data(), positions.data(), 2, columns, 6);
      for (int id = 0; id < columns; ++id) {
        EXPECT_THAT(s.logits[id] == (id == 3 ? 0 : no), "1 or 3, of 5, 3, 2");
        EXPECT_THAT(s.logits[columns + id] == (id == 2 ? 0 : no), "2 or 5, but 5 is banned");
      }
    }
  }
}

}  // namespace

int main() {
  for (const KernelSet* set : kernel_sets()) {
    odds_match_reference(*set);
    floors_match_reference(*set);
  }
  constraints_are_applied();
  return finish();
}
