// quantize_rows_X: rows as 8-bit integers, each with the scale that makes its largest value 127.
// out s8[R,W], scales f32[R]; in X[R,W]; X = bf16 or f32
// scale = max|x| / 127, out = x * (127 / max|x|) rounded to nearest even: x = scale * out to within
// scale / 2. A row of nothing but |x| < 2^-100 is one of zeros with scale 0; a row that holds no
// finite number somewhere has the scale NaN, so that what is made of it shows it.
// 1 blockIdx.x is a row  2 largest |x| as bits, which order as the numbers do and NaN above all:
// no order of comparing matters  3 shuffles, then smem over the warps  4 the row again, from the
// cache: 16-byte loads, one store of as many bytes as elements (single elements where rows are not
// aligned)
// compiled: up to 30 regs, 32 B smem; any width
// floor T=1024 W=4096 bf16: 12.6 MB / 4.8 TB/s = 2.6 us (H200); not measured
#include "include/lanes.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 256;
constexpr float kLargest = 127.0f;
constexpr unsigned kSign = 0x80000000u;
constexpr unsigned kInfinity = 0x7f800000u;
constexpr unsigned kLeast = 0x0d800000u;  // 2^-100: 127 / x is finite above
constexpr unsigned kNoNumber = 0x7fc00000u;

using Byte = signed char;

template <typename X, int N>
__device__ __forceinline__ unsigned largest_of(const X* __restrict__ in, int width) {
  unsigned largest = 0;
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float x[N];
    load<N>(x, in + i);
#pragma unroll
    for (int n = 0; n < N; ++n) largest = max(largest, __float_as_uint(x[n]) & ~kSign);
  }
  return largest;
}

// The largest of all threads' values, in every thread.
__device__ __forceinline__ unsigned block_max(unsigned x) {
  __shared__ unsigned warps[kThreads / kWarpThreads];
#pragma unroll
  for (int apart = kWarpThreads / 2; apart > 0; apart /= 2) {
    x = max(x, __shfl_xor_sync(kWholeWarp, x, apart));
  }
  if (threadIdx.x % kWarpThreads == 0) warps[threadIdx.x / kWarpThreads] = x;
  __syncthreads();
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / kWarpThreads; ++warp) {
    x = max(x, warps[warp]);
  }
  return x;
}

template <typename X, int N>
__device__ __forceinline__ void store_row(Byte* __restrict__ out, const X* __restrict__ in,
                                          int width, float factor) {
  for (int i = threadIdx.x * N; i < width; i += blockDim.x * N) {
    float x[N];
    load<N>(x, in + i);
    Lanes<Byte, N> bytes;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      bytes.lane[n] = factor == 0.0f ? 0 : static_cast<Byte>(__float2int_rn(x[n] * factor));
    }
    *reinterpret_cast<Lanes<Byte, N>*>(out + i) = bytes;
  }
}

template <typename X>
__device__ __forceinline__ void quantize_rows(Byte* out, float* scales, const X* in, int rows,
                                              int width) {
  const int row = blockIdx.x;
  if (row >= rows) return;
  in += static_cast<size_t>(row) * width;
  out += static_cast<size_t>(row) * width;
  constexpr int kLanes = kVectorLanes<X>;
  const bool whole_vectors = aligned<kLanes>(in) && aligned<kLanes>(out) && width % kLanes == 0;
  const unsigned largest =
      block_max(whole_vectors ? largest_of<X, kLanes>(in, width) : largest_of<X, 1>(in, width));
  const bool finite = largest < kInfinity;
  const float magnitude = __uint_as_float(largest);
  const float factor = finite && largest >= kLeast ? kLargest / magnitude : 0.0f;
  if (threadIdx.x == 0) {
    scales[row] = factor > 0.0f ? magnitude / kLargest : finite ? 0.0f : __uint_as_float(kNoNumber);
  }
  if (whole_vectors) {
    store_row<X, kLanes>(out, in, width, factor);
  } else {
    store_row<X, 1>(out, in, width, factor);
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    quantize_rows_bf16(signed char* out, float* scales, const remask::bf16* in, int rows,
                       int width) {
  remask::quantize_rows(out, scales, in, rows, width);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    quantize_rows_f32(signed char* out, float* scales, const float* in, int rows, int width) {
  remask::quantize_rows(out, scales, in, rows, width);
}
