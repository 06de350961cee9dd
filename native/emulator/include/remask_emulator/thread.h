// The emulated CUDA thread: what a fiber knows about itself. Kernels see it through threadIdx and
// its kin (language.h); the scheduler (block.h) owns the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "vector_types.h"

namespace remask::emulator {

class AccessCheck;
class Block;

// Where a thread waits, for the reports: name of the collective and its line in the .cu.
struct Site {
  const char* what;
  const char* file;
  int line;
};

struct Thread;

// An instruction of a whole warp, performed for all lanes by the last one to reach it: lanes[i] is
// what lane i passed to warp_instruction(). It may read and write all lanes' operands.
using WarpModel = void (*)(void* const (&lanes)[32], Thread* last, const Site& site);

// What a thread brings to a collective, and what the last one to arrive leaves for it.
struct Offer {
  unsigned operation;  // Operation of warp.h
  unsigned mask;
  unsigned source;  // shuffles: the lane whose value is wanted
  unsigned long long value;
  unsigned long long result;
  WarpModel model;
};

// What a thread waits for besides its site, for the deadlock report: describe(object, value).
struct Wait {
  std::string (*describe)(const void* object, unsigned long long value);
  const void* object;
  unsigned long long value;
};

struct Thread {
  uint3 index;            // threadIdx
  uint3 block_index;      // blockIdx
  dim3 block_dimensions;  // blockDim
  dim3 grid_dimensions;   // gridDim
  char* shared;           // begin of the block's shared memory
  Block* block;
  AccessCheck* accesses;  // null: none are checked
  void* stack_pointer;    // while it does not run
  unsigned rank;          // linear index in the block
  unsigned atomics_until_yield;
  Site site;  // valid while it waits
  Wait wait;  // in a WaitList only; describe is null otherwise
  Offer offer;
  Thread* next_waiting;  // of its WaitList
  unsigned cluster_phase;
  bool cluster_arrived;  // and not yet waited
  unsigned polls;        // load_acquire() of this block so far
  void* race_fiber;      // race.h: of the thread
  void* race_engine;     // ... of its asynchronous copies
};

// Stacks lie in slots of this size, aligned to it, so that a fiber finds its Thread from its stack
// pointer: no thread-local variable and no reserved register is needed.
constexpr std::size_t kStackSlotBytes = 128 * 1024;
// Slots begin at multiples of a power of two, which would put the hot end of every stack into the
// same few cache sets; so each slot's hot end is moved down by a different number of lines.
constexpr std::size_t kColours = 128;
constexpr std::size_t kColourBytes = 256;
constexpr std::size_t kThreadBytes = (sizeof(Thread) + 63) / 64 * 64;

inline Thread* thread_in_slot(std::uintptr_t slot) {
  std::uintptr_t colour = slot / kStackSlotBytes % kColours * kColourBytes;
  return reinterpret_cast<Thread*>(slot + kStackSlotBytes - kThreadBytes - colour);
}

// The calling fiber's thread. Only device code may call it: elsewhere there is none.
inline Thread* this_thread() {
  std::uintptr_t stack;
  // Not volatile: a fiber stays in its slot, so the compiler may reuse the value.
#if defined(__x86_64__)
  asm("mov %%rsp, %0" : "=r"(stack));
#elif defined(__aarch64__)
  asm("mov %0, sp" : "=r"(stack));
#else
#error "the emulator switches fibers on x86-64 and aarch64"
#endif
  return thread_in_slot(stack & ~(kStackSlotBytes - 1));
}

// Ends the launch with CUDA_ERROR_LAUNCH_FAILED (719) or the given code and never returns; the
// format's text is preceded by kernel, block, warp and lane.
[[noreturn]] void fail(int code, const char* file, int line, const char* format, ...)
    __attribute__((format(printf, 4, 5)));

// Gives a conditional graph node's condition its value; fails if the handle is of no graph that
// runs.
void set_condition(unsigned long long handle, unsigned value, const char* file, int line);

// Lets other threads of the block run; the caller stays runnable.
void yield();

// All 32 lanes of the caller's warp meet here, at the same line; see WarpModel.
void warp_instruction(WarpModel model, void* operands, const Site& site);

}  // namespace remask::emulator
