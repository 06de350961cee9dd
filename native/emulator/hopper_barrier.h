// The mbarriers of a block, as state machines (PTX ISA 9.7.13.15).
//
// In shared memory stands only a token by which a barrier is found again, so a store that runs over
// a barrier is noticed at its next use.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "block.h"

namespace remask::emulator {

class Mbarrier {
 public:
  void init(Block& block, unsigned address, unsigned count, const Thread* by, const Site& site);
  // Each of these may end a phase and wake who waits for it. `by` is reported if it may not.
  void arrive(const Thread* by, const Site& site);
  void expect(unsigned bytes, const Thread* by, const Site& site);
  // The bytes of a copy that was issued in `phase`.
  void complete(unsigned bytes, unsigned phase, const Thread* by, const Site& site);
  // Blocks until the phase of this parity has ended.
  void wait(Thread* self, unsigned parity, const Site& site);
  // What copies and other blocks need of it.
  void require_fenced(const Thread* by, const Site& site) const;
  // What other warps need of it: a barrier of the block or the cluster since its initialisation.
  void require_published(const Thread* by, const Site& site) const;

  void fence_by(unsigned rank) { fenced_ |= rank == initialiser_; }
  unsigned phase() const { return phase_; }
  unsigned address() const { return address_; }
  const Site& initialised() const { return initialised_; }
  std::string describe(unsigned parity) const;

 private:
  void end_phase_if_complete(const Thread* by, const Site& site);

  Block* block_ = nullptr;
  unsigned address_ = 0;
  unsigned count_ = 0;
  unsigned pending_ = 0;
  long tx_ =
      0;  // bytes announced and not here; below 0 while bytes are here before the announcement
  unsigned phase_ = 0;
  bool observed_ = true;  // a wait has returned for the phase before
  bool fenced_ = false;
  unsigned initialiser_ = 0;
  unsigned initialised_at_ = 0;  // barriers that the block had passed
  Site initialised_{};
  Site last_arrival_{};
  WaitList waiting_;
};

class Mbarriers {
 public:
  void clear() { barriers_.clear(); }
  void init(Block& block, Thread* self, unsigned address, unsigned count, const Site& site);
  // The one at an address of this block; `self`, of any block of the cluster, is reported if there
  // is none.
  Mbarrier& at(Thread* self, unsigned address, const Site& site);
  // What this thread initialised is visible to copies and other blocks from now on.
  void fence_by(unsigned rank);

 private:
  std::deque<Mbarrier> barriers_;  // threads that wait hold references
};

}  // namespace remask::emulator
