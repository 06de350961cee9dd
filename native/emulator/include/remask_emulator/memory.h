// Loads and stores with cache hints: plain ones here, but their alignment is checked, because the
// hardware faults on a misaligned vector access and x86 does not.
#pragma once

#include "thread.h"

namespace remask::emulator {

template <class T>
void require_aligned(const T* address, const char* file, int line) {
  if (reinterpret_cast<std::uintptr_t>(address) % sizeof(T) != 0) {
    fail(716, file, line, "access of %zu bytes at a misaligned address %p", sizeof(T),
         static_cast<const void*>(address));
  }
}

}  // namespace remask::emulator

#define REMASK_LOAD(name)                                                                      \
  template <class T>                                                                           \
  T name(const T* address, const char* file = __builtin_FILE(), int line = __builtin_LINE()) { \
    ::remask::emulator::require_aligned(address, file, line);                                  \
    return *address;                                                                           \
  }
REMASK_LOAD(__ldg)
REMASK_LOAD(__ldca)
REMASK_LOAD(__ldcg)
REMASK_LOAD(__ldcs)
REMASK_LOAD(__ldlu)
REMASK_LOAD(__ldcv)
#undef REMASK_LOAD

#define REMASK_STORE(name)                                            \
  template <class T, class U>                                         \
  void name(T* address, U value, const char* file = __builtin_FILE(), \
            int line = __builtin_LINE()) {                            \
    ::remask::emulator::require_aligned(address, file, line);         \
    *address = value;                                                 \
  }
REMASK_STORE(__stwb)
REMASK_STORE(__stcg)
REMASK_STORE(__stcs)
REMASK_STORE(__stwt)
#undef REMASK_STORE
