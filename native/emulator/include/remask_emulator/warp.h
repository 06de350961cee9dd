// Barriers and warp collectives. Each is a point where the scheduler picks, by seed, who runs next.
//
// Rules that are checked, stricter than most hardware: the caller is in its mask; the mask names no
// absent and no exited lane; all lanes of a mask meet at the same operation with the same mask;
// all threads of the block reach __syncthreads, at the same line.
#pragma once

#include "arithmetic.h"
#include "thread.h"

namespace remask::emulator {

enum class Operation : unsigned {
  kSyncWarp,
  kShuffle,
  kBallot,
  kMatchAny,
  kMatchAll,
  kAdd,
  kMinSigned,
  kMinUnsigned,
  kMaxSigned,
  kMaxUnsigned,
  kAnd,
  kOr,
  kXor,
  kInstruction,  // warp_instruction()
};

// Waits for the lanes of mask and returns this lane's result.
unsigned long long collective(Operation operation, unsigned mask, unsigned long long value,
                              unsigned source, const Site& site);

// Waits for all threads of the block; returns how many of them passed a true predicate.
int barrier(bool predicate, const Site& site);

// Value returned for a lane outside the mask: CUDA leaves it undefined, so it is a NaN pattern.
constexpr unsigned long long kPoison = 0x7fff7fff7fff7fffull;

template <class T>
T shuffle(unsigned mask, T value, unsigned source, const Site& site) {
  static_assert(sizeof(T) <= 8, "a shuffle moves up to 8 bytes");
  unsigned long long bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  bits = collective(Operation::kShuffle, mask, bits, source, site);
  T result;
  __builtin_memcpy(&result, &bits, sizeof(T));
  return result;
}

inline unsigned lane_of(const Thread* thread) { return thread->rank % 32; }

}  // namespace remask::emulator

#define REMASK_SITE_PARAMETERS const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define REMASK_SITE \
  ::remask::emulator::Site { __func__, file, line }

inline void __syncthreads(REMASK_SITE_PARAMETERS) {
  ::remask::emulator::barrier(false, REMASK_SITE);
}
inline int __syncthreads_count(int predicate, REMASK_SITE_PARAMETERS) {
  return ::remask::emulator::barrier(predicate != 0, REMASK_SITE);
}
inline int __syncthreads_or(int predicate, REMASK_SITE_PARAMETERS) {
  return ::remask::emulator::barrier(predicate != 0, REMASK_SITE) != 0;
}
inline int __syncthreads_and(int predicate, REMASK_SITE_PARAMETERS) {
  return ::remask::emulator::barrier(predicate == 0, REMASK_SITE) == 0;
}

inline void __syncwarp(unsigned mask = 0xffffffffu, REMASK_SITE_PARAMETERS) {
  ::remask::emulator::collective(::remask::emulator::Operation::kSyncWarp, mask, 0, 0, REMASK_SITE);
}

// The language promises only that the caller is active, so that is all the emulator tells.
inline unsigned __activemask() {
  return 1u << ::remask::emulator::lane_of(::remask::emulator::this_thread());
}

// Lanes are shuffled within segments of `width`; out of a segment's range a lane keeps its value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, REMASK_SITE_PARAMETERS) {
  unsigned lane = ::remask::emulator::lane_of(::remask::emulator::this_thread());
  unsigned segment = lane & ~(unsigned(width) - 1);
  return ::remask::emulator::shuffle(mask, value, segment + (unsigned(source) & (width - 1)),
                                     REMASK_SITE);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, REMASK_SITE_PARAMETERS) {
  unsigned lane = ::remask::emulator::lane_of(::remask::emulator::this_thread());
  unsigned in_segment = lane & (unsigned(width) - 1);
  return ::remask::emulator::shuffle(mask, value, in_segment >= delta ? lane - delta : lane,
                                     REMASK_SITE);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, REMASK_SITE_PARAMETERS) {
  unsigned lane = ::remask::emulator::lane_of(::remask::emulator::this_thread());
  unsigned in_segment = lane & (unsigned(width) - 1);
  return ::remask::emulator::shuffle(
      mask, value, in_segment + delta < unsigned(width) ? lane + delta : lane, REMASK_SITE);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, REMASK_SITE_PARAMETERS) {
  unsigned lane = ::remask::emulator::lane_of(::remask::emulator::this_thread());
  unsigned source = lane ^ unsigned(lane_mask);
  // A later segment is out of range, an earlier one is not: PTX ISA 9.7.9.6, shfl.sync.bfly.
  bool later = source >= (lane | (unsigned(width) - 1)) + 1;
  return ::remask::emulator::shuffle(mask, value, later ? lane : source, REMASK_SITE);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, REMASK_SITE_PARAMETERS) {
  return unsigned(::remask::emulator::collective(::remask::emulator::Operation::kBallot, mask,
                                                 predicate != 0, 0, REMASK_SITE));
}
inline int __any_sync(unsigned mask, int predicate, REMASK_SITE_PARAMETERS) {
  return ::remask::emulator::collective(::remask::emulator::Operation::kBallot, mask,
                                        predicate != 0, 0, REMASK_SITE) != 0;
}
inline int __all_sync(unsigned mask, int predicate, REMASK_SITE_PARAMETERS) {
  return ::remask::emulator::collective(::remask::emulator::Operation::kBallot, mask,
                                        predicate == 0, 0, REMASK_SITE) == 0;
}

template <class T>
unsigned __match_any_sync(unsigned mask, T value, REMASK_SITE_PARAMETERS) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "match compares 4 or 8 bytes");
  unsigned long long bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  return unsigned(::remask::emulator::collective(::remask::emulator::Operation::kMatchAny, mask,
                                                 bits, 0, REMASK_SITE));
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* predicate, REMASK_SITE_PARAMETERS) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "match compares 4 or 8 bytes");
  unsigned long long bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  unsigned same = unsigned(::remask::emulator::collective(::remask::emulator::Operation::kMatchAll,
                                                          mask, bits, 0, REMASK_SITE));
  *predicate = same != 0;
  return same;
}

#define REMASK_REDUCE(name, type, operation)                                                   \
  inline type __reduce_##name##_sync(unsigned mask, type value, REMASK_SITE_PARAMETERS) {      \
    return type(::remask::emulator::collective(::remask::emulator::Operation::operation, mask, \
                                               (unsigned long long)value, 0, REMASK_SITE));    \
  }
REMASK_REDUCE(add, int, kAdd)
REMASK_REDUCE(add, unsigned, kAdd)
REMASK_REDUCE(min, int, kMinSigned)
REMASK_REDUCE(min, unsigned, kMinUnsigned)
REMASK_REDUCE(max, int, kMaxSigned)
REMASK_REDUCE(max, unsigned, kMaxUnsigned)
REMASK_REDUCE(and, unsigned, kAnd)
REMASK_REDUCE(or, unsigned, kOr)
REMASK_REDUCE(xor, unsigned, kXor)
#undef REMASK_REDUCE
#undef REMASK_SITE
#undef REMASK_SITE_PARAMETERS
