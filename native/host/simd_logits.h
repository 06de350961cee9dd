// A row of logits as the selection kernels see it: runs of columns that follow the same rules, and
// the logits with those of the unconditional copy mixed in. kernels/include/row_logits.h defines
// it; see simd_vector.h for how this file is compiled.
//
// A row or a slice of it is cut into runs of columns that follow the same rules (may be chosen,
// counts in the softmax): the mask id, EOS and EoT are runs of their own, so the loops over the
// other 126,000 columns know nothing of them. -inf and NaN count as absent.
#ifndef REMASK_HOST_SIMD_LOGITS_H_
#define REMASK_HOST_SIMD_LOGITS_H_

#include "simd_vector.h"

namespace remask::host::REMASK_SIMD {

constexpr float kAbsent = -__builtin_inff();

struct ColumnRun {
  int begin, end;
  bool candidate;  // may be chosen
  bool softmax;    // counts in the softmax
};

// The runs of one slice, in order: at most two cuts per special id and one at the vocabulary's end.
struct ColumnRuns {
  static constexpr int kMost = 8;
  ColumnRun runs[kMost];
  int count = 0;
};

inline ColumnRuns cut_runs(int begin, int end, const SpecialTokens& tokens, int flags) {
  const bool suppress = (flags & kSuppressEos) != 0, defer = (flags & kDeferEos) != 0;
  ColumnRuns cut;
  while (begin < end) {
    // The next column at which the rules may change.
    int next = end;
    const int limits[] = {tokens.mask, tokens.mask + 1, tokens.eos,       tokens.eos + 1,
                          tokens.eot,  tokens.eot + 1,  tokens.vocabulary};
    for (const int limit : limits) {
      if (limit > begin && limit < next) next = limit;
    }
    const bool is_eos = begin == tokens.eos;
    const bool absent = suppress && is_eos;
    const bool deferred = defer && (is_eos || begin == tokens.eot);
    const bool candidate = !absent && begin < tokens.vocabulary && begin != tokens.mask;
    const bool softmax = !absent && !deferred;
    if (candidate || softmax) cut.runs[cut.count++] = {begin, next, candidate, softmax};
    begin = next;
  }
  return cut;
}

// One row's logits from column `first` on, those of its unconditional copy mixed in where there is
// guidance. No column before `first` may be asked for.
template <bool kGuided>
struct RowLogits {
  const float* conditional;
  const float* unconditional;
  float guidance;
  int first = 0;

  // kLanes logits from `column` on; those at and past `end`, and NaN, are absent.
  Floats at(int column, int end) const {
    Floats logit = load_some(conditional + (column - first), end - column, kAbsent);
    if constexpr (kGuided) {
      const Floats base = load_some(unconditional + (column - first), end - column, kAbsent);
      logit = base + guidance * (logit - base);
    }
    return logit == logit ? logit : splat(kAbsent);
  }

  float largest(int begin, int end) const {
    Floats largest = splat(kAbsent);
    for (int i = begin; i < end; i += kLanes) largest = maximum(at(i, end), largest);
    return max_lanes(largest);
  }

  // First column of [begin, end) whose logit is `logit` (not absent), or -1.
  int find(float logit, int begin, int end) const {
    for (int i = begin; i < end; i += kLanes) {
      const unsigned equal = lane_mask(at(i, end) == splat(logit));
      if (equal != 0) return i + __builtin_ctz(equal);
    }
    return -1;
  }

  // Adds exp(logit - max) of the columns below `max` to `sum`, and counts those equal to it.
  void add(int begin, int end, float max, Floats& sum, Ints& maximal) const {
    for (int i = begin; i < end; i += kLanes) {
      const Floats logit = at(i, end);
      const Ints equal = logit == splat(max);
      const Floats weight = exponential(logit - max);
      sum += equal ? splat(0) : weight;
      maximal -= equal;
    }
  }

  // Adds exp(logit - max) * (max - logit).
  void add_spread(int begin, int end, float max, Floats& sum) const {
    constexpr float kNoWeight = 128.0f;  // exp of its negative is 0
    for (int i = begin; i < end; i += kLanes) {
      const Floats logit = at(i, end);
      const Floats gap = logit == splat(max) ? splat(0) : max - logit;
      sum += exponential(-gap) * (gap < kNoWeight ? gap : splat(kNoWeight));
    }
  }

  // Keeps the two largest that a lane has seen.
  void add_top_two(int begin, int end, Floats& first, Floats& second) const {
    for (int i = begin; i < end; i += kLanes) {
      const Floats logit = at(i, end);
      second = maximum(second, logit < first ? logit : first);
      first = maximum(first, logit);
    }
  }
};

// Calls body(RowLogits) for the row.
template <typename Body>
inline void with_logits(const Row& row, const Sequence& sequence, const float* logits,
                        std::int64_t index, int columns, Body body) {
  const float* conditional = logits + index * columns;
  if (row.unconditional_row >= 0) {
    const float* copy = logits + std::int64_t{row.unconditional_row} * columns;
    body(RowLogits<true>{conditional, copy, sequence.guidance});
  } else {
    body(RowLogits<false>{conditional, nullptr, 0});
  }
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_LOGITS_H_
