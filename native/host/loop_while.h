// Whether a run's WHILE graph goes on; kernels/loop.cu defines it.
#ifndef REMASK_HOST_LOOP_WHILE_H_
#define REMASK_HOST_LOOP_WHILE_H_

#include "diffusion_state.h"
#include "kernel_table.h"

namespace remask::host {

void loop_while(const RemaskLaunch& launch, unsigned long long handle, const Progress* progress,
                const Member* members, int count, const int* control);

}  // namespace remask::host

#endif  // REMASK_HOST_LOOP_WHILE_H_
