// Which of the compiled kernel sets this processor can run.
#include "kernel_set.h"

namespace remask::host {
namespace {

struct RunnableSets {
  const KernelSet* sets[3];
  int count = 0;

  RunnableSets() {
    sets[count++] = &kBaselineKernels;
#ifdef __x86_64__
    __builtin_cpu_init();  // also asks whether the system saves the wide registers
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      sets[count++] = &kAvx2Kernels;
      if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        sets[count++] = &kAvx512Kernels;
      }
    }
#endif
  }
};

const RunnableSets& runnable() {
  static const RunnableSets sets;
  return sets;
}

}  // namespace

const KernelSet& best_kernel_set() { return *runnable().sets[runnable().count - 1]; }

const KernelSet* const* runnable_kernel_sets(int* count) {
  *count = runnable().count;
  return runnable().sets;
}

}  // namespace remask::host
