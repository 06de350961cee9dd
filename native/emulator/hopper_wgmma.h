// The tensor pipes of a block, one per warpgroup: wgmma as an asynchronous instruction.
//
// The 128 threads of a warpgroup do not meet at a wgmma: each notes what it issues and goes on, and
// what it notes must be what the first one to come noted. An instruction that all have issued may
// retire, in order, at the latest when someone waits for its group and, if the adversary wants it
// so, nobody else can go on. At its issue the operands are read and the accumulators poisoned; when
// it retires the operands must still be the same, and the product is taken. So what a kernel
// forgets shows: no wait, and it reads NaN; a stage released too early, and the overwritten chunk
// is named.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "async_queue.h"
#include "block.h"
#include "hopper_matrix.h"

namespace remask::emulator {

constexpr unsigned kWarpgroup = 128;

// What one thread asks for.
struct WgmmaCall {
  float* d;
  unsigned n;
  bool trans_b;
  bool accumulate;
  const unsigned* a_registers;  // null: A through its descriptor
  unsigned long long a, b;
};

// The accumulators of a warpgroup while instructions are in flight on them.
struct Accumulators {
  float* d[kWarpgroup];
  unsigned n;
  unsigned in_flight;  // instructions
  Site first;          // that poisoned them
  unsigned use;        // counts those that began here; the tile keeps its result until the next
  alignas(32) float tile[kMatrixM * kMostN];
};

struct WgmmaInstruction {
  WgmmaCall call;  // of the first thread to come
  Site site;
  unsigned first;   // that thread's rank
  unsigned issued;  // threads
  Accumulators* accumulators;
  bool begins;  // found the accumulators in the threads' registers
  MatrixChunks a_chunks, b_chunks;
  std::uint16_t a[kMatrixM * kMatrixK];
  std::uint16_t b[kMatrixK * kMostN];
};

class WgmmaPipe {
 public:
  void begin(Block& block, unsigned warpgroup);
  void fence(Thread* self);
  void issue(Thread* self, const WgmmaCall& call, const Site& site);
  void commit(Thread* self, const Site& site);
  void wait(Thread* self, unsigned pending, const Site& site);
  void thread_exits(Thread* thread);
  std::string describe(unsigned long long target) const;

 private:
  // What somebody waits for.
  class Retirement : public AsyncOperation {
   public:
    explicit Retirement(WgmmaPipe& pipe) : pipe_(pipe) {}
    void complete() override;
    unsigned target = 0;  // instructions, of those that all threads have issued

   private:
    WgmmaPipe& pipe_;
  };

  // Registers of a thread that instructions have used, as they were when it last fenced: changes
  // since then need a fence.
  struct Registers {
    const void* at;
    unsigned bytes;
    std::uint64_t hash;
    const Accumulators* retired;  // that delivered here since the fence; null: none did
    unsigned use;                 // of those
  };
  struct PerThread {
    bool fenced;
    unsigned issued;     // instructions
    unsigned covered;    // of them, by waits
    unsigned committed;  // groups
    Site last;
    std::vector<Registers> known;
  };

  void first_issue(Thread* self, WgmmaInstruction& instruction, const WgmmaCall& call,
                   const Site& site);
  void read_operand(Thread* self, MatrixChunks& chunks, std::uint16_t* elements,
                    unsigned long long descriptor, unsigned rows, bool mn_major, const char* name,
                    const Site& site);
  void require_same(Thread* self, const WgmmaInstruction& instruction, const WgmmaCall& call,
                    const Site& site);
  void take_accumulators(Thread* self, WgmmaInstruction& instruction, const WgmmaCall& call,
                         const Site& site);
  void take_a_fragment(Thread* self, WgmmaInstruction& instruction, const WgmmaCall& call,
                       const Site& site);
  void require_unchanged(const WgmmaInstruction& instruction, const MatrixChunks& chunks,
                         const std::uint16_t* elements, const char* name);
  void retire();
  void tell_reads(const WgmmaInstruction& instruction);
  void deliver(Accumulators& accumulators);
  Registers* find(PerThread& thread, const void* at);
  static bool is_unchanged(const Registers& known, unsigned thread, const Accumulators& next);
  void remember(PerThread& thread, const void* at, unsigned bytes);
  const Thread* laggard(const WgmmaInstruction& instruction) const;

  Block* block_ = nullptr;
  unsigned warpgroup_ = 0;
  bool adversarial_ = true;
  unsigned retired_ = 0;       // instructions, from the first on
  unsigned fully_issued_ = 0;  // the same of those that all threads have issued
  unsigned wake_at_ = ~0u;     // fully_issued_ that somebody waits for
  std::deque<WgmmaInstruction*> flying_;
  std::vector<unsigned> group_ends_;  // instructions before the end of each group
  std::vector<Site> group_sites_;
  PerThread threads_[kWarpgroup];
  std::vector<std::unique_ptr<WgmmaInstruction>> instructions_;  // all ever made
  std::vector<WgmmaInstruction*> free_instructions_;
  std::vector<std::unique_ptr<Accumulators>> accumulators_;  // all ever made; in_flight 0: free
  WaitList waiting_;
  Retirement retirement_{*this};
  void* engine_ = nullptr;  // these three for race.h
  char issue_tag_ = 0, done_tag_ = 0;
};

class WgmmaPipes : public BlockModel {
 public:
  static constexpr ModelSlot kSlot = ModelSlot::kHopperPipes;

  void begin(Block& block) override;
  void thread_exits(Thread* thread) override;
  WgmmaPipe& of(Thread* thread, const Site& site);

 private:
  std::vector<std::unique_ptr<WgmmaPipe>> pipes_;
};

}  // namespace remask::emulator
