// embed_X: the residual stream's first value: each token's row of the embedding table, as f32.
// out residual f32[T,D]; in table X[E,D], tokens i32[*], token_index i32[T]; X = bf16 or f32
//   residual[t] = table[tokens[token_index[t]]]; zeros where token_index[t] < 0 (padding)
// 1 blockIdx.x is a token, blockIdx.y strides over its row  2 a thread moves 4 elements at a time:
// the f32 side is the wider one, and 4 of it make a 16-byte store (1 where rows are not aligned)
// compiled: up to 34 regs, no smem; any width; every grid with x = T is right
// floor T=1024 D=4096 bf16: 25.2 MB / 4.8 TB/s = 5.2 us (H200); not measured
#include "include/lanes.h"

namespace remask {
namespace {

constexpr int kThreads = 256;
constexpr int kResidualLanes = kVectorLanes<float>;

template <typename X, int N>
__device__ __forceinline__ void embed_row(float* __restrict__ residual, const X* __restrict__ row,
                                          int width, bool padding) {
  const int stride = gridDim.y * blockDim.x * N;
  for (int i = (blockIdx.y * blockDim.x + threadIdx.x) * N; i < width; i += stride) {
    float x[N] = {};
    if (!padding) load<N>(x, row + i);
    store<N>(residual + i, x);
  }
}

template <typename X>
__device__ __forceinline__ void embed(float* residual, const X* table, const int* tokens,
                                      const int* token_index, int rows, int width) {
  const int row = blockIdx.x;
  if (row >= rows) return;
  const int index = token_index[row];
  const bool padding = index < 0;
  const X* source = table + static_cast<size_t>(padding ? 0 : tokens[index]) * width;
  residual += static_cast<size_t>(row) * width;
  if (aligned<kResidualLanes>(source) && aligned<kResidualLanes>(residual) &&
      width % kResidualLanes == 0) {
    embed_row<X, kResidualLanes>(residual, source, width, padding);
  } else {
    embed_row<X, 1>(residual, source, width, padding);
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    embed_bf16(float* residual, const remask::bf16* table, const int* tokens,
               const int* token_index, int rows, int width) {
  remask::embed(residual, table, tokens, token_index, rows, width);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    embed_f32(float* residual, const float* table, const int* tokens, const int* token_index,
              int rows, int width) {
  remask::embed(residual, table, tokens, token_index, rows, width);
}
