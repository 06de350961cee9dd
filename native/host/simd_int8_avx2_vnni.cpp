// The kernels of --quantize int8 for processors with AVX2 and AVX-VNNI; CMakeLists.txt gives this
// file its flags.
#define REMASK_SIMD int8_avx2_vnni
#define REMASK_SIMD_NAME "avx2_vnni"
#define REMASK_INT8_KERNELS kAvx2VnniInt8
#include "simd_int8_table.h"
