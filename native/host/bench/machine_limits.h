// What one core can do at most: the floors that kernels are measured against.
#ifndef REMASK_HOST_BENCH_MACHINE_LIMITS_H_
#define REMASK_HOST_BENCH_MACHINE_LIMITS_H_

#include <cstddef>

namespace remask::host::bench {

// Runs independent fused multiply-adds of the widest vectors of kernel set `set` and returns how
// many floating-point operations these were (two per lane). A set without FMA: products and sums.
double run_multiply_adds(const char* set);

// Reads a word of every 64 bytes, which brings all of the memory to the core, in four streams, as
// kernels with few rows do.
void read_all(const void* memory, std::size_t bytes);

}  // namespace remask::host::bench

#endif  // REMASK_HOST_BENCH_MACHINE_LIMITS_H_
