// The kernels of --quantize int8 for any x86-64 processor, or plain C++ on another architecture;
// CMakeLists.txt gives this file its flags.
#define REMASK_SIMD int8_baseline
#define REMASK_SIMD_NAME "baseline"
#define REMASK_INT8_KERNELS kBaselineInt8
#include "simd_int8_table.h"
