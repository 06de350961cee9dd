// Kernels that choose and commit tokens, and the row gather: little arithmetic, so one form of each
// serves every processor. kernels/select.cu, commit.cu and gather.cu define them.
#ifndef REMASK_HOST_LOOP_KERNELS_H_
#define REMASK_HOST_LOOP_KERNELS_H_

#include "kernel_set.h"

namespace remask::host {

void select_merge(const RemaskLaunch& launch, int* candidates, float* keys,
                  const SelectPartial* partials, const SequenceState* sequences,
                  const PlanEntry* plan, const int* row_sequence, const int* canvas, int rows,
                  int slices, SpecialTokens tokens);
void commit_topk(const RemaskLaunch& launch, int* canvas, int* trace_step, float* trace_confidence,
                 const float* keys, const int* candidates, const SequenceState* sequences,
                 const PlanEntry* plan);
void advance(const RemaskLaunch& launch, SequenceState* sequences, int* row_index,
             const PlanEntry* plan);
template <typename X>
void gather_rows(const RemaskLaunch& launch, X* out, const X* in, const int* index, int rows,
                 int width);

}  // namespace remask::host

#endif  // REMASK_HOST_LOOP_KERNELS_H_
