// Copies between global and shared memory that the hardware makes on its own: TMA's boxes of a
// tensor and plain bulk copies (PTX ISA 9.7.9.25 and 27).
//
// Each is an operation of the cluster's queue, so it happens at a drawn moment between its issue
// and the wait that covers it. A load's destination is poisoned at its issue and its source read
// when it completes; a store's source is compared, when it is read, with what stood there at the
// issue.
#pragma once

#include <memory>
#include <vector>

#include "async_queue.h"
#include "block.h"
#include "hopper_barrier.h"
#include "hopper_tensor.h"

namespace remask::emulator {

class Copies;

// A copy under way in either direction.
struct Copy {
  Block* issuer;
  unsigned thread;  // of the issuer
  Site site;
  Block* block;     // whose shared memory it is
  unsigned offset;  // in its shared window, without a rank
  unsigned bytes;
  bool tensor;    // a box; else plain bytes
  TensorBox box;  // if tensor
  char* global;   // if not

  const Thread* by() const { return issuer->thread(thread); }
};

class Load : public AsyncOperation {
 public:
  void complete() override;

  Copies* owner = nullptr;  // of the destination
  Copy copy{};
  Mbarrier* barrier = nullptr;
  unsigned phase = 0;
  void* engine = nullptr;  // these two for race.h
  char issue_tag = 0;
};

// Two operations in one: it reads shared memory, later it writes global memory.
class Store : public AsyncOperation {
 public:
  void complete() override;

  Copies* owner = nullptr;
  Copy copy{};
  std::vector<char> bytes;  // as they stood at the issue
  unsigned group = 0;
  bool read = false;
  void* engine = nullptr;  // these two for race.h
  char issue_tag = 0;
};

// Those into, and those issued from, one block's shared memory.
class Copies {
 public:
  void begin(Block& block);
  // Reports a thread that leaves without a wait for its stores.
  void thread_exits(Thread* thread);

  // `copy` of a load into this block; its mbarrier must be known to TMA.
  void load(const Copy& copy, Mbarrier& barrier);
  void store(const Copy& copy);
  void commit(const Thread* thread) { threads_[thread->rank].committed++; }
  void wait(const Thread* thread, unsigned pending, bool read);
  // Reports `self`, which is about to read or write bytes that a load in flight writes.
  void require_no_load(const Thread* self, unsigned offset, unsigned bytes, const char* what,
                       const Site& site) const;
  bool any_load(unsigned begin, unsigned end) const;
  // "; a TMA load issued at file:line wrote there since", for reports; empty if none did.
  const char* last_writer(unsigned offset);

 private:
  friend class Load;
  friend class Store;

  struct Writer {
    unsigned begin, end;
    Site site;
  };
  struct PerThread {
    unsigned committed;  // groups
    unsigned covered;    // of them, by waits
    unsigned stored;     // one more than the group of its last store; 0: it has issued none
    Site last;
    char done_tag;  // for race.h
  };
  static constexpr unsigned kRemembered = 32;

  Block* block_ = nullptr;
  bool adversarial_ = true;
  std::vector<std::unique_ptr<Load>> loads_;  // all ever made; the free ones in free_loads_
  std::vector<Load*> free_loads_, flying_loads_;
  std::vector<std::unique_ptr<Store>> stores_;
  std::vector<Store*> free_stores_, flying_stores_;  // issue order
  PerThread threads_[kMostThreads] = {};
  bool stored_ = false;  // some thread has issued a store
  Writer writers_[kRemembered] = {};
  unsigned next_writer_ = 0;
  char text_[256] = {};
};

}  // namespace remask::emulator
