// Operations that the hardware carries out while threads go on: copies, tensor core pipes.
//
// From start() on an operation may be carried out at any time, and must be when someone waits for
// it. Which moment it is decides what a kernel with a missing wait sees, so the queue draws one:
// at once, at a random moment, or as late as the language allows. REMASK_EMULATOR_ADVERSARY fixes
// one of these for all (adversary.h).
#pragma once

#include <cstddef>
#include <vector>

#include "adversary.h"
#include "random.h"

namespace remask::emulator {

// Owned by the model that started it, which may use it again once it is complete.
class AsyncOperation {
 public:
  virtual ~AsyncOperation() = default;
  // Carries it out; called once per start, no longer queued. Runs on some fiber of the cluster,
  // not on one of its own: this_thread() is nobody of interest. It may make threads ready and may
  // fail() in the name of the thread that issued it.
  virtual void complete() = 0;
  // False while it must come after another one that is under way.
  virtual bool may_complete() const { return true; }

 private:
  friend class AsyncQueue;
  static constexpr unsigned kNotQueued = ~0u;
  bool late_ = false;
  unsigned position_ = kNotQueued;

 public:
  bool is_queued() const { return position_ != kNotQueued; }
};

// The queue of a cluster (one of a single block for most kernels).
class AsyncQueue {
 public:
  void reset(Adversary adversary, Random* random);
  // May carry it out before it returns.
  void start(AsyncOperation& operation);
  // Carries it out now if it is still queued: someone waited for it.
  void finish(AsyncOperation& operation);
  // Forgets it: it will never be carried out.
  void cancel(AsyncOperation& operation) { remove(operation); }
  // One operation, if any may complete: nobody else can go on. False: there was none.
  bool advance();
  // Called whenever a thread is picked.
  void turn() {
    if (!soon_.empty() || !late_.empty()) turn_slowly();
  }

 private:
  void turn_slowly();
  void remove(AsyncOperation& operation);
  bool complete_one_of(std::vector<AsyncOperation*>& operations);

  std::vector<AsyncOperation*> soon_, late_;
  Adversary adversary_ = Adversary::kRandom;
  Random* random_ = nullptr;
};

}  // namespace remask::emulator
