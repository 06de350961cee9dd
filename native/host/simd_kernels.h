// Body of the simd_*.cpp files: fills one KernelSet from the kernels compiled with its flags.
#include "simd_attention.h"
#include "simd_gemm.h"
#include "simd_head.h"
#include "simd_odds.h"
#include "simd_packed_gemm.h"
#include "simd_restrict.h"
#include "simd_rows.h"
#include "simd_select.h"

namespace remask::host {

extern const KernelSet REMASK_KERNEL_SET = {
    REMASK_SIMD_NAME,
    REMASK_SIMD::embed<bf16>,
    REMASK_SIMD::embed<float>,
    REMASK_SIMD::rmsnorm<bf16>,
    REMASK_SIMD::rmsnorm<float>,
    REMASK_SIMD::rope<bf16>,
    REMASK_SIMD::rope<float>,
    REMASK_SIMD::attention<64, bf16>,
    REMASK_SIMD::attention<64, float>,
    REMASK_SIMD::attention<128, bf16>,
    REMASK_SIMD::attention<128, float>,
    REMASK_SIMD::swiglu<bf16>,
    REMASK_SIMD::swiglu<float>,
    REMASK_SIMD::select_slices,
    REMASK_SIMD::head_select<bf16>,
    REMASK_SIMD::head_select<float>,
    REMASK_SIMD::restrict_tokens,
    REMASK_SIMD::target_odds,
    REMASK_SIMD::gemm<bf16, bf16>,
    REMASK_SIMD::gemm<bf16, float>,
    REMASK_SIMD::gemm<float, float>,
    REMASK_SIMD::gemm_packed<bf16, bf16>,
    REMASK_SIMD::gemm_packed<bf16, float>,
    REMASK_SIMD::gemm_packed<float, float>,
    REMASK_SIMD::gemm_packed_residual<bf16>,
    REMASK_SIMD::gemm_packed_residual<float>,
    REMASK_SIMD::gemm_packed_swiglu<bf16>,
    REMASK_SIMD::gemm_packed_swiglu<float>,
    REMASK_SIMD::gemm_packed_rope<bf16>,
    REMASK_SIMD::gemm_packed_rope<float>,
    REMASK_SIMD::exponentials,
    REMASK_SIMD::round_to_bf16,
};

}  // namespace remask::host
