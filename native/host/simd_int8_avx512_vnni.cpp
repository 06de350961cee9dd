// The kernels of --quantize int8 for processors with AVX-512 F, BW, DQ, VL and VNNI; CMakeLists.txt
// gives this file its flags.
#define REMASK_SIMD int8_avx512_vnni
#define REMASK_SIMD_NAME "avx512_vnni"
#define REMASK_INT8_KERNELS kAvx512VnniInt8
#include "simd_int8_table.h"
