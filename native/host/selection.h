// The selection's kernels of little arithmetic, one form of which serves every processor.
// kernels/select.cu and constrain.cu define them.
#ifndef REMASK_HOST_SELECTION_H_
#define REMASK_HOST_SELECTION_H_

#include "constraint.h"
#include "kernel_set.h"

namespace remask::host {

void select_merge(const RemaskLaunch& launch, int* candidates, float* keys,
                  const SelectPartial* partials, const Row* rows, const Sequence* sequences,
                  int row_count, int slices, SpecialTokens tokens);

void constrain(const RemaskLaunch& launch, float* logits, const Row* rows,
               const Sequence* sequences, const Constraint* constraints, const int* data,
               const int* canvas, const int* mask_positions, int row_count, int columns, int mask);

}  // namespace remask::host

#endif  // REMASK_HOST_SELECTION_H_
