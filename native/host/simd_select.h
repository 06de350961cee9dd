// select_slices: maximum, odds and candidate of one slice of one row's logits. kernels/select.cu
// defines it; see simd_vector.h for how this file is compiled.
//
// The slice is cut into runs of columns that follow the same rules (may be chosen, counts in the
// softmax): the mask id, EOS and EoT are runs of their own, so the loops over the other 126,000
// columns know nothing of them. Then three passes over a slice that stays in the cache: maxima,
// first column that holds the candidate's logit, sum of exponentials. The sum leaves out every
// column that equals the maximum and adds their number less one: exact, and no matter how many tie.
// -inf and NaN count as absent. Sampling, entropy and margin are passes of their own over the same
// cached slice, for the sequences that ask for them.
#ifndef REMASK_HOST_SIMD_SELECT_H_
#define REMASK_HOST_SIMD_SELECT_H_

#include "simd_sample.h"
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

// One row's logits, those of its unconditional copy mixed in where there is guidance.
template <bool kGuided>
struct RowLogits {
  const float* conditional;
  const float* unconditional;
  float guidance;

  // kLanes logits from `column` on; those at and past `end`, and NaN, are absent.
  Floats at(int column, int end) const {
    Floats logit = load_some(conditional + column, end - column, kAbsent);
    if constexpr (kGuided) {
      const Floats base = load_some(unconditional + column, end - column, kAbsent);
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

// What a sequence asks for beside its candidates' odds.
struct SelectRequest {
  NoisePlace noise;  // temperature 0: the largest logit
  bool spread, top_two;
};

template <bool kGuided>
inline void choose_with_noise(const RowLogits<kGuided>& logits, const ColumnRuns& cut,
                              const NoisePlace& noise, SelectPartial& partial) {
  NoisyChooser<RowLogits<kGuided>> chooser(logits, noise, partial.best);
  for (int i = 0; i < cut.count; ++i) {
    if (cut.runs[i].candidate) chooser.look_through(cut.runs[i].begin, cut.runs[i].end);
  }
  const NoisyChoice choice = chooser.result();
  partial.best = choice.value;
  partial.token = choice.token;
  partial.clean = choice.clean;
}

template <bool kGuided>
inline void find_top_two(const RowLogits<kGuided>& logits, const ColumnRuns& cut,
                         SelectPartial& partial) {
  Floats first = splat(kAbsent), second = splat(kAbsent);
  for (int i = 0; i < cut.count; ++i) {
    const ColumnRun& run = cut.runs[i];
    if (run.candidate && run.softmax) logits.add_top_two(run.begin, run.end, first, second);
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const float found[] = {first[lane], second[lane]};
    for (const float logit : found) {
      const float lower = logit < partial.first ? logit : partial.first;
      partial.second = partial.second < lower ? lower : partial.second;
      partial.first = partial.first < logit ? logit : partial.first;
    }
  }
}

template <bool kGuided>
inline SelectPartial select_slice(const RowLogits<kGuided>& logits, const ColumnRuns& cut,
                                  const SelectRequest& request) {
  SelectPartial partial = {kAbsent, -1.0f, kAbsent, -1, kAbsent, 0.0f, kAbsent, kAbsent};
  for (int i = 0; i < cut.count; ++i) {
    const ColumnRun& run = cut.runs[i];
    const float largest = logits.largest(run.begin, run.end);
    if (run.softmax && largest > partial.max) partial.max = largest;
    if (run.candidate && largest > partial.best) {
      partial.best = largest;
      partial.token = i;  // the run, until the column in it is known
    }
  }
  if (partial.token >= 0) {
    if (request.noise.temperature > 0) {
      choose_with_noise(logits, cut, request.noise, partial);
    } else {
      const ColumnRun& run = cut.runs[partial.token];
      partial.token = logits.find(partial.best, run.begin, run.end);
      partial.clean = partial.best;
    }
  }
  if (request.top_two) find_top_two(logits, cut, partial);
  if (partial.max == kAbsent) return partial;
  Floats sum = splat(0);
  Ints maximal = (Ints)splat(0);
  for (int i = 0; i < cut.count; ++i) {
    const ColumnRun& run = cut.runs[i];
    if (run.softmax) logits.add(run.begin, run.end, partial.max, sum, maximal);
  }
  int ties = -1;  // all the maximal columns but one
  for (int lane = 0; lane < kLanes; ++lane) ties += maximal[lane];
  partial.rest = sum_lanes(sum) + static_cast<float>(ties);
  if (request.spread) {
    Floats spread = splat(0);
    for (int i = 0; i < cut.count; ++i) {
      const ColumnRun& run = cut.runs[i];
      if (run.softmax) logits.add_spread(run.begin, run.end, partial.max, spread);
    }
    partial.spread = sum_lanes(spread);
  }
  return partial;
}

inline void select_slices(const RemaskLaunch& launch, SelectPartial* partials, const float* logits,
                          const SequenceState* sequences, const PlanEntry* plan,
                          const int* row_sequence, const int* canvas, int rows, int columns,
                          int slice_width, SpecialTokens tokens) {
  const int slices = static_cast<int>(launch.grid.x);
  require(slice_width > 0 && slice_width % kPhiloxWords == 0,
          "select_slices: slice_width is no multiple of 4");
  require(std::int64_t{slices} * slice_width >= columns,
          "select_slices: grid.x slices of slice_width do not cover the columns");
  const std::int64_t work = std::int64_t{rows} * columns * 4;
  parallel_for_uneven(launch.threads, std::int64_t{rows} * slices, work, [=](std::int64_t item) {
    const int row = static_cast<int>(item / slices);
    const std::int64_t begin = item % slices * slice_width;
    const SequenceState& sequence = sequences[row_sequence[row]];
    if (sequence.cursor == sequence.plan_end) return;
    const int index = row - sequence.row_begin;
    const PlanEntry& entry = plan[sequence.cursor];
    const int position = entry.block_begin + index;
    if (canvas[sequence.canvas_begin + position] != tokens.mask) return;
    const int end = static_cast<int>(begin + slice_width < columns ? begin + slice_width : columns);
    const ColumnRuns cut = cut_runs(static_cast<int>(begin), end, tokens, sequence.flags);
    const SelectRequest request = {
        {sequence.temperature, sequence.seed, static_cast<std::uint32_t>(entry.step),
         static_cast<std::uint32_t>(position)},
        sequence.rule == kEntropy,
        sequence.rule == kMargin};
    const float* conditional = logits + std::int64_t{row} * columns;
    if (sequence.unconditional_row_begin >= 0) {
      const std::int64_t copy = sequence.unconditional_row_begin + index;
      partials[item] = select_slice(
          RowLogits<true>{conditional, logits + copy * columns, sequence.guidance}, cut, request);
    } else {
      partials[item] = select_slice(RowLogits<false>{conditional, nullptr, 0}, cut, request);
    }
  });
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_SELECT_H_
