// Body of the simd_int8_*.cpp files: fills one Int8Kernels from the kernels compiled with its
// flags.
#include "int8.h"
#include "simd_int8.h"
#include "simd_int8_gemm.h"

namespace remask::host {

extern const Int8Kernels REMASK_INT8_KERNELS = {
    REMASK_SIMD_NAME,
    REMASK_SIMD::quantize_rows<bf16>,
    REMASK_SIMD::quantize_rows<float>,
    REMASK_SIMD::gemm_int8<REMASK_SIMD::Store, bf16>,
    REMASK_SIMD::gemm_int8<REMASK_SIMD::Store, float>,
    REMASK_SIMD::gemm_int8<REMASK_SIMD::Residual, float>,
};

}  // namespace remask::host
