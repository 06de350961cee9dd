// What the build generates from the kernels' sources.
#pragma once

#include "registration.h"

namespace remask::emulator {

extern const KernelList* const kKernelLists[];  // one per .cu
extern const unsigned kKernelListCount;

}  // namespace remask::emulator
