#include <cstring>

#include "cluster.h"
#include "hopper_barrier.h"
#include "hopper_block.h"

namespace remask::emulator {
namespace {

constexpr unsigned kMostCount = (1u << 20) - 1;          // of arrivals, and of bytes
constexpr std::uint64_t kToken = 0x6d6261727ee50000ull;  // and an index
constexpr std::uint64_t kTokenMask = ~0xffffull;

std::string describe_wait(const void* barrier, unsigned long long parity) {
  return static_cast<const Mbarrier*>(barrier)->describe(unsigned(parity));
}

}  // namespace

// --- one barrier ------------------------------------------------------------------------------

void Mbarrier::init(Block& block, unsigned address, unsigned count, const Thread* by,
                    const Site& site) {
  block_ = &block;
  address_ = address;
  count_ = pending_ = count;
  initialiser_ = by->rank;
  initialised_at_ = block.barriers_passed();
  initialised_ = site;
}

void Mbarrier::arrive(const Thread* by, const Site& site) {
  race::release(this);
  if (phase_ > 0 && !observed_ && !block_->is_naive()) {
    by->block->fail(by, kLaunchFailed, site,
                    "arrives in phase %u of the mbarrier at 0x%x, of which phase %u was never "
                    "waited for: between the arrivals of two phases some wait must return",
                    phase_, address_, phase_ - 1);
  }
  if (pending_ == 0) {
    by->block->fail(by, kLaunchFailed, site,
                    "one arrival too many: all %u of phase %u of the mbarrier at 0x%x have come "
                    "(the last from %s:%d) and the phase still waits for %ld bytes",
                    count_, phase_, address_, last_arrival_.file, last_arrival_.line, tx_);
  }
  pending_--;
  last_arrival_ = site;
  end_phase_if_complete(by, site);
}

void Mbarrier::expect(unsigned bytes, const Thread* by, const Site& site) {
  if (tx_ + long(bytes) > long(kMostCount)) {
    by->block->fail(by, kLaunchFailed, site,
                    "expects %ld bytes in one phase of the mbarrier at 0x%x, at most %u can be "
                    "counted",
                    tx_ + long(bytes), address_, kMostCount);
  }
  tx_ += bytes;
}

void Mbarrier::complete(unsigned bytes, unsigned phase, const Thread* by, const Site& site) {
  if (phase != phase_) {
    by->block->fail(by, kLaunchFailed, site,
                    "its %u bytes arrive when phase %u of the mbarrier at 0x%x of CTA %u has ended "
                    "without them (now %u): that phase expected too few bytes",
                    bytes, phase, address_, block_->rank(), phase_);
  }
  tx_ -= bytes;
  end_phase_if_complete(by, site);
}

void Mbarrier::end_phase_if_complete(const Thread* by, const Site& site) {
  if (pending_ != 0) return;
  if (tx_ < 0) {
    by->block->fail(by, kLaunchFailed, site,
                    "phase %u of the mbarrier at 0x%x of CTA %u has all its arrivals, and got %ld "
                    "bytes more than expect_tx announced",
                    phase_, address_, block_->rank(), -tx_);
  }
  if (tx_ != 0) return;
  phase_++;
  pending_ = count_;
  observed_ = false;
  Block::wake_all(waiting_);
}

void Mbarrier::wait(Thread* self, unsigned parity, const Site& site) {
  // Somebody who is late finds a phase further on and waits for ever, as on a card.
  while ((phase_ & 1) == parity) {
    block_->wait(self, waiting_, site, Wait{describe_wait, this, parity});
  }
  observed_ = true;
  race::acquire(this);
}

void Mbarrier::require_fenced(const Thread* by, const Site& site) const {
  if (fenced_ || block_->is_naive()) return;
  by->block->fail(
      by, kLaunchFailed, site,
      "the mbarrier at 0x%x of CTA %u was initialised at %s:%d and not fenced since "
      "(fence_mbarrier_init by the same thread, then a barrier): TMA and other CTAs may "
      "not see it",
      address_, block_->rank(), initialised_.file, initialised_.line);
}

void Mbarrier::require_published(const Thread* by, const Site& site) const {
  if (by->rank / 32 == initialiser_ / 32 || block_->barriers_passed() != initialised_at_) return;
  if (block_->is_naive()) return;
  by->block->fail(
      by, kLaunchFailed, site,
      "the mbarrier at 0x%x was initialised at %s:%d by thread %u, and no barrier of the "
      "block has come since: other warps may not see it",
      address_, initialised_.file, initialised_.line, initialiser_);
}

std::string Mbarrier::describe(unsigned parity) const {
  std::string text = "for parity " + std::to_string(parity) + " of the mbarrier of " +
                     initialised_.file + ":" + std::to_string(initialised_.line) + ", phase " +
                     std::to_string(phase_) + " (parity " + std::to_string(phase_ & 1) + ") has " +
                     std::to_string(count_ - pending_) + " of " + std::to_string(count_) +
                     " arrivals";
  if (tx_ > 0) text += " and lacks " + std::to_string(tx_) + " bytes";
  if (tx_ < 0) text += " and got " + std::to_string(-tx_) + " bytes that nobody announced";
  return text;
}

// --- those of a block -------------------------------------------------------------------------

void Mbarriers::init(Block& block, Thread* self, unsigned address, unsigned count,
                     const Site& site) {
  if (address % 8 != 0) {
    block.fail(self, kMisalignedAddress, site, "an mbarrier at 0x%x, which is not aligned to 8",
               address);
  }
  if (count == 0 || count > kMostCount) {
    block.fail(self, kLaunchFailed, site, "an mbarrier counts 1 to %u arrivals, not %u", kMostCount,
               count);
  }
  char* memory = block.own_shared_pointer(self, address, 8, site);
  for (const Mbarrier& other : barriers_) {
    if (other.address() != address) continue;
    block.fail(self, kLaunchFailed, site,
               "the mbarrier at 0x%x is initialised twice, first at %s:%d: one in use must not be",
               address, other.initialised().file, other.initialised().line);
  }
  const std::uint64_t token = kToken | barriers_.size();
  std::memcpy(memory, &token, sizeof(token));
  barriers_.emplace_back().init(block, address, count, self, site);
}

Mbarrier& Mbarriers::at(Thread* self, unsigned address, const Site& site) {
  if (address % 8 != 0) {
    self->block->fail(self, kMisalignedAddress, site,
                      "an mbarrier at 0x%x, which is not aligned to 8", address);
  }
  std::uint64_t token;
  std::memcpy(&token, self->block->shared_pointer(self, address, 8, site), sizeof(token));
  const std::uint64_t index = token & ~kTokenMask;
  if ((token & kTokenMask) == kToken && index < barriers_.size() &&
      barriers_[index].address() == address) {
    return barriers_[index];
  }
  for (const Mbarrier& barrier : barriers_) {
    if (barrier.address() != address) continue;
    self->block->fail(self, kLaunchFailed, site,
                      "the mbarrier at 0x%x, initialised at %s:%d, was overwritten since", address,
                      barrier.initialised().file, barrier.initialised().line);
  }
  self->block->fail(self, kLaunchFailed, site,
                    "there is no mbarrier at 0x%x: nobody has initialised one there (yet)",
                    address);
}

void Mbarriers::fence_by(unsigned rank) {
  for (Mbarrier& barrier : barriers_) barrier.fence_by(rank);
}

// --- what the headers call --------------------------------------------------------------------

namespace {

Mbarrier& own_barrier(Thread* self, unsigned address, const Site& site) {
  Block& block = *self->block;
  if (address >> kRankShift != block.rank()) {
    block.fail(self, kLaunchFailed, site,
               "0x%x lies in the shared memory of CTA %u of the cluster, the instruction takes an "
               "mbarrier of its own CTA only",
               address, address >> kRankShift);
  }
  Mbarrier& barrier = block.model<HopperBlock>().barriers.at(self, address, site);
  barrier.require_published(self, site);
  return barrier;
}

// An arrival gives something away: half of the time who waited for it goes on first, before the
// thread reaches the wait that it may have come too early for.
void after_arrival(Thread* self) {
  Block& block = *self->block;
  if (!block.is_naive() && (block.cluster().random().next() >> 16 & 1) == 0) block.yield(self);
}

}  // namespace

void mbarrier_init(unsigned barrier, unsigned count, const Site& site) {
  Thread* self = this_thread();
  self->block->model<HopperBlock>().barriers.init(*self->block, self, barrier, count, site);
}

void fence_mbarrier_init(const Site&) {
  Thread* self = this_thread();
  self->block->model<HopperBlock>().barriers.fence_by(self->rank);
}

void mbarrier_arrive(unsigned barrier, const Site& site) {
  Thread* self = this_thread();
  own_barrier(self, barrier, site).arrive(self, site);
  after_arrival(self);
}

void mbarrier_arrive_cluster(unsigned mapped, const Site& site) {
  Thread* self = this_thread();
  self->block->shared_pointer(self, mapped, 8, site);
  Block& owner = self->block->cluster().block(mapped >> kRankShift);
  Mbarrier& barrier = owner.model<HopperBlock>().barriers.at(self, mapped, site);
  if (&owner != self->block) {
    if (owner.has_exited() && !owner.is_naive()) {
      self->block->fail(self, kLaunchFailed, site,
                        "arrives at the mbarrier at 0x%x of CTA %u, which has exited: a cluster "
                        "barrier must keep it",
                        mapped, owner.rank());
    }
    barrier.require_fenced(self, site);
  }
  barrier.arrive(self, site);
  after_arrival(self);
}

void mbarrier_arrive_expect_tx(unsigned barrier, unsigned bytes, const Site& site) {
  Thread* self = this_thread();
  Mbarrier& it = own_barrier(self, barrier, site);
  it.expect(bytes, self, site);
  it.arrive(self, site);
  after_arrival(self);
}

void mbarrier_wait(unsigned barrier, unsigned parity, const Site& site) {
  Thread* self = this_thread();
  if (parity > 1) {
    self->block->fail(self, kLaunchFailed, site, "a parity is 0 or 1, not %u", parity);
  }
  own_barrier(self, barrier, site).wait(self, parity, site);
}

}  // namespace remask::emulator
