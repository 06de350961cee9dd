// head_select: the product with the LM head and the selection, one slice of the vocabulary at a
// time. See simd_vector.h for how this file is compiled.
//
// A thread computes a slice's logits of a group of rows into a buffer that its cache holds, and
// selects from there: no logit ever comes to memory. Both halves are the very code of the separate
// kernels, gemm_packed and select_slices, and give the same bits.
#ifndef REMASK_HOST_SIMD_HEAD_H_
#define REMASK_HOST_SIMD_HEAD_H_

#include "simd_packed.h"
#include "simd_select.h"

namespace remask::host::REMASK_SIMD {

// Selects from columns [begin, end) of the places from `first` to `last`, whose logits lie at
// `logits`, rows work.logits_stride apart.
template <typename X>
inline void select_places(const HeadWork<X>& work, int first, int last, int slice, int begin,
                          int end, const float* logits) {
  for (int place = first; place < last; ++place, logits += work.logits_stride) {
    const int index = work.row_of[place];
    if (index == kHeadCopy) continue;
    const Row& row = work.rows[index];
    const Sequence& sequence = work.sequences[row.sequence];
    const ColumnRuns cut = cut_runs(begin, end, work.tokens, sequence.flags);
    const SelectRequest request = request_of(row, sequence, kAbsent);
    SelectPartial& partial = work.partials[std::int64_t{index} * work.slices + slice];
    if (row.unconditional_row >= 0) {
      const float* copy = logits + work.logits_stride;
      const RowLogits<true> guided = {logits, copy, sequence.guidance, begin};
      partial = select_slice(guided, cut, request);
    } else {
      const RowLogits<false> plain = {logits, nullptr, 0, begin};
      partial = select_slice(plain, cut, request);
    }
  }
}

// Logits that are added up at a time: 128 KB, which leaves the rows' factors room in the second
// cache. Only many rows take a slice in several parts.
constexpr int kHeadLogits = 32 * 1024;

// One slice of one group.
template <typename X>
inline void head_item(const HeadWork<X>& work, std::int64_t item, int thread) {
  const int slice = static_cast<int>(item / work.groups);
  const int group = static_cast<int>(item % work.groups);
  const int first = work.group_begins[group], last = work.group_begins[group + 1];
  const int begin = slice * work.slice_width;
  const int end = work.columns - begin < work.slice_width ? work.columns : begin + work.slice_width;
  float* logits = work.logits + thread * work.logits_floats;
  int part = kHeadLogits / (last - first) / kStrip * kStrip;
  if (part < kPackedStrips * kStrip) part = kPackedStrips * kStrip;
  for (int column = begin; column < end; column += part) {
    packed_columns(logits + (column - begin), work.logits_stride,
                   work.prepared + group * work.prepared_floats, last - first, work.w, work.columns,
                   work.k, column, end - column < part ? end - column : part);
  }
  select_places(work, first, last, slice, begin, end, logits);
}

template <typename X>
inline void head_prepare(const HeadWork<X>& work, std::int64_t group) {
  const int first = work.group_begins[group];
  prepare_rows(work.prepared + group * work.prepared_floats, work.a + std::int64_t{first} * work.k,
               work.group_begins[group + 1] - first, work.k);
}

template <typename X>
void head_select(int threads, const HeadWork<X>& work) {
  const std::int64_t items = std::int64_t{work.slices} * work.groups;
  if (threads == 1) {
    for (std::int64_t i = 0; i < work.groups; ++i) head_prepare(work, i);
    for (std::int64_t i = 0; i < items; ++i) head_item(work, i, 0);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    name_compute_thread(omp_get_thread_num());
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < work.groups; ++i) head_prepare(work, i);
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < items; ++i) head_item(work, i, omp_get_thread_num());
  }
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_HEAD_H_
