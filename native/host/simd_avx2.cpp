// The host kernels for processors with AVX2 and FMA; CMakeLists.txt gives this file its flags.
#define REMASK_SIMD avx2
#define REMASK_SIMD_NAME "avx2"
#define REMASK_KERNEL_SET kAvx2Kernels
#include "simd_kernels.h"
