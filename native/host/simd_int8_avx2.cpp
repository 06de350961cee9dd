// The kernels of --quantize int8 for processors with AVX2; CMakeLists.txt gives this file its
// flags.
#define REMASK_SIMD int8_avx2
#define REMASK_SIMD_NAME "avx2"
#define REMASK_INT8_KERNELS kAvx2Int8
#include "simd_int8_table.h"
