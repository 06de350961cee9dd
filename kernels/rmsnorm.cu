// rmsnorm_X: adds a layer's result to the residual stream and normalises the sum for the next one.
// in/out residual f32[T,D]; in delta X[T,D] or null, weight X[D]; out X[T,D]; X = bf16 or f32
//   residual += delta (stored), out = residual / sqrt(mean(residual^2) + epsilon) * weight
// 1 one CTA per token
// 2 a thread holds 4 groups of 4 elements in registers between the two passes, so that rows up to
// 16 * blockDim elements are read once; longer rows read the rest again (L2)
// 3 4 elements a load: 16 bytes of the f32 stream, two thirds of all bytes, and 8 coalesced ones of
// bf16 (1 where rows are not aligned); all loads, the weights' too, are on their way before the
// first is used: 128 bytes of a thread, 128 KB of an SM
// 4 warp shuffle, then smem over the warps in a fixed order  5 f32 inside, one rounding
// compiled: up to 64 regs (f32: 78), 32 B smem; bitwise repeatable; blockDim a multiple of 32
// floor T=1024 D=4096 bf16 with delta: 50.3 MB / 4.8 TB/s = 10.5 us (H200); not measured
#include "include/lanes.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 256;
constexpr int kResidentBlocks = 4;     // all loads of a thread in flight: 64 regs
constexpr int kResidentBlocksF32 = 3;  // whose change and weights are wider
constexpr int kHeldGroups = 4;
constexpr int kResidualLanes = kVectorLanes<float>;

// Sum over the CTA, the same bits in every thread. Once per kernel: it does not
// free its smem.
__device__ __forceinline__ float block_sum(float x) {
  __shared__ float warp_sums[kThreads / kWarpThreads];
  x = lanes_sum<kWarpThreads>(x);
  if (threadIdx.x % kWarpThreads == 0) warp_sums[threadIdx.x / kWarpThreads] = x;
  __syncthreads();
  const int warps = blockDim.x / kWarpThreads;
  float sum = 0.0f;
  for (int warp = 0; warp < warps; ++warp) sum += warp_sums[warp];
  return sum;
}

template <int N, typename X>
__device__ __forceinline__ void add(float (&x)[N], const Lanes<X, N>& delta) {
  float change[N];
  widen<N, X>(change, delta);
#pragma unroll
  for (int n = 0; n < N; ++n) x[n] += change[n];
}

template <int N>
__device__ __forceinline__ float sum_of_squares(const float (&x)[N]) {
  float squares = 0.0f;
#pragma unroll
  for (int n = 0; n < N; ++n) squares += x[n] * x[n];
  return squares;
}

template <int N, typename X>
__device__ __forceinline__ void scale_out(X* out, const float (&x)[N], const Lanes<X, N>& weight,
                                          float scale) {
  float y[N];
  widen<N, X>(y, weight);
#pragma unroll
  for (int n = 0; n < N; ++n) y[n] *= x[n] * scale;
  store<N>(out, y);
}

template <typename X, int N>
__device__ __forceinline__ void normalize_row(X* __restrict__ out, float* __restrict__ residual,
                                              const X* __restrict__ delta,
                                              const X* __restrict__ weight, int width,
                                              float epsilon) {
  const int first = threadIdx.x * N;
  const int stride = blockDim.x * N;
  float held[kHeldGroups][N];
  Lanes<X, N> changes[kHeldGroups];
  Lanes<X, N> weights[kHeldGroups];
#pragma unroll
  for (int group = 0; group < kHeldGroups; ++group) {
    const int i = first + group * stride;
    if (i >= width) continue;
    load<N>(held[group], residual + i);
    if (delta != nullptr) changes[group] = fetch<N>(delta + i);
  }
#pragma unroll
  for (int group = 0; group < kHeldGroups; ++group) {
    const int i = first + group * stride;
    if (i < width) weights[group] = fetch<N>(weight + i);
  }
  float squares = 0.0f;
#pragma unroll
  for (int group = 0; group < kHeldGroups; ++group) {
    const int i = first + group * stride;
    if (i >= width) continue;
    if (delta != nullptr) {
      add<N>(held[group], changes[group]);
      store<N>(residual + i, held[group]);
    }
    squares += sum_of_squares<N>(held[group]);
  }
#pragma unroll 1  // rare: not worth the registers
  for (int i = first + kHeldGroups * stride; i < width; i += stride) {
    float x[N];
    load<N>(x, residual + i);
    if (delta != nullptr) {
      add<N>(x, fetch<N>(delta + i));
      store<N>(residual + i, x);
    }
    squares += sum_of_squares<N>(x);
  }

  const float scale = rsqrtf(block_sum(squares) / width + epsilon);

#pragma unroll
  for (int group = 0; group < kHeldGroups; ++group) {
    const int i = first + group * stride;
    if (i < width) scale_out<N, X>(out + i, held[group], weights[group], scale);
  }
#pragma unroll 1
  for (int i = first + kHeldGroups * stride; i < width; i += stride) {
    float x[N];
    load<N>(x, residual + i);  // this thread's own store of the first pass
    scale_out<N, X>(out + i, x, fetch<N>(weight + i), scale);
  }
}

template <typename X>
__device__ __forceinline__ void rmsnorm(X* out, float* residual, const X* delta, const X* weight,
                                        int rows, int width, float epsilon) {
  constexpr int kLanes = kResidualLanes;
  const int row = blockIdx.x;
  if (row >= rows) return;
  const size_t begin = static_cast<size_t>(row) * width;
  out += begin;
  residual += begin;
  if (delta != nullptr) delta += begin;
  if (aligned<kLanes>(out) && aligned<kLanes>(residual) && aligned<kLanes>(delta) &&
      aligned<kLanes>(weight) && width % kLanes == 0) {
    normalize_row<X, kLanes>(out, residual, delta, weight, width, epsilon);
  } else {
    normalize_row<X, 1>(out, residual, delta, weight, width, epsilon);
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads, remask::kResidentBlocks)
    rmsnorm_bf16(remask::bf16* out, float* residual, const remask::bf16* delta,
                 const remask::bf16* weight, int rows, int width, float epsilon) {
  remask::rmsnorm(out, residual, delta, weight, rows, width, epsilon);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads, remask::kResidentBlocksF32)
    rmsnorm_f32(float* out, float* residual, const float* delta, const float* weight, int rows,
                int width, float epsilon) {
  remask::rmsnorm(out, residual, delta, weight, rows, width, epsilon);
}
