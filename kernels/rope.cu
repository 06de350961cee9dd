// rope_X: rotary position embedding, in place, on the Q and K heads at the start of each QKV row.
// in/out heads X[T,row_stride], the first rotated_heads * head_dim elements of each row;
// in cos_sin f32[P,head_dim/2,2], positions i32[T]; X = bf16 or f32, head_dim even
// Element i of a head's first half turns with element i of its second half ("rotate half"):
//   a' = a cos - b sin,  b' = b cos + a sin,  angle of (position, i)
// 1 blockIdx.x is a token, blockIdx.y strides over its pairs  2 a thread turns as many neighbouring
// pairs as fit 16 bytes of X (one where rows are not aligned)  3 f32 inside, one rounding
// compiled: up to 48 regs, no smem; every grid with x = T is right
// floor T=1024, 64 heads of 128, bf16: 33.6 MB / 4.8 TB/s = 7.0 us (H200); not measured
#include "include/lanes.h"

namespace remask {
namespace {

constexpr int kThreads = 256;

template <typename X, int N>
__device__ __forceinline__ void rotate_row(X* row, const float* __restrict__ cos_sin, int heads,
                                           int head_dim) {
  const int half = head_dim / 2;
  const int stride = gridDim.y * blockDim.x * N;
  for (int pair = (blockIdx.y * blockDim.x + threadIdx.x) * N; pair < heads * half;
       pair += stride) {
    const int head = pair / half;
    const int i = pair - head * half;
    X* first = row + static_cast<size_t>(head) * head_dim + i;
    X* second = first + half;
    float a[N], b[N], turn[2 * N];
    load<N>(a, first);
    load<N>(b, second);
    load<2 * N>(turn, cos_sin + 2 * i);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const float cosine = turn[2 * n];
      const float sine = turn[2 * n + 1];
      const float turned = fmaf(a[n], cosine, -(b[n] * sine));
      b[n] = fmaf(b[n], cosine, a[n] * sine);
      a[n] = turned;
    }
    store<N>(first, a);
    store<N>(second, b);
  }
}

template <typename X>
__device__ __forceinline__ void rope(X* heads, const float* cos_sin, const int* positions, int rows,
                                     int row_stride, int rotated_heads, int head_dim) {
  constexpr int kLanes = kVectorLanes<X>;
  const int token = blockIdx.x;
  if (token >= rows) return;
  X* row = heads + static_cast<size_t>(token) * row_stride;
  const float* angles = cos_sin + static_cast<size_t>(positions[token]) * head_dim;
  // half % kLanes keeps a thread's pairs inside one head and both halves aligned
  if (aligned<kLanes>(row) && aligned<2 * kLanes>(angles) && (head_dim / 2) % kLanes == 0) {
    rotate_row<X, kLanes>(row, angles, rotated_heads, head_dim);
  } else {
    rotate_row<X, 1>(row, angles, rotated_heads, head_dim);
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    rope_bf16(remask::bf16* heads, const float* cos_sin, const int* positions, int rows,
              int row_stride, int rotated_heads, int head_dim) {
  remask::rope(heads, cos_sin, positions, rows, row_stride, rotated_heads, head_dim);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    rope_f32(float* heads, const float* cos_sin, const int* positions, int rows, int row_stride,
             int rotated_heads, int head_dim) {
  remask::rope(heads, cos_sin, positions, rows, row_stride, rotated_heads, head_dim);
}
