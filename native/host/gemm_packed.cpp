#include "gemm_packed.h"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "gemm.h"
#include "parallel.h"

namespace remask::host {
namespace {

constexpr int kStrip = 16;
constexpr int kWidestHead = 512;

template <typename X>
constexpr bool kIsBf16 = std::is_same_v<X, bf16>;

void require_shape(int m, int n, int k) {
  require(m >= 1 && n >= 1 && k >= 1, "gemm_packed: m, n and k must be at least 1");
}

float* packed_scratch(const RemaskLaunch& launch, int m, int k) {
  require_shape(m, 1, k);
  return static_cast<float*>(remask_gemm_scratch(packed_scratch_bytes(m, k, launch.threads)));
}

// The set's kernels by their types.
template <typename X, typename Out>
PackedKernel<X, Out> product() {
  const KernelSet& set = best_kernel_set();
  if constexpr (!kIsBf16<X>) {
    return set.gemm_packed_f32_f32;
  } else if constexpr (kIsBf16<Out>) {
    return set.gemm_packed_bf16_bf16;
  } else {
    return set.gemm_packed_bf16_f32;
  }
}

// strip[k/2][width][2] or [k][width] from the rows [width][k].
template <typename X>
void pack_strip(X* strip, const X* rows, int width, int k) {
  constexpr int kGroup = kIsBf16<X> ? 2 : 1;  // neighbours of k that stay together
  int i = 0;
  for (; i + kGroup <= k; i += kGroup) {
    for (int c = 0; c < width; ++c) {
      std::memcpy(strip + std::size_t(i) * width + c * kGroup, rows + std::size_t(c) * k + i,
                  sizeof(X) * kGroup);
    }
  }
  for (; i < k; ++i) {
    for (int c = 0; c < width; ++c) {
      strip[std::size_t(i) * width + c] = rows[std::size_t(c) * k + i];
    }
  }
}

}  // namespace

template <typename X>
void pack_weight(const RemaskLaunch& launch, X* w, int n, int k) {
  require_shape(1, n, k);
  const int strips = (n + kStrip - 1) / kStrip;
  const int threads = region_threads(launch.threads, strips, std::int64_t{n} * k / 8);
  const std::size_t strip_elements = std::size_t(kStrip) * k;
  X* copies = static_cast<X*>(remask_gemm_scratch(strip_elements * sizeof(X) * threads));
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int s = 0; s < strips; ++s) {
    name_compute_thread(omp_get_thread_num());
    X* copy = copies + strip_elements * omp_get_thread_num();
    X* strip = w + strip_elements * s;
    const int width = std::min(kStrip, n - s * kStrip);
    std::memcpy(copy, strip, sizeof(X) * width * k);
    pack_strip(strip, copy, width, k);
  }
}

template <typename X, typename Out>
void gemm_packed(const RemaskLaunch& launch, Out* out, const X* a, const X* w, int m, int n,
                 int k) {
  require_shape(m, n, k);
  product<X, Out>()(launch.threads, out, a, w, m, n, k, packed_scratch(launch, m, k));
}

template <typename X>
void gemm_packed_residual(const RemaskLaunch& launch, float* residual, const X* a, const X* w,
                          int m, int n, int k) {
  require_shape(m, n, k);
  float* scratch = packed_scratch(launch, m, k);
  if constexpr (kIsBf16<X>) {
    best_kernel_set().gemm_packed_residual_bf16(launch.threads, residual, a, w, m, n, k, scratch);
  } else {
    best_kernel_set().gemm_packed_residual_f32(launch.threads, residual, a, w, m, n, k, scratch);
  }
}

template <typename X>
void gemm_packed_swiglu(const RemaskLaunch& launch, X* out, const X* a, const X* w, int m, int n,
                        int k) {
  require_shape(m, n, k);
  require(n % 2 == 0, "gemm_packed_swiglu: n must be even: gates, then ups");
  float* scratch = packed_scratch(launch, m, k);
  if constexpr (kIsBf16<X>) {
    best_kernel_set().gemm_packed_swiglu_bf16(launch.threads, out, a, w, m, n, k, scratch);
  } else {
    best_kernel_set().gemm_packed_swiglu_f32(launch.threads, out, a, w, m, n, k, scratch);
  }
}

template <typename X>
void gemm_packed_rope(const RemaskLaunch& launch, X* q, X* keys, X* values, const float* cos_sin,
                      const int* positions, const int* kv_rows, const X* a, const X* w, int m,
                      int n, int k, int heads, int kv_heads, int head_dim, int q_stride,
                      int kv_stride) {
  require_shape(m, n, k);
  require(head_dim >= 2 && head_dim % 2 == 0 && head_dim <= kWidestHead,
          "gemm_packed_rope: head_dim must be even and at most 512");
  require(heads >= 0 && kv_heads >= 0 &&
              n == (std::int64_t{heads} + 2 * std::int64_t{kv_heads}) * head_dim,
          "gemm_packed_rope: n must be (heads + 2 kv_heads) head_dim");
  const PackedHeads<X> to = {q,     keys,     values,   cos_sin,  positions, kv_rows,
                             heads, kv_heads, head_dim, q_stride, kv_stride};
  float* scratch = packed_scratch(launch, m, k);
  if constexpr (kIsBf16<X>) {
    best_kernel_set().gemm_packed_rope_bf16(launch.threads, to, a, w, m, n, k, scratch);
  } else {
    best_kernel_set().gemm_packed_rope_f32(launch.threads, to, a, w, m, n, k, scratch);
  }
}

template void pack_weight(const RemaskLaunch&, bf16*, int, int);
template void pack_weight(const RemaskLaunch&, float*, int, int);
template void gemm_packed(const RemaskLaunch&, bf16*, const bf16*, const bf16*, int, int, int);
template void gemm_packed(const RemaskLaunch&, float*, const bf16*, const bf16*, int, int, int);
template void gemm_packed(const RemaskLaunch&, float*, const float*, const float*, int, int, int);
template void gemm_packed_residual(const RemaskLaunch&, float*, const bf16*, const bf16*, int, int,
                                   int);
template void gemm_packed_residual(const RemaskLaunch&, float*, const float*, const float*, int,
                                   int, int);
template void gemm_packed_swiglu(const RemaskLaunch&, bf16*, const bf16*, const bf16*, int, int,
                                 int);
template void gemm_packed_swiglu(const RemaskLaunch&, float*, const float*, const float*, int, int,
                                 int);
template void gemm_packed_rope(const RemaskLaunch&, bf16*, bf16*, bf16*, const float*, const int*,
                               const int*, const bf16*, const bf16*, int, int, int, int, int, int,
                               int, int);
template void gemm_packed_rope(const RemaskLaunch&, float*, float*, float*, const float*,
                               const int*, const int*, const float*, const float*, int, int, int,
                               int, int, int, int, int);

}  // namespace remask::host
