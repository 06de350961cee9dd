// target_odds: the odds against a given token in a row of logits. kernels/odds.cu defines it; see
// simd_vector.h for how this file is compiled.
//
// One pass, against the target's own logit. Sums are short, and added up in f64: a likelihood is
// wanted to 1e-5 however many columns there are.
#ifndef REMASK_HOST_SIMD_ODDS_H_
#define REMASK_HOST_SIMD_ODDS_H_

#include "simd_logits.h"

namespace remask::host::REMASK_SIMD {

// Sum of exp(l - wanted) over [begin, end).
template <bool kGuided>
inline double odds_of(const RowLogits<kGuided>& logits, int begin, int end, float wanted) {
  constexpr int kTerms = 64;  // of a lane
  double total = 0;
  while (begin < end) {
    const int stop = end - begin > kTerms * kLanes ? begin + kTerms * kLanes : end;
    Floats sum = splat(0);
    for (; begin < stop; begin += kLanes) {
      const Floats logit = logits.at(begin, stop);
      // Equal ones may both be infinite.
      sum += logit == splat(wanted) ? splat(1) : exponential(logit - wanted);
    }
    begin = stop;
    total += static_cast<double>(sum_lanes(sum));
  }
  return total;
}

template <bool kGuided>
inline float odds_against(const RowLogits<kGuided>& logits, int target, int columns,
                          const SpecialTokens& tokens, int flags) {
  if (target == tokens.eos || target == tokens.eot) flags &= ~kDeferEos;
  const bool suppressed = (flags & kSuppressEos) != 0 && target == tokens.eos;
  const float wanted = suppressed ? kAbsent : logits.at(target, target + 1)[0];
  if (wanted == kAbsent) return -kAbsent;
  double odds = 0;
  const ColumnRuns cut = cut_runs(0, columns, tokens, flags);
  for (int i = 0; i < cut.count; ++i) {
    const ColumnRun& run = cut.runs[i];
    if (!run.softmax) continue;
    if (target >= run.begin && target < run.end) {
      odds += odds_of(logits, run.begin, target, wanted);
      odds += odds_of(logits, target + 1, run.end, wanted);
    } else {
      odds += odds_of(logits, run.begin, run.end, wanted);
    }
  }
  constexpr float kMost = __FLT_MAX__;
  return odds < static_cast<double>(kMost) ? static_cast<float>(odds) : kMost;
}

inline void target_odds(const RemaskLaunch& launch, float* keys, int* candidates,
                        const float* logits, const Row* rows, const Sequence* sequences,
                        int row_count, int columns, SpecialTokens tokens) {
  const std::int64_t work = std::int64_t{row_count} * columns * 2;
  parallel_for_uneven(launch.threads, row_count, work, [=](std::int64_t index) {
    const Row& row = rows[index];
    if (row.kind != kReconsider) return;
    const bool exists = row.target >= 0 && row.target < columns;
    candidates[index] = exists ? row.target : -1;
    keys[index] = -1.0f;
    if (!exists) return;
    const Sequence& sequence = sequences[row.sequence];
    with_logits(row, sequence, logits, index, columns, [&](const auto& row_logits) {
      keys[index] = odds_against(row_logits, row.target, columns, tokens, sequence.flags);
    });
  });
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_ODDS_H_
