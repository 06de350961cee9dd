// gemm_rows128_<epilogue>_sm80: out[m,n] = sum over k of a[m,k] * w[n,k], bf16 with f32 sums: tiles
// of 128 x 128, any shape. For many rows where there is no cuBLASLt, and for 65 to 256.
// 1 include/gemm_tile.h has the body: 8 warps, 64 x 32 of the tile each  2 a ring of 3 stages of
// 64 k by cp.async (element by element where rows are not aligned)
// 3 a CTA has one split of K, where the tiles alone do not fill a card, or all of them and adds
// their sums in order  4 8 tiles of rows run together: 7 of them find w's rows in the L2
// 5 epilogues as in gemm_rows_sm80.cu: bf16, f32, residual, SwiGLU, RoPE
// compiled: 256 threads, up to 254 regs, 96 KB smem; a row's bits depend neither on m nor on its
// position, and are those of gemm_rows_sm80.cu
// floor m=1024 n=12288 k=4096: 103 GFLOP / 989 TFLOP/s = 0.10 ms (H100), by wgmma; mma.sync reaches
// some 0.6 of that rate there; not measured
#include "include/gemm_tile.h"

extern __shared__ __align__(128) unsigned char gemm_ring[];

namespace remask {
namespace {

using Rows128 = GemmTile<128, 128, 2, 4, 3, false>;
constexpr int kThreads = Rows128::kThreads;

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads, 1)
    gemm_rows128_bf16_sm80(remask::bf16* out, const remask::bf16* a, const remask::bf16* w,
                           float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows128>(gemm_ring, remask::StoreSums<remask::bf16>{out, n}, a, w,
                                     partials, counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads, 1)
    gemm_rows128_f32_sm80(float* out, const remask::bf16* a, const remask::bf16* w, float* partials,
                          unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows128>(gemm_ring, remask::StoreSums<float>{out, n}, a, w, partials,
                                     counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads, 1)
    gemm_rows128_residual_sm80(float* residual, const remask::bf16* a, const remask::bf16* w,
                               float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows128>(gemm_ring, remask::AddToResidual{residual, n}, a, w, partials,
                                     counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads, 1)
    gemm_rows128_swiglu_sm80(remask::bf16* out, const remask::bf16* a, const remask::bf16* w,
                             float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows128>(gemm_ring, remask::GateSums{out, n / 2}, a, w, partials,
                                     counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads, 1)
    gemm_rows128_rope_sm80(remask::bf16* q, remask::bf16* keys, remask::bf16* values,
                           const float* cos_sin, const int* positions, const int* kv_rows,
                           int heads, int kv_heads, int head_dim, int q_stride, int kv_stride,
                           const remask::bf16* a, const remask::bf16* w, float* partials,
                           unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows128>(
      gemm_ring,
      remask::RotateSums{q, keys, values, cos_sin, positions, kv_rows, heads, kv_heads, head_dim,
                         q_stride, kv_stride},
      a, w, partials, counters, m, n, k);
}
