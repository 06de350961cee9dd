// gemm_int8_<out>: out[m,n] = (sum over k of a[m,k] * w[n,k]) * a_scales[m] * w_scales[n], any
// shape of k <= 133,144: a product of what quantize.cu makes. a, w s8, sums s32, scales f32; out
// bf16, f32, or, for `residual`, f32 to which the product is added. All row-major.
// 1 a CTA has a 64 x 128 tile of out, a thread 8 x 8 of it; k in steps of 64, as words of 4
// 2 16-byte loads of the next step into registers while this one is multiplied (single elements
// where rows are not aligned)  3 both operands in smem as words, [k / 4][row], rows XOR-swizzled so
// that neither the transposing stores nor the int4 reads conflict; two buffers, one barrier a step
// 4 dp4a; integers are summed exactly, so no order matters: a row has the same bits in any tile, on
// any device  5 x runs over the m tiles: CTAs that run together share the rows of w
// compiled: 128 threads, up to 154 regs, 24 KB smem
// floor m=1024 n=k=4096: 34.4 GOP / 268 TOP/s (dp4a, 4 x f32) = 0.13 ms (H200); not measured
#include "include/lanes.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 128;
constexpr int kTileM = 64;
constexpr int kTileN = 128;
constexpr int kTileK = 16;  // words
constexpr int kQuad = 4;    // words of one load, columns of one store
constexpr int kBytes = 4;   // of a word

// As in gemm.cu: warps lie 2 x 2 over the tile, a warp's threads 4 x 8 over its 32 x 64 part.
constexpr int kWarpsN = 2;
constexpr int kLanesM = 4;
constexpr int kLanesN = 8;
constexpr int kQuads = 2;                // a thread's 8 rows: two runs of 4
constexpr int kStepM = kLanesM * kQuad;  // distance of the two runs
constexpr int kStepN = kLanesN * kQuad;
static_assert(kLanesM * kLanesN == kWarpThreads, "a warp covers its part of the tile");
static_assert(kTileN == kWarpsN * kQuads * kStepN, "the warps cover the tile's columns");
static_assert(kTileM == kThreads / kWarpThreads / kWarpsN * kQuads * kStepM, "and its rows");

using Byte = signed char;

// Threads that load one row's step hold neighbouring quads of words; their transposed stores would
// meet in one bank if the rows were not moved apart by the quad.
__device__ __forceinline__ int swizzled(int row, int word) {
  return row ^ (word / kQuad * 2 * kQuad);
}

// One k step of kRows rows of an operand, on its way through registers into smem.
template <int kRows>
struct Stage {
  static constexpr int kVectors = kRows * kTileK / kQuad / kThreads;
  static_assert(kVectors * kQuad * kThreads == kRows * kTileK, "every thread loads as much");
  int4 vectors[kVectors];

  __device__ __forceinline__ static int row_of(int vector) {
    return (vector * kThreads + static_cast<int>(threadIdx.x)) / (kTileK / kQuad);
  }
  __device__ __forceinline__ static int word_of() {
    return static_cast<int>(threadIdx.x) % (kTileK / kQuad) * kQuad;
  }

  // The word at `column` of a row that ends at k; what lies behind is zero.
  __device__ __forceinline__ static int word_at(const Byte* row, int column, int k) {
    unsigned word = 0;
#pragma unroll
    for (int i = 0; i < kBytes; ++i) {
      if (column + i < k) word |= static_cast<unsigned>(row[column + i] & 0xff) << 8 * i;
    }
    return static_cast<int>(word);
  }

  // Reads rows [0, rows) and columns from `begin` on of x; what lies outside is zero.
  __device__ __forceinline__ void load_from(const Byte* __restrict__ x, int rows, int k, int begin,
                                            bool whole_vectors) {
    const int column = begin + word_of() * kBytes;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const Byte* row = x + static_cast<size_t>(row_of(i)) * k;
      if (row_of(i) >= rows || column >= k) {
        vectors[i] = make_int4(0, 0, 0, 0);
      } else if (whole_vectors) {
        vectors[i] = *reinterpret_cast<const int4*>(row + column);
      } else {
        vectors[i] =
            make_int4(word_at(row, column, k), word_at(row, column + kBytes, k),
                      word_at(row, column + 2 * kBytes, k), word_at(row, column + 3 * kBytes, k));
      }
    }
  }

  __device__ __forceinline__ void store_to(int (&tile)[kTileK][kRows]) const {
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int row = swizzled(row_of(i), word_of());
      tile[word_of()][row] = vectors[i].x;
      tile[word_of() + 1][row] = vectors[i].y;
      tile[word_of() + 2][row] = vectors[i].z;
      tile[word_of() + 3][row] = vectors[i].w;
    }
  }
};

__device__ __forceinline__ void load_quad(int (&words)[kQuad], const int* from) {
  const int4 quad = *reinterpret_cast<const int4*>(from);
  words[0] = quad.x;
  words[1] = quad.y;
  words[2] = quad.z;
  words[3] = quad.w;
}

// What becomes of a quad of sums.
template <typename Y>
struct Store {
  using Out = Y;
  __device__ __forceinline__ static float finish(const Y*, float scaled, float w_scale) {
    return scaled * w_scale;
  }
};
struct Residual {
  using Out = float;
  __device__ __forceinline__ static float finish(const float* to, float scaled, float w_scale) {
    return fmaf(scaled, w_scale, *to);
  }
};

template <typename E>
__device__ __forceinline__ void gemm_int8(typename E::Out* __restrict__ out,
                                          const Byte* __restrict__ a,
                                          const float* __restrict__ a_scales,
                                          const Byte* __restrict__ w,
                                          const float* __restrict__ w_scales, int m, int n, int k) {
  __shared__ __align__(16) int a_tiles[2][kTileK][kTileM];
  __shared__ __align__(16) int w_tiles[2][kTileK][kTileN];

  const int m_begin = blockIdx.x * kTileM;
  const int n_begin = blockIdx.y * kTileN;
  if (m_begin >= m || n_begin >= n) return;
  const int warp = threadIdx.x / kWarpThreads;
  const int lane = threadIdx.x % kWarpThreads;
  const int row = warp / kWarpsN * (kQuads * kStepM) + lane / kLanesN * kQuad;
  const int column = warp % kWarpsN * (kQuads * kStepN) + lane % kLanesN * kQuad;

  a += static_cast<size_t>(m_begin) * k;
  w += static_cast<size_t>(n_begin) * k;
  const bool whole_vectors =
      aligned<kVectorBytes>(a) && aligned<kVectorBytes>(w) && k % kVectorBytes == 0;

  int sums[kQuads][kQuad][kQuads][kQuad] = {};
  Stage<kTileM> a_stage;
  Stage<kTileN> w_stage;
  a_stage.load_from(a, m - m_begin, k, 0, whole_vectors);
  w_stage.load_from(w, n - n_begin, k, 0, whole_vectors);
  for (int begin = 0, buffer = 0; begin < k; begin += kTileK * kBytes, buffer ^= 1) {
    a_stage.store_to(a_tiles[buffer]);
    w_stage.store_to(w_tiles[buffer]);
    // One barrier is enough: who stores into a buffer again has passed the barrier of the step
    // between, and that is after everyone's reads of it.
    __syncthreads();
    if (begin + kTileK * kBytes < k) {
      a_stage.load_from(a, m - m_begin, k, begin + kTileK * kBytes, whole_vectors);
      w_stage.load_from(w, n - n_begin, k, begin + kTileK * kBytes, whole_vectors);
    }
#pragma unroll
    for (int step = 0; step < kTileK; ++step) {
      int x[kQuads][kQuad], y[kQuads][kQuad];
#pragma unroll
      for (int i = 0; i < kQuads; ++i) {
        load_quad(x[i], &a_tiles[buffer][step][swizzled(row + i * kStepM, step)]);
        load_quad(y[i], &w_tiles[buffer][step][swizzled(column + i * kStepN, step)]);
      }
#pragma unroll
      for (int i = 0; i < kQuads * kQuad; ++i) {
#pragma unroll
        for (int j = 0; j < kQuads * kQuad; ++j) {
          int& sum = sums[i / kQuad][i % kQuad][j / kQuad][j % kQuad];
          sum = __dp4a(x[i / kQuad][i % kQuad], y[j / kQuad][j % kQuad], sum);
        }
      }
    }
  }

  const bool out_vectors = aligned<kQuad>(out) && n % kQuad == 0;
#pragma unroll
  for (int i = 0; i < kQuads * kQuad; ++i) {
    const int out_row = m_begin + row + i / kQuad * kStepM + i % kQuad;
    if (out_row >= m) continue;
    const float a_scale = a_scales[out_row];
#pragma unroll
    for (int j = 0; j < kQuads; ++j) {
      const int out_column = n_begin + column + j * kStepN;
      if (out_column >= n) continue;
      typename E::Out* target = out + static_cast<size_t>(out_row) * n + out_column;
      float x[kQuad] = {};
#pragma unroll
      for (int e = 0; e < kQuad; ++e) {
        if (out_column + e >= n) continue;
        const float scaled = __int2float_rn(sums[i / kQuad][i % kQuad][j][e]) * a_scale;
        x[e] = E::finish(target + e, scaled, w_scales[out_column + e]);
        if (!out_vectors) target[e] = from_float<typename E::Out>(x[e]);
      }
      if (out_vectors) store<kQuad>(target, x);
    }
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    gemm_int8_bf16(remask::bf16* out, const signed char* a, const float* a_scales,
                   const signed char* w, const float* w_scales, int m, int n, int k) {
  remask::gemm_int8<remask::Store<remask::bf16>>(out, a, a_scales, w, w_scales, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    gemm_int8_f32(float* out, const signed char* a, const float* a_scales, const signed char* w,
                  const float* w_scales, int m, int n, int k) {
  remask::gemm_int8<remask::Store<float>>(out, a, a_scales, w, w_scales, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    gemm_int8_residual(float* residual, const signed char* a, const float* a_scales,
                       const signed char* w, const float* w_scales, int m, int n, int k) {
  remask::gemm_int8<remask::Residual>(residual, a, a_scales, w, w_scales, m, n, k);
}
