// gather_rows_X: copies the rows that an index names: out[r] = in[index[r]].
// out X[R,D]; in X[T,D], index i32[R]; X = bf16 or f32, row-major
// 1 blockIdx.x is an output row, blockIdx.y strides over it  2 16-byte copies (single elements
// where rows are not aligned)
// compiled: up to 34 regs, no smem; any width; every grid with x = R is right
// floor R=64 D=4096 bf16: 1 MB, bound by the launch; not measured
#include "include/lanes.h"

namespace remask {
namespace {

constexpr int kThreads = 256;

template <typename X, int N>
__device__ __forceinline__ void copy_row(X* __restrict__ out, const X* __restrict__ in, int width) {
  using Vector = Lanes<X, N>;
  const int stride = gridDim.y * blockDim.x * N;
  for (int i = (blockIdx.y * blockDim.x + threadIdx.x) * N; i < width; i += stride) {
    *reinterpret_cast<Vector*>(out + i) = *reinterpret_cast<const Vector*>(in + i);
  }
}

template <typename X>
__device__ __forceinline__ void gather_rows(X* out, const X* in, const int* index, int rows,
                                            int width) {
  constexpr int kLanes = kVectorLanes<X>;
  const int row = blockIdx.x;
  if (row >= rows) return;
  in += static_cast<size_t>(index[row]) * width;
  out += static_cast<size_t>(row) * width;
  if (aligned<kLanes>(in) && aligned<kLanes>(out) && width % kLanes == 0) {
    copy_row<X, kLanes>(out, in, width);
  } else {
    copy_row<X, 1>(out, in, width);
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    gather_rows_bf16(remask::bf16* out, const remask::bf16* in, const int* index, int rows,
                     int width) {
  remask::gather_rows(out, in, index, rows, width);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    gather_rows_f32(float* out, const float* in, const int* index, int rows, int width) {
  remask::gather_rows(out, in, index, rows, width);
}
