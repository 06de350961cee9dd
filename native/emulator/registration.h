// Makes a table entry of each __global__ function. CMake generates a file per .cu that includes the
// .cu and lists its kernels with REMASK_EMULATE(name, most threads per block, cluster's x, y, z);
// parameters are deduced from the function's type.
#pragma once

#include <tuple>

#include "kernel_signature.h"
#include "launch.h"

namespace remask::emulator {

// The kernels of one .cu.
struct KernelList {
  const RemaskKernel* kernels;
  unsigned count;
};

template <auto kKernel>
struct EmulatedKernel {
  using Arguments = SignatureOf<decltype(kKernel)>;

  static void body(const void* args) { std::apply(kKernel, Arguments::unpack(args)); }
};

}  // namespace remask::emulator

#define REMASK_EMULATE(kernel, most_threads, x, y, z)                                              \
  ::remask::emulator::EmulatedKernel<&kernel>::Arguments::describe(                                \
      #kernel, unsigned(most_threads),                                                             \
      [](const RemaskLaunch* launch, const void* args, char* reason, std::size_t reason_bytes)     \
          __attribute__((no_sanitize("kernel-address"))) {                                         \
            using Kernel = ::remask::emulator::EmulatedKernel<&kernel>;                            \
            return ::remask::emulator::run_kernel(                                                 \
                #kernel, &Kernel::body, RemaskDim3{unsigned(x), unsigned(y), unsigned(z)}, launch, \
                args, Kernel::Arguments::kBufferBytes, reason, reason_bytes);                      \
          })
