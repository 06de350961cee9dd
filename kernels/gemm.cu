// gemm_<in>_<out>: out[m,n] = sum over k of a[m,k] * w[n,k], any shape: the GEMM of a machine that
// has a driver and no cuBLASLt. bf16 x bf16 -> bf16 or f32, f32 x f32 -> f32; all row-major.
// 1 a CTA has a 64 x 128 tile of out, a thread 8 x 8 of it; k in steps of 16  2 16-byte loads of
// the next step into registers while this one is multiplied (single elements where rows are not
// aligned)  3 both operands in smem as f32, [k][row], rows XOR-swizzled so that neither the
// transposing stores nor the float4 reads conflict; two buffers, one barrier a step
// 4 f32 FMA in order of k (no TF32, no split: bitwise repeatable)  5 x runs over the m tiles:
// CTAs that run together share the rows of w, the larger operand
// compiled: 128 threads, up to 167 regs, 24 KB smem
// floor m=1024 n=k=4096 f32: 34.4 GFLOP / 67 TFLOP/s = 0.51 ms (H200); not measured
#include "include/lanes.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 128;
constexpr int kTileM = 64;
constexpr int kTileN = 128;
constexpr int kTileK = 16;
constexpr int kQuad = kVectorLanes<float>;

// Warps lie 2 x 2 over the tile, a warp's threads 4 x 8 over its 32 x 64 part: a float4 read of a
// column of a or w then touches each bank at most once.
constexpr int kWarpsN = 2;
constexpr int kLanesM = 4;
constexpr int kLanesN = 8;
constexpr int kQuads = 2;                // a thread's 8 rows: two runs of 4
constexpr int kStepM = kLanesM * kQuad;  // distance of the two runs
constexpr int kStepN = kLanesN * kQuad;
static_assert(kLanesM * kLanesN == kWarpThreads, "a warp covers its part of the tile");
static_assert(kTileN == kWarpsN * kQuads * kStepN, "the warps cover the tile's columns");
static_assert(kTileM == kThreads / kWarpThreads / kWarpsN * kQuads * kStepM, "and its rows");

// Threads that load one row's k step hold neighbouring runs of kVectorLanes<X> values of k; their
// transposed stores would meet in one bank if the rows were not moved apart by the run.
template <typename X>
__device__ __forceinline__ int swizzled(int row, int k) {
  return row ^ (k / kVectorLanes<X> * 2 * kVectorLanes<X>);
}

// One k step of kRows rows of an operand, on its way through registers into smem.
template <typename X, int kRows>
struct Stage {
  static constexpr int kLanes = kVectorLanes<X>;
  static constexpr int kVectors = kRows * kTileK / kLanes / kThreads;
  static_assert(kVectors * kLanes * kThreads == kRows * kTileK, "every thread loads as much");
  Lanes<X, kLanes> vectors[kVectors];

  __device__ __forceinline__ static int row_of(int vector) {
    return (vector * kThreads + static_cast<int>(threadIdx.x)) / (kTileK / kLanes);
  }
  __device__ __forceinline__ static int k_of() {
    return static_cast<int>(threadIdx.x) % (kTileK / kLanes) * kLanes;
  }

  // Reads rows [0, rows) and columns from `begin` on of x; what lies outside is zero.
  __device__ __forceinline__ void load_from(const X* __restrict__ x, int rows, int k, int begin,
                                            bool whole_vectors) {
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int row = row_of(i);
      const int column = begin + k_of();
      const X* source = x + static_cast<size_t>(row) * k + column;
      if (whole_vectors && row < rows && column < k) {
        vectors[i] = *reinterpret_cast<const Lanes<X, kLanes>*>(source);
        continue;
      }
#pragma unroll
      for (int n = 0; n < kLanes; ++n) {
        vectors[i].lane[n] = row < rows && column + n < k ? source[n] : from_float<X>(0.0f);
      }
    }
  }

  __device__ __forceinline__ void store_to(float (&tile)[kTileK][kRows]) const {
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
#pragma unroll
      for (int n = 0; n < kLanes; ++n) {
        tile[k_of() + n][swizzled<X>(row_of(i), k_of())] = to_float(vectors[i].lane[n]);
      }
    }
  }
};

template <typename X, typename Y>
__device__ __forceinline__ void gemm(Y* __restrict__ out, const X* __restrict__ a,
                                     const X* __restrict__ w, int m, int n, int k) {
  __shared__ __align__(16) float a_tiles[2][kTileK][kTileM];
  __shared__ __align__(16) float w_tiles[2][kTileK][kTileN];

  const int m_begin = blockIdx.x * kTileM;
  const int n_begin = blockIdx.y * kTileN;
  if (m_begin >= m || n_begin >= n) return;
  const int warp = threadIdx.x / kWarpThreads;
  const int lane = threadIdx.x % kWarpThreads;
  const int row = warp / kWarpsN * (kQuads * kStepM) + lane / kLanesN * kQuad;
  const int column = warp % kWarpsN * (kQuads * kStepN) + lane % kLanesN * kQuad;

  a += static_cast<size_t>(m_begin) * k;
  w += static_cast<size_t>(n_begin) * k;
  constexpr int kLanes = kVectorLanes<X>;
  const bool whole_vectors = aligned<kLanes>(a) && aligned<kLanes>(w) && k % kLanes == 0;

  float sums[kQuads][kQuad][kQuads][kQuad] = {};
  Stage<X, kTileM> a_stage;
  Stage<X, kTileN> w_stage;
  a_stage.load_from(a, m - m_begin, k, 0, whole_vectors);
  w_stage.load_from(w, n - n_begin, k, 0, whole_vectors);
  for (int begin = 0, buffer = 0; begin < k; begin += kTileK, buffer ^= 1) {
    a_stage.store_to(a_tiles[buffer]);
    w_stage.store_to(w_tiles[buffer]);
    // One barrier is enough: who stores into a buffer again has passed the barrier of the step
    // between, and that is after everyone's reads of it.
    __syncthreads();
    if (begin + kTileK < k) {
      a_stage.load_from(a, m - m_begin, k, begin + kTileK, whole_vectors);
      w_stage.load_from(w, n - n_begin, k, begin + kTileK, whole_vectors);
    }
#pragma unroll
    for (int step = 0; step < kTileK; ++step) {
      float x[kQuads][kQuad], y[kQuads][kQuad];
#pragma unroll
      for (int i = 0; i < kQuads; ++i) {
        load<kQuad>(x[i], &a_tiles[buffer][step][swizzled<X>(row + i * kStepM, step)]);
        load<kQuad>(y[i], &w_tiles[buffer][step][swizzled<X>(column + i * kStepN, step)]);
      }
#pragma unroll
      for (int i = 0; i < kQuads * kQuad; ++i) {
#pragma unroll
        for (int j = 0; j < kQuads * kQuad; ++j) {
          float& sum = sums[i / kQuad][i % kQuad][j / kQuad][j % kQuad];
          sum = fmaf(x[i / kQuad][i % kQuad], y[j / kQuad][j % kQuad], sum);
        }
      }
    }
  }

  const bool out_vectors = aligned<kQuad>(out) && n % kQuad == 0;
#pragma unroll
  for (int i = 0; i < kQuads * kQuad; ++i) {
    const int out_row = m_begin + row + i / kQuad * kStepM + i % kQuad;
    if (out_row >= m) continue;
#pragma unroll
    for (int j = 0; j < kQuads; ++j) {
      const int out_column = n_begin + column + j * kStepN;
      Y* target = out + static_cast<size_t>(out_row) * n + out_column;
      const float(&x)[kQuad] = sums[i / kQuad][i % kQuad][j];
      if (out_vectors && out_column < n) {
        store<kQuad>(target, x);
      } else {
#pragma unroll
        for (int e = 0; e < kQuad; ++e) {
          if (out_column + e < n) target[e] = from_float<Y>(x[e]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    gemm_bf16_bf16(remask::bf16* out, const remask::bf16* a, const remask::bf16* w, int m, int n,
                   int k) {
  remask::gemm(out, a, w, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    gemm_bf16_f32(float* out, const remask::bf16* a, const remask::bf16* w, int m, int n, int k) {
  remask::gemm(out, a, w, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    gemm_f32_f32(float* out, const float* a, const float* w, int m, int n, int k) {
  remask::gemm(out, a, w, m, n, k);
}
