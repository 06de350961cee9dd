// What begins and ends a denoising step: kernels/lay.cu and commit.cu define it. A few integers per
// row, so one form serves every processor.
#ifndef REMASK_HOST_STEP_KERNELS_H_
#define REMASK_HOST_STEP_KERNELS_H_

#include "diffusion_state.h"
#include "kernel_table.h"

namespace remask::host {

void lay_rows(const RemaskLaunch& launch, Row* rows, int* row_index, const Sequence* sequences,
              const Progress* progress, const PlanEntry* plan, const int* mask_positions,
              const int* canvas, const Member* members, int mask);
void commit_rows(const RemaskLaunch& launch, int* canvas, Progress* progress, CommitRecord* log,
                 int* log_heads, const float* keys, const int* candidates, const Row* rows,
                 const Sequence* sequences, const PlanEntry* plan, const int* mask_positions,
                 const Member* members, SpecialTokens tokens);

}  // namespace remask::host

#endif  // REMASK_HOST_STEP_KERNELS_H_
