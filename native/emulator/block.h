// One block of a cluster: its threads' states, its shared memory, and where its threads meet.
//
// A thread runs until it must wait (barrier, collective) or yields (atomics); then the scheduler
// (cluster.h) picks another.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <memory>
#include <string>

#include "access_check.h"
#include "fiber.h"
#include "kernel_table.h"
#include "random.h"
#include "shared_memory.h"
#include "wait_list.h"

namespace remask::emulator {

class Block;
class Cluster;

constexpr unsigned kMostWarps = kMostThreads / 32;
constexpr unsigned kNamedBarriers = 16;

// The shared window: an address is what follows plus the block's rank in the cluster << 24.
constexpr unsigned kRankShift = 24;
constexpr unsigned kDynamicWindow = 1024;       // dynamic shared memory begins here
constexpr unsigned kStaticWindow = 256 * 1024;  // static variables of the library

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

// What the models of a family of instructions keep about a block: Block::model<T>() makes it when
// it is first used in a block. T::kSlot tells the families apart.
enum class ModelSlot { kAsyncCopy, kHopper, kHopperPipes, kCount };
class BlockModel {
 public:
  virtual ~BlockModel() = default;
  // Forgets what an earlier block left; called before the first use in each block.
  virtual void begin(Block& block) = 0;
  virtual void thread_exits(Thread*) {}
  // All threads of the cluster have exited: what must not be left undone? Answers by
  // block.report().
  virtual void end(Block&) {}
};

class Block {
 public:
  explicit Block(Cluster& cluster) : cluster_(cluster) {}

  Cluster& cluster() const { return cluster_; }
  unsigned rank() const { return rank_; }  // in the cluster
  const uint3& index() const { return index_; }
  unsigned threads() const { return count_; }
  bool has_exited() const { return live_ == 0; }
  // Adversary::kOff: only what makes right kernels run, none of the rules on who must wait for
  // what.
  bool is_naive() const;
  // Barriers of the whole block, and of its cluster, that have been completed.
  unsigned barriers_passed() const;
  Thread* thread(unsigned rank) const { return slots_.thread(rank); }
  SharedMemory& shared() { return shared_; }
  AccessCheck& accesses() { return accesses_; }

  template <class T>
  T& model() {
    constexpr unsigned slot = unsigned(T::kSlot);
    if (models_[slot] == nullptr) models_[slot] = std::make_unique<T>();
    if (!(models_used_ >> slot & 1)) {
      models_used_ |= 1u << slot;
      models_[slot]->begin(*this);
    }
    return static_cast<T&>(*models_[slot]);
  }

  // --- addresses of the shared window ---
  // Of a pointer into this block's shared memory.
  unsigned shared_address(Thread* self, const void* pointer, const Site& site);
  // The bytes behind an address, anywhere in the cluster; they must lie in one array. `self` is
  // reported otherwise.
  char* shared_pointer(Thread* self, unsigned address, unsigned bytes, const Site& site);
  // The same, but in this block's own memory only.
  char* own_shared_pointer(Thread* self, unsigned address, unsigned bytes, const Site& site);

  // --- what fibers call (warp.h and thread.h declare the functions that lead here) ---
  unsigned long long collective(Thread* self, unsigned operation, unsigned mask,
                                unsigned long long value, unsigned source, const Site& site,
                                WarpModel model = nullptr);
  int barrier(Thread* self, bool predicate, const Site& site);
  void named_barrier(Thread* self, int id, int threads, bool wait, const Site& site);
  void yield(Thread* self);
  // Blocks `self` until someone wakes the list. wait.describe says what for.
  void wait(Thread* self, WaitList& list, const Site& site, const Wait& wait);
  // Makes all threads of the list ready, of whatever block of the cluster.
  static void wake_all(WaitList& list);
  void make_ready(Thread* thread) { make_ready(thread->rank / 32, 1u << thread->rank % 32); }

  // Notes what `self` did wrong at `site`, then leaves all fibers for the scheduler. A fiber that
  // calls it must hold no heap memory in its locals: its destructors never run.
  [[noreturn]] void fail(const Thread* self, int code, const Site& site, const char* format, ...)
      __attribute__((format(printf, 5, 6)));
  void note_failure(const Thread* self, int code, const Site& site, const char* format,
                    va_list arguments);
  [[noreturn]] void stop();
  // `self` made an access that its AccessCheck does not allow.
  [[noreturn]] void forbid(Thread* self, std::uintptr_t address, std::size_t bytes,
                           const char* what, const void* return_address);
  // Fails unless these bytes of global memory are alive.
  void check_global(Thread* self, const void* from, std::size_t bytes, const char* what,
                    const Site& site);
  // Notes what is wrong with the block as a whole, if nothing was noted before, and returns.
  void report(int code, const char* format, ...) __attribute__((format(printf, 3, 4)));

 private:
  friend class Cluster;

  struct Warp {
    std::uint32_t present;  // lanes that the block has
    std::uint32_t ready;    // lanes that may run
    std::uint32_t exited;
    std::uint32_t meeting;  // lanes that wait in a collective
    std::uint32_t mask;     // of the first of them
    bool masks_differ;      // some of them brought another mask
    unsigned phase;         // counts collectives
    char tags[2];
  };
  struct NamedBarrier {
    unsigned expected;
    unsigned arrived;
    std::uint32_t lanes[kMostWarps];  // that have arrived
    Site first[kMostWarps];           // where the first lane of a warp did
    WaitList waiting;
    unsigned phase;
    char tags[2];
  };

  static void fiber_main();
  bool reserve(unsigned threads, unsigned shared_bytes, bool poison);
  void prepare(unsigned rank, const uint3& index);
  Thread* pick(std::uint32_t random);
  Thread* pick_in_order();
  void draw_stay();
  void make_ready(unsigned warp, std::uint32_t lanes);
  void exit(Thread* self);
  void complete(unsigned warp, std::uint32_t mask);
  void perform(unsigned warp);
  void complete_named(Thread* self, int id, const Site& site);
  void end_models();
  std::string describe() const;
  std::string describe_waiting() const;

  Cluster& cluster_;
  unsigned rank_ = 0;
  StackSlots slots_;
  SharedMemory shared_;
  AccessCheck accesses_;
  uint3 index_{};
  unsigned count_ = 0;
  unsigned live_ = 0;
  std::uint32_t ready_warps_ = 0;
  unsigned current_warp_ = 0;
  std::uint32_t stay_below_ = 0;  // the current warp goes on if a random number is below
  Warp warps_[kMostWarps]{};

  // Tags for race.h come in pairs, of even and odd phases: who leaves one late must not see what
  // others did before they reached the next.
  unsigned arrived_ = 0;  // at __syncthreads
  unsigned barrier_phase_ = 0;
  char barrier_tags_[2] = {};
  unsigned predicates_ = 0;
  int barrier_result_ = 0;
  bool barrier_sites_differ_ = false;
  Site barrier_site_{};

  unsigned named_used_ = 0;  // bit per barrier
  NamedBarrier named_[kNamedBarriers]{};

  std::unique_ptr<BlockModel> models_[unsigned(ModelSlot::kCount)];
  unsigned models_used_ = 0;
};

}  // namespace remask::emulator
