// A cluster of blocks on one OS thread, and its scheduler. Most clusters are one block.
//
// Who runs next is drawn from the launch's seed: sometimes one warp runs far ahead, sometimes
// threads alternate. Every order it takes is one that a GPU may take, so what differs between two
// seeds is a bug of the kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "adversary.h"
#include "async_queue.h"
#include "bank_counter.h"
#include "block.h"
#include "race.h"
#include "random.h"

namespace remask::emulator {

constexpr unsigned kMostClusterBlocks = 8;  // portable cluster size
// A thread yields before an atomic at the latest when it has done so many without.
constexpr unsigned kMostAtomicsPerTurn = 8;

// What all blocks of a launch share.
struct Launch {
  const char* kernel;
  void (*body)(const void* args);
  const void* args;
  std::size_t argument_bytes;
  const RemaskLaunch* request;
  RemaskDim3 cluster;
  Adversary adversary;
};

class Cluster {
 public:
  // Runs the cluster whose first block is `first` to its end on the calling thread. Returns a
  // CUresult; reason() then says what was wrong.
  int run(const Launch& launch, const uint3& first, std::uint64_t seed);
  int code() const { return code_; }
  const std::string& reason() const { return reason_; }
  unsigned usable_stacks() const;

  unsigned size() const { return size_; }
  Block& block(unsigned rank) { return *blocks_[rank]; }
  const Launch& launch() const { return launch_; }
  unsigned phase() const { return phase_; }  // barriers completed
  AsyncQueue& async() { return async_; }
  Random& random() { return random_; }
  // Null: bank conflicts are not counted.
  BankCounter* banks() { return launch_.request->banks != nullptr ? &banks_ : nullptr; }
  // Adds what run() counted.
  void add_banks(RemaskBanks* total) { banks_.finish(total); }

  // barrier.cluster: of all threads of the cluster that have not exited.
  void arrive(Thread* self, const Site& site);
  void wait(Thread* self, const Site& site);

 private:
  friend class Block;

  struct Forbidden {
    const Thread* thread;  // null: nobody made an access that is not allowed
    std::uintptr_t address;
    std::size_t bytes;
    const char* what;
    const void* return_address;  // null: at site
    Site site;
  };

  Thread* pick();
  // Goes on at `next`, at the scheduler if null; the running stack is kept in *from.
  void jump(void** from, Thread* next) {
    race::switch_to(next != nullptr ? next->race_fiber : scheduler_fiber_);
    remask_fiber_switch(from, next != nullptr ? next->stack_pointer : scheduler_);
  }
  // Lets another thread run; returns when `self` has been made ready and is picked again.
  void switch_away(Thread* self);
  void exit(Thread* self);
  void complete_barrier();
  void explain();
  void explain_forbidden();

  Launch launch_{};
  unsigned size_ = 0;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::uint32_t ready_blocks_ = 0;
  unsigned current_ = 0;
  Random random_;
  AsyncQueue async_;
  BankCounter banks_;

  unsigned live_ = 0;     // threads
  unsigned arrived_ = 0;  // at the cluster's barrier
  unsigned phase_ = 0;
  char barrier_tags_[2] = {};  // for race.h, of even and odd phases
  WaitList waiting_;

  void* scheduler_ = nullptr;  // stack of run()
  void* scheduler_fiber_ = nullptr;
  bool fibers_dropped_ = false;       // the last run left some in the middle of a kernel
  char begin_tag_ = 0, end_tag_ = 0;  // of a run, for race.h
  int code_ = kSuccess;
  unsigned blamed_ = 0;  // rank of the block whose barrier failed
  std::string reason_;
  Forbidden forbidden_{};
  char failure_[1024] = {};  // by note_failure(): a fiber must hold no heap memory when it stops
};

}  // namespace remask::emulator
