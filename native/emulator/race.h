// What ThreadSanitizer is told, in a build with -DREMASK_TSAN=ON; nothing otherwise.
//
// Only the kernels are compiled with -fsanitize=thread. Each emulated thread is a fiber to it, and
// a switch orders nothing: what orders accesses is said here, by the rules of CUDA. So a missing
// barrier is reported whatever the schedule was. A tag is any address; release() publishes what the
// running fiber did so far under it, acquire() takes what was published.
//
// Ordered: barriers (whole block, named, cluster), __syncwarp, mbarriers, atomics and fences (taken
// for acquire and release), blocks that follow one another on one OS thread. Not ordered, as in the
// language: shuffles, votes, mma, ldmatrix. cp.async, TMA, bulk copies and wgmma are fibers of
// their own, from the issue to the wait or the mbarrier.
#pragma once

#include <cstddef>

#ifdef REMASK_TSAN
#include <sanitizer/tsan_interface.h>

extern "C" {
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
}
#endif

namespace remask::emulator::race {

#ifdef REMASK_TSAN
inline void* running() { return __tsan_get_current_fiber(); }
inline void* create() { return __tsan_create_fiber(0); }
inline void destroy(void* fiber) { __tsan_destroy_fiber(fiber); }
inline void switch_to(void* fiber) { __tsan_switch_to_fiber(fiber, 1 /* orders nothing */); }
inline void release(const void* tag) { __tsan_release(const_cast<void*>(tag)); }
inline void acquire(const void* tag) { __tsan_acquire(const_cast<void*>(tag)); }
inline void reads(const void* address, std::size_t bytes) {
  __tsan_read_range(const_cast<void*>(address), bytes);
}
inline void writes(const void* address, std::size_t bytes) {
  __tsan_write_range(const_cast<void*>(address), bytes);
}
#else
inline void* running() { return nullptr; }
inline void* create() { return nullptr; }
inline void destroy(void*) {}
inline void switch_to(void*) {}
inline void release(const void*) {}
inline void acquire(const void*) {}
inline void reads(const void*, std::size_t) {}
inline void writes(const void*, std::size_t) {}
#endif

}  // namespace remask::emulator::race
