// Runs a whole grid.
#pragma once

#include <cstddef>

#include "kernel_table.h"

namespace remask::emulator {

// Runs `body(args)` in every thread of every block of the launch, clusters of `cluster` blocks
// spread over `launch->threads` OS threads in an order drawn from `launch->seed`, and waits for
// them. Returns a CUresult; if it is not 0, `reason` says what rule was broken and where. Any
// thread; no state is shared between launches but a pool of stacks.
int run_kernel(const char* kernel, void (*body)(const void* args), const RemaskDim3& cluster,
               const RemaskLaunch* launch, const void* args, std::size_t argument_bytes,
               char* reason, std::size_t reason_bytes);

}  // namespace remask::emulator
