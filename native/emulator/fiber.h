// Fibers: a stack slot each, switched by a few instructions (20 ns; ucontext, which saves the
// signal mask with a system call, takes 300).
#pragma once

#include <cstddef>
#include <cstdint>

#include "remask_emulator/thread.h"

extern "C" {
// Saves the callee-saved registers on the running stack, its pointer in *from, and goes on at `to`.
void remask_fiber_switch(void** from, void* to);
}

namespace remask::emulator {

constexpr unsigned kMostThreads = 1024;  // of a block

// A growing set of stack slots, mapped once and used again for block after block. Each slot begins
// with a guard page: a stack that overflows faults instead of writing into its neighbour.
class StackSlots {
 public:
  StackSlots() = default;
  ~StackSlots();
  StackSlots(const StackSlots&) = delete;
  StackSlots& operator=(const StackSlots&) = delete;

  // Makes at least `count` slots usable; false if the system gives no memory for them.
  bool reserve(unsigned count);
  unsigned usable() const { return usable_; }
  Thread* thread(unsigned slot) const {
    return thread_in_slot(reinterpret_cast<std::uintptr_t>(base_) + slot * kStackSlotBytes);
  }

 private:
  char* base_ = nullptr;  // address space for kMostThreads slots
  unsigned usable_ = 0;
};

// Prepares a thread's stack so that the next switch to it enters `entry`, which must never return.
void prepare_fiber(Thread* thread, void (*entry)());

}  // namespace remask::emulator
