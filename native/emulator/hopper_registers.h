// setmaxnreg: the registers of a block, handed from warp to warp.
#pragma once

#include "block.h"

namespace remask::emulator {

class RegisterPool {
 public:
  // Every thread begins with what a launch of so many threads leaves each.
  void begin(const Block& block);
  // The calling warp has met; blocks while an increase must wait.
  void set(Thread* self, unsigned registers, bool increase, const Site& site);
  // Reports a warp that leaves without what another one of its warpgroup has executed.
  void thread_exits(Thread* thread);

 private:
  struct Warp {
    unsigned registers;
    std::uint32_t lanes;  // that have come to the call under way; 0: all or none
    unsigned calls;
    bool exited;
    Site last;
  };
  struct Call {
    unsigned registers;
    bool increase;
    Site site;
  };
  static constexpr unsigned kMostCalls = 8;  // of a warpgroup that are compared

  static std::string describe(const void* pool, unsigned long long registers);

  unsigned free_ = 0;
  Warp warps_[kMostWarps]{};
  Call calls_[kMostWarps / 4][kMostCalls]{};
  WaitList waiting_;
};

}  // namespace remask::emulator
