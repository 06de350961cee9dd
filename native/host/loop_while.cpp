#include "loop_while.h"

#include "kernel_signature.h"

namespace remask::host {

void loop_while(const RemaskLaunch& launch, unsigned long long handle, const Progress* progress,
                const Member* members, int count, const int* control) {
  bool runs = *static_cast<const volatile int*>(control) == 0;
  for (int i = 0; i < count; ++i) {
    runs = runs && progress[members[i].sequence].status == kRunning;
  }
  set_graph_condition(launch, handle, runs);
}

}  // namespace remask::host
