// The host kernels for processors with AVX-512 F, BW, DQ and VL; CMakeLists.txt gives this file its
// flags.
#define REMASK_SIMD avx512
#define REMASK_SIMD_NAME "avx512"
#define REMASK_KERNEL_SET kAvx512Kernels
#include "simd_kernels.h"
