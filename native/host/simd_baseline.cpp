// The host kernels for any x86-64 processor, or plain C++ on another architecture; CMakeLists.txt
// gives this file its flags.
#define REMASK_SIMD baseline
#define REMASK_SIMD_NAME "baseline"
#define REMASK_KERNEL_SET kBaselineKernels
#include "simd_kernels.h"
