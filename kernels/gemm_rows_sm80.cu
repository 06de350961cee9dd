// gemm_rows<R>_<epilogue>_sm80: out[m,n] = sum over k of a[m,k] * w[n,k], bf16 with f32 sums, for
// few rows: tiles of R = 16, 32 or 64 rows. Any shape; made to stream w past a's few rows.
// 1 include/gemm_tile.h has the body; 64 (128 with R = 64) of w's rows a tile, marked evict-first
// 2 a ring of 6 (4) stages of 64 k: 40 to 48 KB of w under way in a CTA, 2 to 3 CTAs an SM on sm_90
// 3 K in splits with a CTA each (include/gemm_split.h), so that every SM streams from the start;
// the last CTA of a tile to come adds their sums, in the order of the splits
// 4 epilogues (include/gemm_epilogue.h): out bf16 or f32; f32 residual += result; SwiGLU of gate
// and up rows; RoPE of QKV rows, K and V to rows of their cache
// compiled: 128 threads, up to 118 (16 rows) or 127 (32) regs, 60 or 72 KB smem, or 256 threads,
// 128 regs, 96 KB (64); a row's bits depend neither on R nor on m nor on its position, and are
// those of gemm_sm80.cu
// floor at 64 rows, n x k of LLaDA-8B: QKV 12288 x 4096 100.7 MB / 3.0 TB/s = 33.6 us, gate and up
// 67.1 us, LM head 126464 x 4096 345 us (H100); not measured. L2 reads: 1.5 times w
#include "include/gemm_tile.h"

extern __shared__ __align__(128) unsigned char gemm_ring[];

namespace remask {
namespace {

using Rows16 = GemmTile<16, 64, 1, 4, 6, true>;
using Rows32 = GemmTile<32, 64, 1, 4, 6, true>;
using Rows64 = GemmTile<64, 128, 2, 4, 4, true>;
constexpr int kThreads16 = Rows16::kThreads;
constexpr int kThreads32 = Rows32::kThreads;
constexpr int kThreads64 = Rows64::kThreads;

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads16, 3)
    gemm_rows16_bf16_sm80(remask::bf16* out, const remask::bf16* a, const remask::bf16* w,
                          float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows16>(gemm_ring, remask::StoreSums<remask::bf16>{out, n}, a, w,
                                    partials, counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads16, 3)
    gemm_rows16_f32_sm80(float* out, const remask::bf16* a, const remask::bf16* w, float* partials,
                         unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows16>(gemm_ring, remask::StoreSums<float>{out, n}, a, w, partials,
                                    counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads16, 3)
    gemm_rows16_residual_sm80(float* residual, const remask::bf16* a, const remask::bf16* w,
                              float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows16>(gemm_ring, remask::AddToResidual{residual, n}, a, w, partials,
                                    counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads16, 3)
    gemm_rows16_swiglu_sm80(remask::bf16* out, const remask::bf16* a, const remask::bf16* w,
                            float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows16>(gemm_ring, remask::GateSums{out, n / 2}, a, w, partials,
                                    counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads16, 3)
    gemm_rows16_rope_sm80(remask::bf16* q, remask::bf16* keys, remask::bf16* values,
                          const float* cos_sin, const int* positions, const int* kv_rows, int heads,
                          int kv_heads, int head_dim, int q_stride, int kv_stride,
                          const remask::bf16* a, const remask::bf16* w, float* partials,
                          unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows16>(
      gemm_ring,
      remask::RotateSums{q, keys, values, cos_sin, positions, kv_rows, heads, kv_heads, head_dim,
                         q_stride, kv_stride},
      a, w, partials, counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads32, 3)
    gemm_rows32_bf16_sm80(remask::bf16* out, const remask::bf16* a, const remask::bf16* w,
                          float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows32>(gemm_ring, remask::StoreSums<remask::bf16>{out, n}, a, w,
                                    partials, counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads32, 3)
    gemm_rows32_f32_sm80(float* out, const remask::bf16* a, const remask::bf16* w, float* partials,
                         unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows32>(gemm_ring, remask::StoreSums<float>{out, n}, a, w, partials,
                                    counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads32, 3)
    gemm_rows32_residual_sm80(float* residual, const remask::bf16* a, const remask::bf16* w,
                              float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows32>(gemm_ring, remask::AddToResidual{residual, n}, a, w, partials,
                                    counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads32, 3)
    gemm_rows32_swiglu_sm80(remask::bf16* out, const remask::bf16* a, const remask::bf16* w,
                            float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows32>(gemm_ring, remask::GateSums{out, n / 2}, a, w, partials,
                                    counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads32, 3)
    gemm_rows32_rope_sm80(remask::bf16* q, remask::bf16* keys, remask::bf16* values,
                          const float* cos_sin, const int* positions, const int* kv_rows, int heads,
                          int kv_heads, int head_dim, int q_stride, int kv_stride,
                          const remask::bf16* a, const remask::bf16* w, float* partials,
                          unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows32>(
      gemm_ring,
      remask::RotateSums{q, keys, values, cos_sin, positions, kv_rows, heads, kv_heads, head_dim,
                         q_stride, kv_stride},
      a, w, partials, counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads64, 2)
    gemm_rows64_bf16_sm80(remask::bf16* out, const remask::bf16* a, const remask::bf16* w,
                          float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows64>(gemm_ring, remask::StoreSums<remask::bf16>{out, n}, a, w,
                                    partials, counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads64, 2)
    gemm_rows64_f32_sm80(float* out, const remask::bf16* a, const remask::bf16* w, float* partials,
                         unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows64>(gemm_ring, remask::StoreSums<float>{out, n}, a, w, partials,
                                    counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads64, 2)
    gemm_rows64_residual_sm80(float* residual, const remask::bf16* a, const remask::bf16* w,
                              float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows64>(gemm_ring, remask::AddToResidual{residual, n}, a, w, partials,
                                    counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads64, 2)
    gemm_rows64_swiglu_sm80(remask::bf16* out, const remask::bf16* a, const remask::bf16* w,
                            float* partials, unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows64>(gemm_ring, remask::GateSums{out, n / 2}, a, w, partials,
                                    counters, m, n, k);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads64, 2)
    gemm_rows64_rope_sm80(remask::bf16* q, remask::bf16* keys, remask::bf16* values,
                          const float* cos_sin, const int* positions, const int* kv_rows, int heads,
                          int kv_heads, int head_dim, int q_stride, int kv_stride,
                          const remask::bf16* a, const remask::bf16* w, float* partials,
                          unsigned* counters, int m, int n, int k) {
  remask::gemm_tile<remask::Rows64>(
      gemm_ring,
      remask::RotateSums{q, keys, values, cos_sin, positions, kv_rows, heads, kv_heads, head_dim,
                         q_stride, kv_stride},
      a, w, partials, counters, m, n, k);
}
