// Models of the instructions of sm_80: mma, ldmatrix, cp.async, named barriers, acquire and
// release.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "cluster.h"
#include "remask_emulator/ptx.h"

namespace remask::emulator {
namespace {

float bf16_low(unsigned pair) { return __uint_as_float(pair << 16); }
float bf16_high(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// A block that polls so often (10 seconds and more) waits for nobody.
constexpr unsigned kMostPolls = 100000000;

// --- mma ----------------------------------------------------------------------------------------

struct MmaOperands {
  float (*d)[4];
  const unsigned (*a)[4];
  const unsigned (*b)[2];
  int m, n;
};

// Sums run over k in order, in f32, each product fused: the hardware's order is its own secret, so
// results agree with it up to rounding.
void perform_mma(void* const (&lanes)[32], Thread*, const Site&) {
  const auto& first = *static_cast<const MmaOperands*>(lanes[0]);
  const int m = first.m, n = first.n;
  alignas(32) float b[16][8];
  alignas(32) float a[16][16];
  for (int j = 0; j < n; j++) {
    for (int lane = 0; lane < 32; lane++) {
      const unsigned(&r)[2] = static_cast<const MmaOperands*>(lanes[lane])->b[j];
      const int g = lane / 4, t = lane % 4;
      for (int half = 0; half < 2; half++) {
        b[8 * half + 2 * t][g] = bf16_low(r[half]);
        b[8 * half + 2 * t + 1][g] = bf16_high(r[half]);
      }
    }
    for (int i = 0; i < m; i++) {
      for (int lane = 0; lane < 32; lane++) {
        const unsigned(&r)[4] = static_cast<const MmaOperands*>(lanes[lane])->a[i];
        const int g = lane / 4, t = lane % 4;
        for (int part = 0; part < 4; part++) {
          a[g + part % 2 * 8][2 * t + part / 2 * 8] = bf16_low(r[part]);
          a[g + part % 2 * 8][2 * t + part / 2 * 8 + 1] = bf16_high(r[part]);
        }
      }
      for (int g = 0; g < 16; g++) {
        alignas(32) float row[8];
        for (int t = 0; t < 4; t++) {
          float(&d)[4] = static_cast<const MmaOperands*>(lanes[g % 8 * 4 + t])->d[i * n + j];
          row[2 * t] = d[g / 8 * 2];
          row[2 * t + 1] = d[g / 8 * 2 + 1];
        }
        for (int k = 0; k < 16; k++) {
          for (int c = 0; c < 8; c++) row[c] = __builtin_fmaf(a[g][k], b[k][c], row[c]);
        }
        for (int t = 0; t < 4; t++) {
          float(&d)[4] = static_cast<const MmaOperands*>(lanes[g % 8 * 4 + t])->d[i * n + j];
          d[g / 8 * 2] = row[2 * t];
          d[g / 8 * 2 + 1] = row[2 * t + 1];
        }
      }
    }
  }
}

// --- ldmatrix -----------------------------------------------------------------------------------

struct LdmatrixOperands {
  unsigned* r;
  unsigned row;
  int matrices;
  bool transposed;
};

void perform_ldmatrix(void* const (&lanes)[32], Thread* last, const Site& site) {
  const auto& first = *static_cast<const LdmatrixOperands*>(lanes[0]);
  Block& block = *last->block;
  const unsigned warp = last->rank / 32 * 32;
  unsigned short rows[32][8];
  char* pointers[32];
  for (int i = 0; i < 8 * first.matrices; i++) {
    const unsigned address = static_cast<const LdmatrixOperands*>(lanes[i])->row;
    Thread* thread = block.thread(warp + unsigned(i));
    if (address % 16 != 0) {
      block.fail(thread, kMisalignedAddress, site, "row address 0x%x is not a multiple of 16 bytes",
                 address);
    }
    pointers[i] = block.own_shared_pointer(thread, address, 16, site);
    std::memcpy(rows[i], pointers[i], 16);
    race::reads(pointers[i], 16);
  }
  if (BankCounter* banks = block.cluster().banks()) {
    for (int j = 0; j < first.matrices; j++) banks->rows(pointers + 8 * j, site);
  }
  for (int lane = 0; lane < 32; lane++) {
    unsigned* r = static_cast<const LdmatrixOperands*>(lanes[lane])->r;
    const int g = lane / 4, t = lane % 4;
    for (int j = 0; j < first.matrices; j++) {
      const auto* matrix = &rows[8 * j];
      r[j] = first.transposed ? matrix[2 * t][g] | unsigned(matrix[2 * t + 1][g]) << 16
                              : matrix[g][2 * t] | unsigned(matrix[g][2 * t + 1]) << 16;
    }
  }
}

// --- cp.async -----------------------------------------------------------------------------------

struct Copy {
  char* to;
  const void* from;  // null: zeros
};

// The copies of a thread up to a commit.
class CopyGroup : public AsyncOperation {
 public:
  void complete() override {
    void* running = race::running();
    race::switch_to(issuer->race_engine);
    race::acquire(&issue_tag);
    for (const Copy& copy : copies) perform(copy);
    race::release(&done_tag);
    race::switch_to(running);
    copies.clear();
  }
  static void perform(const Copy& copy) {
    race::writes(copy.to, 16);
    if (copy.from == nullptr) {
      std::memset(copy.to, 0, 16);
    } else {
      race::reads(copy.from, 16);
      std::memcpy(copy.to, copy.from, 16);
    }
  }

  Thread* issuer = nullptr;
  char issue_tag = 0, done_tag = 0;  // for race.h
  std::vector<Copy> copies;
};

class AsyncCopies : public BlockModel {
 public:
  static constexpr ModelSlot kSlot = ModelSlot::kAsyncCopy;

  void begin(Block&) override {
    if (threads_.empty()) threads_.resize(kMostThreads);
    for (PerThread& thread : threads_) {
      thread.oldest = thread.count = 0;
      thread.drawn = false;
      for (auto& group : thread.groups) group->copies.clear();
    }
  }

  void issue(Thread* self, const Copy& copy) {
    PerThread& thread = threads_[self->rank];
    const Adversary adversary = self->block->cluster().launch().adversary;
    if (!thread.drawn) {
      thread.drawn = true;
      thread.at_once = adversary == Adversary::kEarliest || adversary == Adversary::kOff ||
                       (adversary == Adversary::kRandom &&
                        (self->block->cluster().random().next() >> 16) % 4 == 0);
    }
    if (thread.at_once) {
      CopyGroup::perform(copy);
      return;
    }
    static const std::uint32_t poison[4] = {kPoisonWord, kPoisonWord, kPoisonWord, kPoisonWord};
    std::memcpy(copy.to, poison, 16);
    thread.group(thread.count).copies.push_back(copy);
  }

  void commit(Thread* self) {
    PerThread& thread = threads_[self->rank];
    thread.drawn = false;
    CopyGroup& group = thread.group(thread.count++);
    if (self->race_engine == nullptr) self->race_engine = race::create();
    group.issuer = self;
    race::release(&group.issue_tag);
    if (!group.copies.empty()) self->block->cluster().async().start(group);
  }

  void wait(Thread* self, unsigned pending) {
    PerThread& thread = threads_[self->rank];
    while (thread.count > pending) {
      self->block->cluster().async().finish(thread.group(0));
      race::acquire(&thread.group(0).done_tag);
      thread.oldest = (thread.oldest + 1) % unsigned(thread.groups.size());
      thread.count--;
    }
  }

 private:
  struct PerThread {
    // A ring: `count` groups are committed from `oldest` on, the next one is open.
    std::vector<std::unique_ptr<CopyGroup>> groups;
    unsigned oldest = 0, count = 0;
    bool drawn = false, at_once = false;

    CopyGroup& group(unsigned i) {
      if (i >= groups.size()) {
        std::rotate(groups.begin(), groups.begin() + oldest, groups.end());
        oldest = 0;
        while (i >= groups.size()) groups.push_back(std::make_unique<CopyGroup>());
      }
      return *groups[(oldest + i) % groups.size()];
    }
  };
  std::vector<PerThread> threads_;
};

}  // namespace

// --- what the headers call ----------------------------------------------------------------------

unsigned shared_address(const void* shared, const Site& site) {
  Thread* self = this_thread();
  return self->block->shared_address(self, shared, site);
}

void mma_m16n8k16(float (*d)[4], const unsigned (*a)[4], const unsigned (*b)[2], int m, int n,
                  const Site& site) {
  MmaOperands operands{d, a, b, m, n};
  warp_instruction(&perform_mma, &operands, site);
}

void ldmatrix(unsigned* r, int matrices, bool transposed, unsigned row, const Site& site) {
  LdmatrixOperands operands{r, row, matrices, transposed};
  warp_instruction(&perform_ldmatrix, &operands, site);
}

void cp_async_16(unsigned to, const void* from, bool valid, const Site& site) {
  Thread* self = this_thread();
  Block& block = *self->block;
  if (to % 16 != 0 || (valid && reinterpret_cast<std::uintptr_t>(from) % 16 != 0)) {
    block.fail(self, kMisalignedAddress, site,
               "from %p to shared address 0x%x: both must be multiples of 16 bytes", from, to);
  }
  char* pointer = block.own_shared_pointer(self, to, 16, site);
  if (valid) block.check_global(self, from, 16, "load", site);
  if (BankCounter* banks = block.cluster().banks()) {
    banks->access(self, reinterpret_cast<std::uintptr_t>(pointer), 16, nullptr, site);
  }
  block.model<AsyncCopies>().issue(self, Copy{pointer, valid ? from : nullptr});
}

void cp_async_commit(const Site&) {
  Thread* self = this_thread();
  self->block->model<AsyncCopies>().commit(self);
}

void cp_async_wait(int pending, const Site&) {
  Thread* self = this_thread();
  self->block->model<AsyncCopies>().wait(self, unsigned(pending));
}

void barrier_sync(int id, int threads, const Site& site) {
  Thread* self = this_thread();
  self->block->named_barrier(self, id, threads, true, site);
}

void barrier_arrive(int id, int threads, const Site& site) {
  Thread* self = this_thread();
  self->block->named_barrier(self, id, threads, false, site);
}

unsigned load_acquire(const unsigned* p) {
  Thread* self = this_thread();
  self->block->yield(self);  // it may be polling
  if (++self->polls == kMostPolls) {
    self->block->fail(self, kLaunchTimeout, Site{"load_acquire", "ptx.h", 0},
                      "it polled %u times: a block must not wait for one that need not run beside "
                      "it",
                      kMostPolls);
  }
  const unsigned x = __atomic_load_n(p, __ATOMIC_ACQUIRE);
  race::acquire(p);
  return x;
}

void store_release(unsigned* p, unsigned x) {
  race::release(p);
  __atomic_store_n(p, x, __ATOMIC_RELEASE);
  yield();
}

unsigned atomic_add_acq_rel(unsigned* p, unsigned x) {
  yield();
  race::release(p);
  const unsigned before = __atomic_fetch_add(p, x, __ATOMIC_ACQ_REL);
  race::acquire(p);
  return before;
}

}  // namespace remask::emulator
