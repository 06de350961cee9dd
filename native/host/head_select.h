// The LM head's product and the selection in one kernel, by packed weights (see simd_packed.h).
// Only the software device's host kernels have it.
#ifndef REMASK_HOST_HEAD_SELECT_H_
#define REMASK_HOST_HEAD_SELECT_H_

#include "kernel_set.h"

namespace remask::host {

// What gemm_packed_*_f32 of a[m, k] and w, packed [columns, k], followed by select_slices without
// floors leaves in `partials`, [row_count, ceil(columns / slice_width)]: the same bits, without
// the logits. `a` has row_count rows and those that they name as their unconditional copies. Rows
// that are not to be chosen for cost nothing. slice_width is a multiple of 16.
void head_select_bf16(const RemaskLaunch& launch, SelectPartial* partials, const bf16* a,
                      const bf16* w, const Row* rows, const Sequence* sequences, int row_count,
                      int columns, int k, int slice_width, SpecialTokens tokens);
void head_select_f32(const RemaskLaunch& launch, SelectPartial* partials, const float* a,
                     const float* w, const Row* rows, const Sequence* sequences, int row_count,
                     int columns, int k, int slice_width, SpecialTokens tokens);

// The same by the kernels of `set`.
template <typename X>
void head_select(const KernelSet& set, const RemaskLaunch& launch, SelectPartial* partials,
                 const X* a, const X* w, const Row* rows, const Sequence* sequences, int row_count,
                 int columns, int k, int slice_width, SpecialTokens tokens);

}  // namespace remask::host

#endif  // REMASK_HOST_HEAD_SELECT_H_
