// The host kernels that are compiled once per instruction set, as a table of functions.
//
// simd_baseline.cpp, simd_avx2.cpp and simd_avx512.cpp compile the same sources with different
// flags and each fill one table; host_kernels.cpp picks one when the process first asks. Every
// member has the parameter list of the CUDA kernel of its name (kernels/*.cu) behind the launch.
#ifndef REMASK_HOST_KERNEL_SET_H_
#define REMASK_HOST_KERNEL_SET_H_

#include <cstddef>
#include <cstdint>

#include "diffusion_state.h"
#include "kernel_table.h"

namespace remask::host {

// A bfloat16 as it lies in memory; the kernels load it as f32 and round to nearest even.
struct bf16 {
  std::uint16_t bits;
};
static_assert(sizeof(bf16) == 2 && alignof(bf16) == 2, "packed like CUDA's __nv_bfloat16");

template <typename X>
using EmbedKernel = void (*)(const RemaskLaunch&, float* residual, const X* table,
                             const int* tokens, const int* token_index, int rows, int width);
template <typename X>
using RmsNormKernel = void (*)(const RemaskLaunch&, X* out, float* residual, const X* delta,
                               const X* weight, int rows, int width, float epsilon);
template <typename X>
using RopeKernel = void (*)(const RemaskLaunch&, X* heads, const float* cos_sin,
                            const int* positions, int rows, int row_stride, int rotated_heads,
                            int head_dim);
template <typename X>
using AttentionKernel = void (*)(const RemaskLaunch&, X* out, const X* q, const X* k, const X* v,
                                 const int* q_offsets, const int* kv_offsets, int heads,
                                 int kv_heads, int q_stride, int kv_stride, int out_stride,
                                 float scale);
template <typename X>
using SwiGluKernel = void (*)(const RemaskLaunch&, X* out, const X* gate_up, int rows, int width);
using SelectSlicesKernel = void (*)(const RemaskLaunch&, SelectPartial* partials,
                                    const float* logits, const Row* rows, const Sequence* sequences,
                                    const float* floors, int row_count, int columns,
                                    int slice_width, SpecialTokens tokens);
using RestrictTokensKernel = void (*)(const RemaskLaunch&, float* floors, const float* logits,
                                      const Row* rows, const Sequence* sequences, int row_count,
                                      int columns, SpecialTokens tokens);
using TargetOddsKernel = void (*)(const RemaskLaunch&, float* keys, int* candidates,
                                  const float* logits, const Row* rows, const Sequence* sequences,
                                  int row_count, int columns, SpecialTokens tokens);
// out[m,n] (+)= sum over k of a[m,k] * w[n,k], in f32 and in the order of k. `scratch` holds
// gemm_scratch_bytes(m, k), aligned to 64.
template <typename X, typename Out>
using GemmKernel = void (*)(int threads, Out* out, const X* a, const X* w, int m, int n, int k,
                            bool accumulate, float* scratch);
constexpr int kGemmRows = 64;  // rows of `a` that are packed together
inline std::size_t gemm_scratch_bytes(int m, int k) {
  return static_cast<std::size_t>((m + kGemmRows - 1) / kGemmRows) * kGemmRows * k * sizeof(float);
}

struct KernelSet {
  const char* name;
  EmbedKernel<bf16> embed_bf16;
  EmbedKernel<float> embed_f32;
  RmsNormKernel<bf16> rmsnorm_bf16;
  RmsNormKernel<float> rmsnorm_f32;
  RopeKernel<bf16> rope_bf16;
  RopeKernel<float> rope_f32;
  AttentionKernel<bf16> attention_hd64_bf16;
  AttentionKernel<float> attention_hd64_f32;
  AttentionKernel<bf16> attention_hd128_bf16;
  AttentionKernel<float> attention_hd128_f32;
  SwiGluKernel<bf16> swiglu_bf16;
  SwiGluKernel<float> swiglu_f32;
  SelectSlicesKernel select_slices;
  RestrictTokensKernel restrict_tokens;
  TargetOddsKernel target_odds;
  GemmKernel<bf16, bf16> gemm_bf16_bf16;
  GemmKernel<bf16, float> gemm_bf16_f32;
  GemmKernel<float, float> gemm_f32_f32;
  // For the tests of what the kernels are made of.
  void (*exponentials)(float* out, const float* in, int count);
  void (*round_to_bf16)(bf16* out, const float* in, int count);
};

extern const KernelSet kBaselineKernels;  // x86-64, or plain C++ on another architecture
#ifdef __x86_64__
extern const KernelSet kAvx2Kernels;    // AVX2 and FMA
extern const KernelSet kAvx512Kernels;  // AVX-512 F, BW, DQ, VL
#endif

// The fastest set that this processor and its operating system can run.
const KernelSet& best_kernel_set();
// All sets that can run here, slowest first; `count` receives how many.
const KernelSet* const* runnable_kernel_sets(int* count);

}  // namespace remask::host

#endif  // REMASK_HOST_KERNEL_SET_H_
