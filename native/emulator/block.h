// One block of threads on one OS thread: its fibers, its shared memory, and the scheduler.
//
// A thread runs until it must wait (barrier, collective) or yields (atomics); then the scheduler
// picks another, at random from the launch's seed: sometimes one warp runs far ahead, sometimes
// threads alternate. Every order it takes is one that a GPU may take, so what differs between two
// seeds is a bug of the kernel.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <string>

#include "fiber.h"
#include "kernel_table.h"
#include "shared_memory.h"

namespace remask::emulator {

constexpr unsigned kMostWarps = kMostThreads / 32;
// A thread yields before an atomic at the latest when it has done so many without.
constexpr unsigned kMostAtomicsPerTurn = 8;

// Codes of cuda.h's CUresult that a launch may end with.
constexpr int kSuccess = 0;
constexpr int kInvalidValue = 1;
constexpr int kOutOfMemory = 2;
constexpr int kIllegalAddress = 700;
constexpr int kLaunchOutOfResources = 701;
constexpr int kLaunchTimeout = 702;
constexpr int kAssert = 710;
constexpr int kMisalignedAddress = 716;
constexpr int kLaunchFailed = 719;

// What all blocks of a launch share.
struct Launch {
  const char* kernel;
  void (*body)(const void* args);
  const void* args;
  const RemaskLaunch* request;
};

// Small and fast; statistical quality beyond that is of no use here.
class Random {
 public:
  explicit Random(std::uint64_t seed = 1) : state_(seed * 0x9e3779b97f4a7c15ull | 1) {
    for (int i = 0; i < 4; i++) next();
  }
  std::uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return std::uint32_t(state_ * 0x2545f4914f6cdd1dull >> 32);
  }

 private:
  std::uint64_t state_;
};

class Block {
 public:
  // Runs one block to its end on the calling thread. Returns a CUresult; reason() then says what
  // was wrong.
  int run(const Launch& launch, const uint3& index, std::uint64_t seed);
  int code() const { return code_; }
  const std::string& reason() const { return reason_; }
  unsigned usable_stacks() const { return slots_.usable(); }

  // What fibers call (warp.h and thread.h declare the functions that lead here).
  unsigned long long collective(Thread* self, unsigned operation, unsigned mask,
                                unsigned long long value, unsigned source, const Site& site);
  int barrier(Thread* self, bool predicate, const Site& site);
  void yield(Thread* self);
  // Notes what `self` did wrong at `site`, then leaves all fibers for run().
  [[noreturn]] void fail(const Thread* self, int code, const Site& site, const char* format, ...)
      __attribute__((format(printf, 5, 6)));
  void note_failure(const Thread* self, int code, const Site& site, const char* format,
                    va_list arguments);
  [[noreturn]] void stop();

 private:
  struct Warp {
    std::uint32_t present;  // lanes that the block has
    std::uint32_t ready;    // lanes that may run
    std::uint32_t exited;
    std::uint32_t meeting;  // lanes that wait in a collective
    std::uint32_t mask;     // of the first of them
    bool masks_differ;      // some of them brought another mask
  };

  static void fiber_main();
  void prepare(const Launch& launch, const uint3& index, std::uint64_t seed);
  void switch_away(Thread* self);
  Thread* pick();
  void draw_stay();
  void make_ready(unsigned warp, std::uint32_t lanes);
  void exit(Thread* self);
  void complete(unsigned warp, std::uint32_t mask);
  void report_waiting(const char* what, const char* rule);
  std::string describe_block() const;
  std::string describe_waiting() const;

  StackSlots slots_;
  SharedMemory shared_;
  Launch launch_{};
  uint3 index_{};
  unsigned count_ = 0;
  unsigned live_ = 0;
  std::uint32_t ready_warps_ = 0;
  unsigned current_warp_ = 0;
  std::uint32_t stay_below_ = 0;  // the current warp goes on if a random number is below
  Warp warps_[kMostWarps]{};
  Random random_;

  unsigned arrived_ = 0;  // at the barrier
  unsigned predicates_ = 0;
  int barrier_result_ = 0;
  bool barrier_sites_differ_ = false;
  Site barrier_site_{};

  void* scheduler_ = nullptr;  // stack of run()
  int code_ = kSuccess;
  std::string reason_;
  char failure_[512] = {};  // by note_failure(): a fiber must hold no heap memory when it stops
};

}  // namespace remask::emulator
