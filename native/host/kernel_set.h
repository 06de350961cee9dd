// The host kernels that are compiled once per instruction set, as a table of functions.
//
// simd_baseline.cpp, simd_avx2.cpp, simd_avx512.cpp and simd_avx512_bf16.cpp compile the same
// sources with different flags and each fill one table; dispatch.cpp picks one when the process
// first asks. Every member has the parameter list of the CUDA kernel of its name (kernels/*.cu)
// behind the launch.
#ifndef REMASK_HOST_KERNEL_SET_H_
#define REMASK_HOST_KERNEL_SET_H_

#include <cstddef>
#include <cstdint>
#include <string>

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
// What head_select has a set's kernel do. A place is a row of the pass that is to be chosen for,
// or, right behind it, the row of its unconditional copy.
constexpr int kHeadCopy = -1;
template <typename X>
struct HeadWork {
  SelectPartial* partials;  // [row, slice]
  const X* a;               // [places, k]
  const X* w;               // [columns, k], packed
  const Row* rows;
  const Sequence* sequences;
  SpecialTokens tokens;
  int columns, k, slice_width, slices;
  int groups;               // of places that a thread computes together, a row and its copy in one
  const int* group_begins;  // [groups + 1], places
  const int* row_of;        // of each place: its row, or kHeadCopy
  float* prepared;          // a's rows as the products read them, of each group
  std::int64_t prepared_floats;  // of a group
  float* logits;                 // of each thread
  int logits_stride;             // floats from row to row
  std::int64_t logits_floats;    // of a thread
};
template <typename X>
using HeadSelectKernel = void (*)(int threads, const HeadWork<X>& work);
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

// Products by packed weights (gemm_packed.h). `scratch` holds packed_scratch_bytes(m, k, threads),
// aligned to 64.
template <typename X, typename Out>
using PackedKernel = void (*)(int threads, Out* out, const X* a, const X* w, int m, int n, int k,
                              float* scratch);
constexpr int kPackedBlock = 256;  // of k: what is laid out together
constexpr int kPackedPad = 16;  // floats behind it: rows of a tile must not meet in a cache's sets
inline std::size_t prepared_floats(int m, int k) {
  const std::size_t blocks = (static_cast<std::size_t>(k) + kPackedBlock - 1) / kPackedBlock;
  return m * blocks * (kPackedBlock + kPackedPad);
}
// Whether every thread lays the rows out for itself: where they are few, that is less than what the
// half that another one made costs on its way from that core's cache, and a barrier less.
inline bool prepares_alone(int m, int k) {
  return prepared_floats(m, k) * sizeof(float) <= 512 * 1024;  // part of its L2
}
inline std::size_t packed_scratch_bytes(int m, int k, int threads) {
  return prepared_floats(m, k) * sizeof(float) * (prepares_alone(m, k) ? threads : 1);
}

// Where the heads of a QKV product's rows go: heads of q, then kv_heads of keys, then of values.
//
// Those of q and keys are turned: element i of a head's first half with element i of its second, by
// the angle of (position, i). Rows of q are q_stride elements apart, rows of keys and values
// kv_stride; row r of keys and values goes to row kv_rows[r], or to row r where kv_rows is null.
template <typename X>
struct PackedHeads {
  X *q, *keys, *values;
  const float* cos_sin;  // f32[P, head_dim / 2, 2]
  const int *positions, *kv_rows;
  int heads, kv_heads, head_dim, q_stride, kv_stride;
};
template <typename X>
using PackedRopeKernel = void (*)(int threads, const PackedHeads<X>& heads, const X* a, const X* w,
                                  int m, int n, int k, float* scratch);

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
  HeadSelectKernel<bf16> head_select_bf16;
  HeadSelectKernel<float> head_select_f32;
  RestrictTokensKernel restrict_tokens;
  TargetOddsKernel target_odds;
  GemmKernel<bf16, bf16> gemm_bf16_bf16;
  GemmKernel<bf16, float> gemm_bf16_f32;
  GemmKernel<float, float> gemm_f32_f32;
  PackedKernel<bf16, bf16> gemm_packed_bf16_bf16;
  PackedKernel<bf16, float> gemm_packed_bf16_f32;
  PackedKernel<float, float> gemm_packed_f32_f32;
  PackedKernel<bf16, float> gemm_packed_residual_bf16;
  PackedKernel<float, float> gemm_packed_residual_f32;
  PackedKernel<bf16, bf16> gemm_packed_swiglu_bf16;
  PackedKernel<float, float> gemm_packed_swiglu_f32;
  PackedRopeKernel<bf16> gemm_packed_rope_bf16;
  PackedRopeKernel<float> gemm_packed_rope_f32;
  // For the tests of what the kernels are made of.
  void (*exponentials)(float* out, const float* in, int count);
  void (*round_to_bf16)(bf16* out, const float* in, int count);
};

extern const KernelSet kBaselineKernels;  // x86-64, or plain C++ on another architecture
#ifdef __x86_64__
extern const KernelSet kAvx2Kernels;        // AVX2 and FMA
extern const KernelSet kAvx512Kernels;      // AVX-512 F, BW, DQ, VL
extern const KernelSet kAvx512Bf16Kernels;  // these and AVX512_BF16: products of bf16 by vdpbf16ps
#endif

// The set that the process uses: the one that REMASK_HOST_KERNELS names, else the fastest for this
// processor and its operating system. Throws std::invalid_argument where the variable names none
// that can run here.
const KernelSet& best_kernel_set();
// All sets that can run here, simplest first; `count` receives how many.
const KernelSet* const* runnable_kernel_sets(int* count);

// Of `count` sets that can run: the one called `asked`, or, where that is null or empty, the one
// that is fastest on a processor of AMD's, or of others. Null, with the reason in *why, if the name
// is none of them.
const KernelSet* choose_kernel_set(const char* asked, const KernelSet* const* sets, int count,
                                   bool is_amd, std::string* why);

}  // namespace remask::host

#endif  // REMASK_HOST_KERNEL_SET_H_
