#pragma once

#include "remask_emulator/thread.h"

namespace remask::emulator {

// Threads that wait for one thing; Block::wait() and Block::wake_all() work on it. A thread is in
// one list at most, so the links lie in the threads and a list costs nothing.
class WaitList {
 public:
  bool empty() const { return first_ == nullptr; }
  void clear() { first_ = nullptr; }
  void add(Thread* thread) {
    thread->next_waiting = first_;
    first_ = thread;
  }
  Thread* take() {
    Thread* taken = first_;
    first_ = taken->next_waiting;
    return taken;
  }

 private:
  Thread* first_ = nullptr;
};

}  // namespace remask::emulator
