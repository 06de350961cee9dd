// Atomics. They are real ones, because blocks run on several threads; relaxed, as CUDA's are. Now
// and then the caller yields before one, so that other interleavings are seen and a thread that
// spins on a flag lets the one that sets it run.
#pragma once

#include "arithmetic.h"
#include "thread.h"

namespace remask::emulator {

// ThreadSanitizer knows no fences: to it every atomic orders what a fence beside it might.
#ifdef __SANITIZE_THREAD__
constexpr int kAtomicOrder = __ATOMIC_ACQ_REL, kAtomicLoadOrder = __ATOMIC_ACQUIRE;
#else
constexpr int kAtomicOrder = __ATOMIC_RELAXED, kAtomicLoadOrder = __ATOMIC_RELAXED;
#endif

inline void before_atomic() {
  if (--this_thread()->atomics_until_yield == 0) yield();
}

// Applies `update` until no other thread interfered; returns the value before.
template <class T, class Update>
T atomic_update(T* address, Update update) {
  before_atomic();
  T seen;
  __atomic_load(address, &seen, kAtomicLoadOrder);
  for (;;) {
    T wanted = update(seen);
    if (__atomic_compare_exchange(address, &seen, &wanted, false, kAtomicOrder, kAtomicLoadOrder)) {
      return seen;
    }
  }
}

}  // namespace remask::emulator

#define REMASK_ATOMIC(name, type, expression)                                               \
  inline type name(type* address, type value) {                                             \
    return ::remask::emulator::atomic_update(address,                                       \
                                             [=](type old) { return (type)(expression); }); \
  }                                                                                         \
  inline type name##_block(type* address, type value) { return name(address, value); }      \
  inline type name##_system(type* address, type value) { return name(address, value); }
#define REMASK_ATOMIC_INTEGERS(name, expression) \
  REMASK_ATOMIC(name, int, expression)           \
  REMASK_ATOMIC(name, unsigned, expression)      \
  REMASK_ATOMIC(name, unsigned long long, expression)

// Wrapping addition is done unsigned: signed overflow is no error in CUDA.
REMASK_ATOMIC(atomicAdd, int, unsigned(old) + unsigned(value))
REMASK_ATOMIC(atomicAdd, unsigned, old + value)
REMASK_ATOMIC(atomicAdd, unsigned long long, old + value)
REMASK_ATOMIC(atomicAdd, float, old + value)
REMASK_ATOMIC(atomicAdd, double, old + value)
REMASK_ATOMIC(atomicSub, int, unsigned(old) - unsigned(value))
REMASK_ATOMIC(atomicSub, unsigned, old - value)
REMASK_ATOMIC_INTEGERS(atomicMin, old < value ? old : value)
REMASK_ATOMIC(atomicMin, long long, old < value ? old : value)
REMASK_ATOMIC_INTEGERS(atomicMax, old < value ? value : old)
REMASK_ATOMIC(atomicMax, long long, old < value ? value : old)
REMASK_ATOMIC_INTEGERS(atomicExch, (void(old), value))
REMASK_ATOMIC(atomicExch, float, (void(old), value))
REMASK_ATOMIC_INTEGERS(atomicAnd, old& value)
REMASK_ATOMIC_INTEGERS(atomicOr, old | value)
REMASK_ATOMIC_INTEGERS(atomicXor, old ^ value)
REMASK_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
REMASK_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
#undef REMASK_ATOMIC_INTEGERS
#undef REMASK_ATOMIC

#define REMASK_ATOMIC_CAS(type)                                            \
  inline type atomicCAS(type* address, type expected, type value) {        \
    return ::remask::emulator::atomic_update(                              \
        address, [=](type old) { return old == expected ? value : old; }); \
  }                                                                        \
  inline type atomicCAS_block(type* address, type expected, type value) {  \
    return atomicCAS(address, expected, value);                            \
  }                                                                        \
  inline type atomicCAS_system(type* address, type expected, type value) { \
    return atomicCAS(address, expected, value);                            \
  }
REMASK_ATOMIC_CAS(int)
REMASK_ATOMIC_CAS(unsigned)
REMASK_ATOMIC_CAS(unsigned long long)
REMASK_ATOMIC_CAS(unsigned short)
#undef REMASK_ATOMIC_CAS

inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
