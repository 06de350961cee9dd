// rmsnorm_X: adds a layer's result to the residual stream and normalises the sum for the next one.
// in/out residual f32[T,D]; in delta X[T,D] or null, weight X[D]; out X[T,D]; X = bf16 or f32
//   residual += delta (stored), out = residual / sqrt(mean(residual^2) + epsilon) * weight
// 1 one CTA per token  2 a thread holds 4 groups of 4 elements in registers between the two passes,
// so that rows up to 16 * blockDim elements are read once; longer rows read the rest again (L2)
// 3 4 elements a load: 16 bytes of the f32 stream, the wider side (1 where rows are not aligned)
// 4 warp shuffle, then smem over the warps in a fixed order  5 f32 inside, one rounding
// compiled: up to 48 regs, 32 B smem; bitwise repeatable; blockDim a multiple of 32
// floor T=1024 D=4096 bf16 with delta: 50.3 MB / 4.8 TB/s = 10.5 us (H200); not measured
#include "include/lanes.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 256;
constexpr int kResidentBlocks = 5;  // without it ptxas aims at 6 on sm_80 and spills
constexpr int kHeldGroups = 4;
constexpr int kResidualLanes = kVectorLanes<float>;

// Sum over the CTA, the same bits in every thread. Once per kernel: it does not free its smem.
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

// Reads N elements of the stream, adds delta, stores the sum; returns the sum of their squares.
template <typename X, int N>
__device__ __forceinline__ float add_delta(float (&x)[N], float* residual, const X* delta, int i) {
  load<N>(x, residual + i);
  if (delta != nullptr) {
    float change[N];
    load<N>(change, delta + i);
#pragma unroll
    for (int n = 0; n < N; ++n) x[n] += change[n];
    store<N>(residual + i, x);
  }
  float squares = 0.0f;
#pragma unroll
  for (int n = 0; n < N; ++n) squares += x[n] * x[n];
  return squares;
}

template <typename X, int N>
__device__ __forceinline__ void scale_out(X* out, const float (&x)[N], const X* weight, float scale,
                                          int i) {
  float y[N];
  load<N>(y, weight + i);
#pragma unroll
  for (int n = 0; n < N; ++n) y[n] *= x[n] * scale;
  store<N>(out + i, y);
}

template <typename X, int N>
__device__ __forceinline__ void normalize_row(X* __restrict__ out, float* __restrict__ residual,
                                              const X* __restrict__ delta,
                                              const X* __restrict__ weight, int width,
                                              float epsilon) {
  const int first = threadIdx.x * N;
  const int stride = blockDim.x * N;
  float held[kHeldGroups][N];
  float squares = 0.0f;
#pragma unroll
  for (int group = 0; group < kHeldGroups; ++group) {
    const int i = first + group * stride;
    if (i < width) squares += add_delta<X, N>(held[group], residual, delta, i);
  }
#pragma unroll 1  // rare: not worth the registers
  for (int i = first + kHeldGroups * stride; i < width; i += stride) {
    float x[N];
    squares += add_delta<X, N>(x, residual, delta, i);
  }

  const float scale = rsqrtf(block_sum(squares) / width + epsilon);

#pragma unroll
  for (int group = 0; group < kHeldGroups; ++group) {
    const int i = first + group * stride;
    if (i < width) scale_out<X, N>(out, held[group], weight, scale, i);
  }
#pragma unroll 1
  for (int i = first + kHeldGroups * stride; i < width; i += stride) {
    float x[N];
    load<N>(x, residual + i);  // this thread's own store of the first pass
    scale_out<X, N>(out, x, weight, scale, i);
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

extern "C" __global__ void __launch_bounds__(remask::kThreads, remask::kResidentBlocks)
    rmsnorm_f32(float* out, float* residual, const float* delta, const float* weight, int rows,
                int width, float epsilon) {
  remask::rmsnorm(out, residual, delta, weight, rows, width, epsilon);
}
