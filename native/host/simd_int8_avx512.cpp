// The kernels of --quantize int8 for processors with AVX-512 F, BW, DQ and VL; CMakeLists.txt gives
// this file its flags.
#define REMASK_SIMD int8_avx512
#define REMASK_SIMD_NAME "avx512"
#define REMASK_INT8_KERNELS kAvx512Int8
#include "simd_int8_table.h"
