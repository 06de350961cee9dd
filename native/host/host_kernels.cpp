// The table of host kernels: what the software CUDA device runs for each kernel's name.
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "gemm.h"
#include "gemm_packed.h"
#include "head_select.h"
#include "int8.h"
#include "kernel_set.h"
#include "kernel_signature.h"
#include "kernel_table.h"
#include "loop_while.h"
#include "parallel.h"
#include "row_copies.h"
#include "selection.h"
#include "step_kernels.h"

namespace remask::host {
namespace {

// A kernel of the set that fits this processor, as a function of the same parameters.
template <auto kMember>
struct Best;
template <typename... Parameters, void (*KernelSet::*kMember)(const RemaskLaunch&, Parameters...)>
struct Best<kMember> {
  static void run(const RemaskLaunch& launch, Parameters... parameters) {
    (best_kernel_set().*kMember)(launch, parameters...);
  }
};

template <typename X, QuantizeRowsKernel<X> Int8Kernels::*kMember>
void quantize_rows(const RemaskLaunch& launch, std::int8_t* out, float* scales, const X* in,
                   int rows, int width) {
  (best_int8_kernels().*kMember)(launch, out, scales, in, rows, width);
}

template <GemmTypes kTypes, typename Out, typename X>
void gemm(const RemaskLaunch& launch, Out* out, const X* a, const X* w, int m, int n, int k) {
  std::string why;
  if (!remask_gemm(out, a, w, m, n, k, kTypes, false, launch.threads, &why)) {
    throw std::runtime_error(why);
  }
}

// Kernels that do nothing: what is left when they are timed is what a launch costs.
void empty_1(const RemaskLaunch&, float*) {}
void empty_8(const RemaskLaunch&, float*, const float*, const float*, const float*, int, int, int,
             float) {}
void empty_16(const RemaskLaunch&, float*, const float*, const float*, const float*, const float*,
              const float*, const float*, const float*, int, int, int, int, int, int, int, float) {}

#define REMASK_BEST(name) host_kernel<&Best<&KernelSet::name>::run>(#name)

constexpr RemaskKernel kKernels[] = {
    REMASK_BEST(embed_bf16),
    REMASK_BEST(embed_f32),
    REMASK_BEST(rmsnorm_bf16),
    REMASK_BEST(rmsnorm_f32),
    REMASK_BEST(rope_bf16),
    REMASK_BEST(rope_f32),
    REMASK_BEST(attention_hd64_bf16),
    REMASK_BEST(attention_hd64_f32),
    REMASK_BEST(attention_hd128_bf16),
    REMASK_BEST(attention_hd128_f32),
    REMASK_BEST(swiglu_bf16),
    REMASK_BEST(swiglu_f32),
    host_kernel<&gather_rows<bf16>>("gather_rows_bf16"),
    host_kernel<&gather_rows<float>>("gather_rows_f32"),
    host_kernel<&store_kv<bf16>>("store_kv_bf16"),
    host_kernel<&store_kv<float>>("store_kv_f32"),
    host_kernel<&gemm<GemmTypes::BF16_BF16, bf16, bf16>>("gemm_bf16_bf16"),
    host_kernel<&gemm<GemmTypes::BF16_F32, float, bf16>>("gemm_bf16_f32"),
    host_kernel<&gemm<GemmTypes::F32_F32, float, float>>("gemm_f32_f32"),
    host_kernel<&quantize_rows<bf16, &Int8Kernels::quantize_rows_bf16>>("quantize_rows_bf16"),
    host_kernel<&quantize_rows<float, &Int8Kernels::quantize_rows_f32>>("quantize_rows_f32"),
    host_kernel<&gemm_int8_bf16>("gemm_int8_bf16"),
    host_kernel<&gemm_int8_f32>("gemm_int8_f32"),
    host_kernel<&gemm_int8_residual>("gemm_int8_residual"),
    REMASK_BEST(select_slices),
    host_kernel<&select_merge>("select_merge"),
    host_kernel<&constrain>("constrain"),
    REMASK_BEST(restrict_tokens),
    REMASK_BEST(target_odds),
    host_kernel<&lay_rows>("lay_rows"),
    host_kernel<&commit_rows>("commit_rows"),
    host_kernel<&loop_while>("loop_while"),
    host_kernel<&empty_1>("empty_1"),
    host_kernel<&empty_8>("empty_8"),
    host_kernel<&empty_16>("empty_16"),
};

// Module gemm_packed, for each type of the weights.
constexpr RemaskKernel kPackedBf16[] = {
    host_kernel<&pack_weight<bf16>>("pack_weight_bf16"),
    host_kernel<&gemm_packed<bf16, bf16>>("gemm_packed_bf16_bf16"),
    host_kernel<&gemm_packed<bf16, float>>("gemm_packed_bf16_f32"),
    host_kernel<&gemm_packed_residual<bf16>>("gemm_packed_residual_bf16"),
    host_kernel<&gemm_packed_swiglu<bf16>>("gemm_packed_swiglu_bf16"),
    host_kernel<&gemm_packed_rope<bf16>>("gemm_packed_rope_bf16"),
    host_kernel<&head_select_bf16>("head_select_bf16"),
};

constexpr RemaskKernel kPackedF32[] = {
    host_kernel<&pack_weight<float>>("pack_weight_f32"),
    host_kernel<&gemm_packed<float, float>>("gemm_packed_f32_f32"),
    host_kernel<&gemm_packed_residual<float>>("gemm_packed_residual_f32"),
    host_kernel<&gemm_packed_swiglu<float>>("gemm_packed_swiglu_f32"),
    host_kernel<&gemm_packed_rope<float>>("gemm_packed_rope_f32"),
    host_kernel<&head_select_f32>("head_select_f32"),
};

// Weights are not to be packed where oneDNN multiplies: it reads them as they lie.
std::vector<RemaskKernel> offered_kernels() {
  std::vector<RemaskKernel> offered(std::begin(kKernels), std::end(kKernels));
  const auto offer = [&](const auto& kernels, GemmTypes types) {
    if (remask_gemm_prefers_onednn(types)) return;
    offered.insert(offered.end(), std::begin(kernels), std::end(kernels));
  };
  offer(kPackedBf16, GemmTypes::BF16_BF16);
  offer(kPackedF32, GemmTypes::F32_F32);
  return offered;
}

}  // namespace
}  // namespace remask::host

const RemaskKernelTable* remask_host_kernels() {
  // Never destroyed: launches may outlive the end of main.
  static const auto& kernels = *new std::vector<RemaskKernel>(remask::host::offered_kernels());
  static const RemaskKernelTable table = {REMASK_KERNEL_TABLE_VERSION,
                                          static_cast<unsigned>(kernels.size()), kernels.data()};
  return &table;
}
