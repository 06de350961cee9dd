// CUDA's keywords and built-in variables for g++.
#pragma once

#include "thread.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__

// __shared__ arrays are thread-local variables to the compiler, whose address the library's own
// __tls_get_addr (shared_memory.cpp) finds in the memory of the running fiber's block. It works for
// static arrays and for `extern __shared__ T name[]`, whose names CMake collects. The attribute
// makes the compiler ask for each variable by itself: they do not lie where the linker put them.
#define __shared__ __attribute__((tls_model("global-dynamic"))) thread_local

#define threadIdx (::remask::emulator::this_thread()->index)
#define blockIdx (::remask::emulator::this_thread()->block_index)
#define blockDim (::remask::emulator::this_thread()->block_dimensions)
#define gridDim (::remask::emulator::this_thread()->grid_dimensions)
constexpr int warpSize = 32;

// Note: no __noinline__ (libstdc++ spells an attribute so); use __attribute__((noinline)).

inline void __trap(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  ::remask::emulator::fail(719, file, line, "__trap() was executed");
}
using cudaGraphConditionalHandle = unsigned long long;
inline void cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned value,
                                    const char* file = __builtin_FILE(),
                                    int line = __builtin_LINE()) {
  ::remask::emulator::set_condition(handle, value, file, line);
}
inline void __nanosleep(unsigned) { ::remask::emulator::yield(); }
