// The table of host kernels: what the software CUDA device runs for each kernel's name.
#include <stdexcept>

#include "gemm.h"
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

template <GemmTypes kTypes, typename Out, typename X>
void gemm(const RemaskLaunch& launch, Out* out, const X* a, const X* w, int m, int n, int k) {
  std::string why;
  if (!remask_gemm(out, a, w, m, n, k, kTypes, false, launch.threads, &why)) {
    throw std::runtime_error(why);
  }
}

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
    REMASK_BEST(select_slices),
    host_kernel<&select_merge>("select_merge"),
    host_kernel<&constrain>("constrain"),
    REMASK_BEST(restrict_tokens),
    REMASK_BEST(target_odds),
    host_kernel<&lay_rows>("lay_rows"),
    host_kernel<&commit_rows>("commit_rows"),
    host_kernel<&loop_while>("loop_while"),
};

}  // namespace
}  // namespace remask::host

const RemaskKernelTable* remask_host_kernels() {
  static constexpr RemaskKernelTable table = {REMASK_KERNEL_TABLE_VERSION,
                                              sizeof(remask::host::kKernels) / sizeof(RemaskKernel),
                                              remask::host::kKernels};
  return &table;
}
