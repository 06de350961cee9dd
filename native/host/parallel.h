// Compute threads: libgomp's pool of the calling thread.
//
// Each stream worker of the device owns such a pool, because libgomp keeps one per thread that
// opens parallel regions. libgomp ends the surplus threads of a pool when a region asks for fewer
// than the last one did, and starts them again later (tens of microseconds each): so a region uses
// either all the threads it was given or, where the work is too small to share, none but its own.
#ifndef REMASK_HOST_PARALLEL_H_
#define REMASK_HOST_PARALLEL_H_

#include <cstddef>
#include <cstdint>

namespace remask::host {

// The threads that a region over `items` independent items should open: `requested`, or 1 if
// `work` (about the number of vector lanes processed) is too small to pay for waking anyone.
int region_threads(int requested, std::int64_t items, std::int64_t work);

// Called by every thread of a region: names it on its first visit. Cheap afterwards.
void name_compute_thread(int index);

// Throws std::invalid_argument(message) if the condition is false: a launch that the kernel cannot
// run. Before a region, never in one.
void require(bool condition, const char* message);

// Memory of the calling thread's, at least `bytes`, aligned to a page, for one launch at a time: a
// later call may return the same. It stays until remask_host_shutdown. Throws std::bad_alloc.
void* kernel_scratch(std::size_t bytes);

}  // namespace remask::host

// Ends the calling thread's compute threads and waits for them; frees what it keeps. For a stream
// worker about to exit, and for the thread that closes the last context; the next parallel region
// starts new ones.
void remask_host_shutdown();

#endif  // REMASK_HOST_PARALLEL_H_
