// The library's only export.
#include <vector>

#include "kernel_lists.h"

// Every kernel of the library. Null on a CPU without AVX2 and FMA, for which the kernels are
// compiled; then there is no emulator on this machine.
const RemaskKernelTable* remask_emulator_kernels() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi2")) {
    return nullptr;
  }
#endif
  static const std::vector<RemaskKernel> kernels = [] {
    std::vector<RemaskKernel> all;
    for (unsigned i = 0; i < remask::emulator::kKernelListCount; i++) {
      const remask::emulator::KernelList& list = *remask::emulator::kKernelLists[i];
      all.insert(all.end(), list.kernels, list.kernels + list.count);
    }
    return all;
  }();
  static const RemaskKernelTable table{REMASK_KERNEL_TABLE_VERSION, unsigned(kernels.size()),
                                       kernels.data()};
  return &table;
}
