// The odds against given tokens, and the floors of top-k and top-p, against double: any vocabulary,
// absent and tied logits, guidance, suppressed and deferred ends, targets that are no column.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "rows_case.h"

using namespace remask;
using namespace remask::proof;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr const char* kOdds = "target_odds";
constexpr const char* kRestrict = "restrict_tokens";
constexpr int kThreads = 512;

class OddsCase : RowsCase {
 public:
  explicit OddsCase(Case& it) : RowsCase(it) {
    draw_rows();
    for (Row& row : rows_) {
      if (it.chance(0.8)) row.kind = kReconsider;
      row.target = it.uniform(0, columns - 1);
      if (it.chance(0.2)) row.target = it.any_of({tokens_.eos, tokens_.eot, tokens_.mask});
      if (it.chance(0.05)) row.target = it.any_of({-1, columns, columns + 5});
    }
    draw_logits();
    it.shape("odds: rows=%d columns=%d vocabulary=%d mask=%d eos=%d eot=%d skewed=%d", rows,
             columns, tokens_.vocabulary, tokens_.mask, tokens_.eos, tokens_.eot, skewed_);
  }

  void run() {
    keys_ = it_.output<float>(std::size_t(rows));
    candidates_ = it_.output<int>(std::size_t(rows));
    it_.launch(kOdds, rows, kThreads, 0, keys_.data(), candidates_.data(), logits(),
               static_cast<const Row*>(device_rows_.data()),
               static_cast<const Sequence*>(device_sequences_.data()), rows, columns, tokens_);
  }

  void check() {
    for (int index = 0; index < rows; index++) {
      const Row& row = rows_[std::size_t(index)];
      const float key = keys_[std::size_t(index)];
      const int candidate = candidates_[std::size_t(index)];
      if (row.kind != kReconsider) {
        it_.expect(std::isnan(key) && candidate == -1, kOdds, "a row of another kind was written");
      } else if (row.target < 0 || row.target >= columns) {
        it_.expect(key == -1 && candidate == -1, kOdds, "a target that is no column has odds");
      } else {
        it_.expect(candidate == row.target, kOdds, "the candidate is not the target");
        check_key(index, row.target, key);
      }
    }
  }

 private:
  void check_key(int index, int target, float key) {
    const Logits found = logits_of(index);
    const double wanted = found.logits[std::size_t(target)];
    if (wanted == -kInfinity) {
      it_.expect(key == HUGE_VALF, kOdds, "the key of an absent target is not infinite");
      return;
    }
    double sum = 0, highest = -kInfinity;
    for (int j = 0; j < columns; j++) {
      const double x = found.logits[std::size_t(j)];
      if (j == target || x == -kInfinity) continue;
      if (!is_end(target) && deferred(sequence_of(index), j)) continue;
      sum += x == wanted ? 1 : std::exp(x - wanted);
      highest = std::max(highest, x - wanted);
    }
    // Every exp is off by 2 ulp and by its argument's rounding, half an ulp of at most 128 for what
    // is above the least normal number; a thread adds up to 10 terms, then there are the trees.
    const double reach = std::min(128.0, std::fabs(highest) + 30);
    const double relative = (8 + reach + 10 + 16 + 8) * kF32Roundoff + 2 * found.error;
    if (sum * (1 - relative) > double(FLT_MAX)) {
      it_.expect(key == FLT_MAX, kOdds, "a key beyond FLT_MAX is not FLT_MAX");
      return;
    }
    const double gone = columns * 0x1p-126;
    if (!(std::fabs(double(key) - sum) <= relative * sum + gone) &&
        !(key == FLT_MAX && sum * (1 + relative) > double(FLT_MAX))) {
      it_.wrong(kOdds, "row %d: key %.9g, expected %.9g within %.3g", index, double(key), sum,
                relative * sum + gone);
    }
  }

  Array<float> keys_{0};
  Array<int> candidates_{0};
};

class RestrictCase : RowsCase {
 public:
  explicit RestrictCase(Case& it) : RowsCase(it) {
    draw_rows();
    for (Sequence& sequence : sequences_) {
      const int mode = it.uniform(0, 5);
      if (mode != 0 && mode != 1) sequence.top_k = it.any_of({1, 2, 50, columns, columns + 9});
      if (mode == 2) sequence.top_k = it.uniform(1, columns);
      if (mode != 0 && mode != 2) {
        sequence.top_p = it.any_of({0.0f, 1e-6f, 0.5f, 0.9f, 0.9999f, float(it.uniform_real())});
      }
    }
    draw_logits();
    it.shape("restrict: rows=%d columns=%d vocabulary=%d mask=%d eos=%d skewed=%d", rows, columns,
             tokens_.vocabulary, tokens_.mask, tokens_.eos, skewed_);
  }

  void run() {
    floors_ = it_.output<float>(std::size_t(rows));
    it_.launch(kRestrict, rows, kThreads, 0, floors_.data(), logits(),
               static_cast<const Row*>(device_rows_.data()),
               static_cast<const Sequence*>(device_sequences_.data()), rows, columns, tokens_);
  }

  void check() {
    for (int index = 0; index < rows; index++) {
      const Sequence& sequence = sequence_of(index);
      const float floor = floors_[std::size_t(index)];
      const bool restricted = sequence.top_k > 0 || sequence.top_p < 1;
      if (rows_[std::size_t(index)].kind != kChoose || sequence.temperature == 0 || !restricted) {
        it_.expect(floor == -HUGE_VALF, kRestrict, "a row that nothing restricts has a floor");
      } else {
        check_floor(index, sequence, floor);
      }
    }
  }

 private:
  // Guided logits in f32, as all of the kernels mix them: a floor is one of them.
  std::vector<float> choosable_logits(int index) const {
    const Row& row = rows_[std::size_t(index)];
    const Sequence& sequence = sequence_of(index);
    const float* conditional = logits() + std::size_t(index) * std::size_t(columns);
    std::vector<float> found;
    for (int j = 0; j < columns; j++) {
      float x = conditional[j];
      if (row.unconditional_row >= 0) {
        const float base =
            logits()[std::size_t(row.unconditional_row) * std::size_t(columns) + std::size_t(j)];
        x = std::fmaf(sequence.guidance, x - base, base);
      }
      const bool suppressed = (sequence.flags & kSuppressEos) && j == tokens_.eos;
      if (choosable(j) && !suppressed && x > -HUGE_VALF) found.push_back(x);
    }
    std::sort(found.begin(), found.end(), [](float a, float b) { return a > b; });
    return found;
  }

  void check_floor(int index, const Sequence& sequence, float floor) {
    std::vector<float> sorted = choosable_logits(index);
    if (sorted.empty()) {
      it_.expect(floor == -HUGE_VALF, kRestrict, "a row without logits has a floor");
      return;
    }
    const std::size_t k = std::size_t(sequence.top_k);
    float least = -HUGE_VALF;  // that top-k leaves
    if (k > 0 && k <= sorted.size()) least = sorted[k - 1];
    while (sorted.back() < least) sorted.pop_back();
    if (!(sequence.top_p < 1)) {
      if (floor != least)
        it_.wrong(kRestrict, "row %d: top %d ends at %.9g, not %.9g", index, sequence.top_k,
                  double(least), double(floor));
      return;
    }
    const auto weight = [&](float x) {
      const double gap = x == sorted[0] ? 0 : double(x) - double(sorted[0]);
      return std::exp(gap / double(sequence.temperature));
    };
    double all = 0, above = 0, with = 0;
    bool exists = false;
    for (const float x : sorted) {
      all += weight(x);
      if (x > floor) above += weight(x);
      if (x >= floor) with += weight(x);
      exists = exists || x == floor;
    }
    // A weight's exp and its argument's rounding, and 2^-40 cut off.
    const double reach =
        std::min(60.0, double(sorted[0] - sorted.back()) / double(sequence.temperature));
    const double error = all * (8 + 3 * reach) * kF32Roundoff + double(columns) * 0x1p-40;
    const double wanted = double(sequence.top_p) * all;
    const bool first = floor == sorted[0];
    if (!exists || (!first && above > wanted + error) || with < wanted - error) {
      it_.wrong(kRestrict, "row %d: floor %.9g of top %d, %g: %.9g above, %.9g with it of %.9g",
                index, double(floor), sequence.top_k, double(sequence.top_p), above, with, all);
    }
  }

  Array<float> floors_{0};
};

}  // namespace

int main(int argc, char** argv) {
  Proof proof(argc, argv, 200);
  return proof.run([](Case& it) {
    if (it.wants(kOdds)) {
      OddsCase odds(it);
      odds.run();
      odds.check();
    }
    if (it.wants(kRestrict)) {
      RestrictCase restricted(it);
      restricted.run();
      restricted.check();
    }
  });
}
