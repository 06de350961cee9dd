// swiglu_X: the feed-forward gate: out = silu(gate) * up, silu(g) = g / (1 + exp(-g)).
// out X[T,F]; in gate_up X[T,2F], a row's F gates first, then its F ups; X = bf16 or f32
// 1 blockIdx.x is a token, blockIdx.y strides over its row  2 16-byte loads of gate and up (single
// elements where rows are not aligned)  3 f32 inside, one rounding
// compiled: up to 37 regs, no smem; any width; every grid with x = T is right
// floor T=1024 F=12288 bf16: 75.5 MB / 4.8 TB/s = 15.7 us (H200); not measured
#include "include/lanes.h"

namespace remask {
namespace {

constexpr int kThreads = 256;

template <typename X, int N>
__device__ __forceinline__ void gate_row(X* __restrict__ out, const X* __restrict__ gate,
                                         const X* __restrict__ up, int width) {
  const int stride = gridDim.y * blockDim.x * N;
  for (int i = (blockIdx.y * blockDim.x + threadIdx.x) * N; i < width; i += stride) {
    float g[N], u[N];
    load<N>(g, gate + i);
    load<N>(u, up + i);
#pragma unroll
    for (int n = 0; n < N; ++n) g[n] = g[n] / (1.0f + expf(-g[n])) * u[n];
    store<N>(out + i, g);
  }
}

template <typename X>
__device__ __forceinline__ void swiglu(X* out, const X* gate_up, int rows, int width) {
  constexpr int kLanes = kVectorLanes<X>;
  const int row = blockIdx.x;
  if (row >= rows) return;
  const X* gate = gate_up + static_cast<size_t>(row) * 2 * width;
  out += static_cast<size_t>(row) * width;
  if (aligned<kLanes>(gate) && aligned<kLanes>(out) && width % kLanes == 0) {
    gate_row<X, kLanes>(out, gate, gate + width, width);
  } else {
    gate_row<X, 1>(out, gate, gate + width, width);
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    swiglu_bf16(remask::bf16* out, const remask::bf16* gate_up, int rows, int width) {
  remask::swiglu(out, gate_up, rows, width);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    swiglu_f32(float* out, const float* gate_up, int rows, int width) {
  remask::swiglu(out, gate_up, rows, width);
}
