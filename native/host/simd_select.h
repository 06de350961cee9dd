// select_slices: maximum, odds and candidate of one slice of one row's logits. kernels/select.cu
// defines it; see simd_vector.h for how this file is compiled.
//
// Three passes over the runs of a slice that stays in the cache: maxima, first column that holds
// the candidate's logit, sum of exponentials. The sum leaves out every column that equals the
// maximum and adds their number less one: exact, and no matter how many tie. Sampling, entropy and
// margin are passes of their own over the same cached slice, for the sequences that ask for them.
#ifndef REMASK_HOST_SIMD_SELECT_H_
#define REMASK_HOST_SIMD_SELECT_H_

#include "simd_logits.h"
#include "simd_sample.h"

namespace remask::host::REMASK_SIMD {

// What a sequence asks for beside its candidates' odds.
struct SelectRequest {
  NoisePlace noise;  // temperature 0: the largest logit
  float floor;       // with noise, smaller logits may not be chosen
  bool spread, top_two;
};

template <bool kGuided>
inline void choose_with_noise(const RowLogits<kGuided>& logits, const ColumnRuns& cut,
                              const SelectRequest& request, SelectPartial& partial) {
  NoisyChooser<RowLogits<kGuided>> chooser(logits, request.noise, partial.best, request.floor);
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
      choose_with_noise(logits, cut, request, partial);
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

inline SelectRequest request_of(const Row& row, const Sequence& sequence, float floor) {
  return {{sequence.temperature, sequence.seed, static_cast<std::uint32_t>(row.step),
           static_cast<std::uint32_t>(row.position)},
          floor,
          sequence.rule == kEntropy,
          sequence.rule == kMargin};
}

inline void select_slices(const RemaskLaunch& launch, SelectPartial* partials, const float* logits,
                          const Row* rows, const Sequence* sequences, const float* floors,
                          int row_count, int columns, int slice_width, SpecialTokens tokens) {
  const int slices = static_cast<int>(launch.grid.x);
  require(slice_width > 0 && slice_width % kPhiloxWords == 0,
          "select_slices: slice_width is no multiple of 4");
  require(std::int64_t{slices} * slice_width >= columns,
          "select_slices: grid.x slices of slice_width do not cover the columns");
  const std::int64_t work = std::int64_t{row_count} * columns * 4;
  const std::int64_t items = std::int64_t{row_count} * slices;
  parallel_for_uneven(launch.threads, items, work, [=](std::int64_t item) {
    const std::int64_t index = item / slices;
    const Row& row = rows[index];
    if (row.kind != kChoose) return;
    const Sequence& sequence = sequences[row.sequence];
    const std::int64_t begin = item % slices * slice_width;
    const int end = static_cast<int>(begin + slice_width < columns ? begin + slice_width : columns);
    const ColumnRuns cut = cut_runs(static_cast<int>(begin), end, tokens, sequence.flags);
    const SelectRequest request =
        request_of(row, sequence, floors == nullptr ? kAbsent : floors[index]);
    with_logits(row, sequence, logits, index, columns, [&](const auto& row_logits) {
      partials[item] = select_slice(row_logits, cut, request);
    });
  });
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_SELECT_H_
