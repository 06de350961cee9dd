// The host kernels for processors with AVX-512 F, BW, DQ, VL and BF16; CMakeLists.txt gives this
// file its flags.
#define REMASK_SIMD avx512_bf16
#define REMASK_SIMD_NAME "avx512_bf16"
#define REMASK_KERNEL_SET kAvx512Bf16Kernels
#include "simd_kernels.h"
