// store_kv_X: keys and values of a pass's queries into the rows of the cache that an index names.
// out keys, values X[C,W]; in k, v X[T,stride], cache_rows i32[T] (< 0: skip); X = bf16 or f32
//   keys[cache_rows[t]] = k[t], values[cache_rows[t]] = v[t], the first W elements of each row
// 1 blockIdx.x is a query, blockIdx.y strides over its row, K and V of the same columns by the same
// thread: two loads under way  2 16-byte copies (single elements where rows are not aligned)
// compiled: 26 to 40 regs, no smem; any width; every grid with x = T is right
// floor T=64 W=4096 bf16: 2.1 MB, bound by the launch; not measured
#include "include/lanes.h"

namespace remask {
namespace {

constexpr int kThreads = 256;

template <typename X, int N>
__device__ __forceinline__ void copy_rows(X* __restrict__ key, X* __restrict__ value,
                                          const X* __restrict__ k, const X* __restrict__ v,
                                          int width) {
  using Vector = Lanes<X, N>;
  const int stride = gridDim.y * blockDim.x * N;
  for (int i = (blockIdx.y * blockDim.x + threadIdx.x) * N; i < width; i += stride) {
    const Vector one = *reinterpret_cast<const Vector*>(k + i);
    const Vector other = *reinterpret_cast<const Vector*>(v + i);
    *reinterpret_cast<Vector*>(key + i) = one;
    *reinterpret_cast<Vector*>(value + i) = other;
  }
}

template <typename X>
__device__ __forceinline__ void store_kv(X* keys, X* values, const X* k, const X* v,
                                         const int* cache_rows, int rows, int width, int stride) {
  constexpr int kLanes = kVectorLanes<X>;
  const int row = blockIdx.x;
  if (row >= rows) return;
  const int cache_row = cache_rows[row];
  if (cache_row < 0) return;
  keys += static_cast<size_t>(cache_row) * width;
  values += static_cast<size_t>(cache_row) * width;
  k += static_cast<size_t>(row) * stride;
  v += static_cast<size_t>(row) * stride;
  if (aligned<kLanes>(keys) && aligned<kLanes>(values) && aligned<kLanes>(k) &&
      aligned<kLanes>(v) && width % kLanes == 0) {
    copy_rows<X, kLanes>(keys, values, k, v, width);
  } else {
    copy_rows<X, 1>(keys, values, k, v, width);
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    store_kv_bf16(remask::bf16* keys, remask::bf16* values, const remask::bf16* k,
                  const remask::bf16* v, const int* cache_rows, int rows, int width, int stride) {
  remask::store_kv(keys, values, k, v, cache_rows, rows, width, stride);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    store_kv_f32(float* keys, float* values, const float* k, const float* v, const int* cache_rows,
                 int rows, int width, int stride) {
  remask::store_kv(keys, values, k, v, cache_rows, rows, width, stride);
}
