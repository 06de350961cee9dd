// The kernels of module gemm_packed: products by weights that were put, once and in place, into the
// order in which the host's kernels read them. Only the software device's host kernels have them: a
// context that finds the module may pack its weights.
//
// The packed format of w[n,k], row-major and dense, is told in simd_packed.h. X is bf16 or float.
// The grid of a launch is ignored. A shape that a kernel cannot run is std::invalid_argument.
#ifndef REMASK_HOST_GEMM_PACKED_H_
#define REMASK_HOST_GEMM_PACKED_H_

#include "kernel_set.h"

namespace remask::host {

// Packs w[n,k] in place.
template <typename X>
void pack_weight(const RemaskLaunch& launch, X* w, int n, int k);

// out[m,n] = sum over k of a[m,k] * w[n,k], in f32, rounded once.
template <typename X, typename Out>
void gemm_packed(const RemaskLaunch& launch, Out* out, const X* a, const X* w, int m, int n, int k);

// residual[m,n] += the product, which is not rounded before.
template <typename X>
void gemm_packed_residual(const RemaskLaunch& launch, float* residual, const X* a, const X* w,
                          int m, int n, int k);

// out[m,n/2] = silu(gate) * up: the product's first n/2 columns are gates, the others ups, neither
// rounded before.
template <typename X>
void gemm_packed_swiglu(const RemaskLaunch& launch, X* out, const X* a, const X* w, int m, int n,
                        int k);

// Parts the product's rows into heads and turns those of q and keys, which are not rounded before:
// see PackedHeads. n = (heads + 2 kv_heads) head_dim; head_dim is even.
template <typename X>
void gemm_packed_rope(const RemaskLaunch& launch, X* q, X* keys, X* values, const float* cos_sin,
                      const int* positions, const int* kv_rows, const X* a, const X* w, int m,
                      int n, int k, int heads, int kv_heads, int head_dim, int q_stride,
                      int kv_stride);

}  // namespace remask::host

#endif  // REMASK_HOST_GEMM_PACKED_H_
