// loop_while: whether the WHILE graph of a run goes on: as long as every member of the pass is
// running and the host has not asked for control.
// in handle of the WHILE node, progress (by slot), members Member[count]
// in control i32[1], mapped host memory that the host may write at any time; 0: goes on
// 1 one CTA strides over the members, however many
// cudaGraphSetConditional is the driver's own, like printf: nothing is linked for it, and PTX will
// do. A driver older than CUDA 12.4 cannot load this image, so nothing else is in it.
// compiled: 256 threads, up to 40 regs; floor: bound by the launch; not measured
#include "include/diffusion_state.h"

namespace remask {
namespace {

constexpr int kThreads = 256;

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    loop_while(unsigned long long handle, const remask::Progress* progress,
               const remask::Member* members, int count, const int* control) {
  using namespace remask;
  int runs = 1;
  for (int i = threadIdx.x; i < count; i += kThreads) {
    if (progress[members[i].sequence].status != kRunning) runs = 0;
  }
  const int all_run = __syncthreads_and(runs);
  if (threadIdx.x == 0) {
    // Volatile, so that it is read from the host's memory and not from a cache.
    const int wish = *static_cast<const volatile int*>(control);
    cudaGraphSetConditional(handle, all_run && wish == 0 ? 1 : 0);
  }
}
