#include "block.h"

#include <cstring>

#include "cluster.h"

namespace remask::emulator {
namespace {

unsigned first_lane(std::uint32_t lanes) { return unsigned(__builtin_ctz(lanes)); }

// A random member of a non-empty set: the first one from a random position on. Not uniform, which
// does no harm: every member can come.
unsigned random_member(std::uint32_t set, unsigned position) {
  std::uint32_t rotated = set >> position | set << (-position & 31);
  return (first_lane(rotated) + position) & 31;
}

bool same_line(const Site& a, const Site& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

}  // namespace

bool Block::reserve(unsigned threads, unsigned shared_bytes, bool poison) {
  count_ = threads;
  return slots_.reserve(threads) && shared_.prepare(shared_bytes, poison);
}

void Block::prepare(unsigned rank, const uint3& index) {
  const RemaskLaunch& request = *cluster_.launch().request;
  rank_ = rank;
  index_ = index;
  const bool checked = cluster_.launch().adversary != Adversary::kOff;
  accesses_.reset(&shared_, request.find_memory, cluster_.launch().args,
                  cluster_.launch().argument_bytes, cluster_.banks() == nullptr);
  draw_stay();
  live_ = count_;
  arrived_ = predicates_ = 0;
  ready_warps_ = 0;
  current_warp_ = 0;
  for (; named_used_ != 0; named_used_ &= named_used_ - 1) {
    named_[first_lane(named_used_)] = NamedBarrier{};
  }
  models_used_ = 0;
  for (unsigned warp = 0; warp * 32 < count_; warp++) {
    unsigned lanes = count_ - warp * 32;
    std::uint32_t present = lanes >= 32 ? ~0u : (1u << lanes) - 1;
    warps_[warp] = Warp{present, 0, 0, 0, 0, false, 0, {}};
    make_ready(warp, present);
  }
  for (unsigned i = 0; i < count_; i++) {
    Thread* thread = slots_.thread(i);
    prepare_fiber(thread, &Block::fiber_main);
    unsigned x = i % request.block.x;
    unsigned y = i / request.block.x % request.block.y;
    unsigned z = i / request.block.x / request.block.y;
    thread->index = uint3{x, y, z};
    thread->block_index = index;
    thread->block_dimensions = dim3(request.block.x, request.block.y, request.block.z);
    thread->grid_dimensions = dim3(request.grid.x, request.grid.y, request.grid.z);
    thread->shared = shared_.base();
    thread->block = this;
    thread->accesses = checked ? &accesses_ : nullptr;
    thread->rank = i;
    thread->atomics_until_yield = 1 + cluster_.random().next() % kMostAtomicsPerTurn;
    thread->wait.describe = nullptr;
    thread->cluster_phase = 0;
    thread->cluster_arrived = false;
    thread->polls = 0;
    if (thread->race_fiber != nullptr && cluster_.fibers_dropped_) {
      race::destroy(thread->race_fiber);
      thread->race_fiber = nullptr;
    }
    if (thread->race_fiber == nullptr) thread->race_fiber = race::create();
  }
}

void Block::fiber_main() {
  Thread* self = this_thread();
  Block* block = self->block;
  race::acquire(&block->cluster_.begin_tag_);
  block->cluster_.launch().body(block->cluster_.launch().args);
  race::release(&block->cluster_.end_tag_);
  block->exit(self);
  __builtin_unreachable();
}

// --- scheduling -------------------------------------------------------------------------------

// How likely a warp goes on while it can: from strict alternation to one warp far ahead.
void Block::draw_stay() {
  constexpr std::uint32_t kStay[] = {0, 1u << 15, 60000, 65300};
  stay_below_ = kStay[cluster_.random().next() % 4];
}

void Block::make_ready(unsigned warp, std::uint32_t lanes) {
  warps_[warp].ready |= lanes;
  ready_warps_ |= 1u << warp;
  cluster_.ready_blocks_ |= 1u << rank_;
}

// Takes a thread that may run out of the ready set; there is one.
Thread* Block::pick(std::uint32_t random) {
  if (warps_[current_warp_].ready == 0 || random >> 16 >= stay_below_) {
    current_warp_ = random_member(ready_warps_, random & 31);
  }
  Warp& warp = warps_[current_warp_];
  unsigned lane = random_member(warp.ready, random >> 5 & 31);
  warp.ready &= ~(1u << lane);
  if (warp.ready == 0) ready_warps_ &= ~(1u << current_warp_);
  return slots_.thread(current_warp_ * 32 + lane);
}

// The same without chance: the warp goes on while it can, then the one behind it.
Thread* Block::pick_in_order() {
  if (warps_[current_warp_].ready == 0) {
    current_warp_ = random_member(ready_warps_, current_warp_);
  }
  Warp& warp = warps_[current_warp_];
  unsigned lane = first_lane(warp.ready);
  warp.ready &= ~(1u << lane);
  if (warp.ready == 0) ready_warps_ &= ~(1u << current_warp_);
  return slots_.thread(current_warp_ * 32 + lane);
}

unsigned Block::barriers_passed() const { return barrier_phase_ + cluster_.phase(); }

bool Block::is_naive() const { return cluster_.launch().adversary == Adversary::kOff; }

void Block::yield(Thread* self) {
  self->atomics_until_yield = 1 + cluster_.random().next() % kMostAtomicsPerTurn;
  make_ready(self);
  // Without chance a thread that polls would go on for ever: the next warp's turn, then.
  if (cluster_.launch().adversary == Adversary::kOff) current_warp_ = (current_warp_ + 1) & 31;
  cluster_.switch_away(self);
}

void Block::wait(Thread* self, WaitList& list, const Site& site, const Wait& wait) {
  self->site = site;
  self->wait = wait;
  list.add(self);
  cluster_.switch_away(self);
  self->wait.describe = nullptr;
}

void Block::wake_all(WaitList& list) {
  while (!list.empty()) {
    Thread* thread = list.take();
    thread->block->make_ready(thread);
  }
}

void Block::exit(Thread* self) {
  Warp& warp = warps_[self->rank / 32];
  const std::uint32_t bit = 1u << self->rank % 32;
  warp.exited |= bit;
  live_--;
  for (std::uint32_t lanes = warp.meeting; lanes != 0; lanes &= lanes - 1) {
    const Thread* waiting = slots_.thread(self->rank / 32 * 32 + first_lane(lanes));
    if (waiting->offer.mask & bit) {
      fail(waiting, kLaunchFailed, waiting->site,
           "its mask 0x%08x names lane %u, which exited without reaching it", waiting->offer.mask,
           self->rank % 32);
    }
  }
  for (unsigned used = models_used_; used != 0; used &= used - 1) {
    models_[first_lane(used)]->thread_exits(self);
  }
  cluster_.exit(self);
}

void Block::end_models() {
  for (unsigned used = models_used_; used != 0; used &= used - 1) {
    models_[first_lane(used)]->end(*this);
  }
}

// --- barriers ---------------------------------------------------------------------------------

int Block::barrier(Thread* self, bool predicate, const Site& site) {
  self->site = site;
  if (arrived_ == 0) {
    barrier_site_ = site;
    barrier_sites_differ_ = false;
  } else if (!same_line(site, barrier_site_)) {
    barrier_sites_differ_ = true;
  }
  const char* tag = &barrier_tags_[barrier_phase_ % 2];
  race::release(tag);
  arrived_++;
  predicates_ += predicate;
  if (arrived_ == count_) {
    if (barrier_sites_differ_) {
      cluster_.code_ = kLaunchFailed;
      cluster_.blamed_ = rank_;
      stop();
    }
    barrier_result_ = int(predicates_);
    arrived_ = predicates_ = 0;
    barrier_phase_++;
    draw_stay();
    for (unsigned warp = 0; warp * 32 < count_; warp++) make_ready(warp, warps_[warp].present);
  }
  cluster_.switch_away(self);
  race::acquire(tag);
  return barrier_result_;
}

void Block::named_barrier(Thread* self, int id, int threads, bool wait, const Site& site) {
  if (id < 1 || id >= int(kNamedBarriers)) {
    fail(self, kLaunchFailed, site, "there is no named barrier %d; they are 1 to 15", id);
  }
  if (threads <= 0 || threads % 32 != 0 || unsigned(threads) > (count_ + 31) / 32 * 32) {
    fail(self, kLaunchFailed, site,
         "barrier %d cannot count %d threads: a multiple of 32, at most the block's %u", id,
         threads, count_);
  }
  const unsigned warp = self->rank / 32;
  const std::uint32_t bit = 1u << self->rank % 32;
  NamedBarrier& barrier = named_[id];
  named_used_ |= 1u << id;
  if (barrier.arrived == 0) {
    barrier.expected = unsigned(threads);
  } else if (barrier.expected != unsigned(threads)) {
    fail(self, kLaunchFailed, site,
         "it counts %d threads at barrier %d, where %u arrived that count %u", threads, id,
         barrier.arrived, barrier.expected);
  }
  if (barrier.lanes[warp] & bit) {
    fail(self, kLaunchFailed, site,
         "it arrives twice at barrier %d before that is complete (%u of %u threads)", id,
         barrier.arrived, barrier.expected);
  }
  if (barrier.lanes[warp] == 0) {
    barrier.first[warp] = site;
  } else if (!same_line(barrier.first[warp], site)) {
    fail(self, kLaunchFailed, site,
         "a lane of its warp arrived at barrier %d at %s:%d: all lanes of a warp must execute the "
         "same barrier instruction",
         id, barrier.first[warp].file, barrier.first[warp].line);
  }
  const char* tag = &barrier.tags[barrier.phase % 2];
  race::release(tag);
  barrier.lanes[warp] |= bit;
  barrier.arrived++;
  if (barrier.arrived == barrier.expected) complete_named(self, id, site);
  if (!wait) {
    self->site = site;
    yield(self);
    return;
  }
  if (barrier.arrived == 0) {  // completed by this thread, which need not be the first to go on
    yield(self);
    race::acquire(tag);
    return;
  }
  this->wait(self, barrier.waiting, site,
             Wait{[](const void* object, unsigned long long id) {
                    const auto* barrier = static_cast<const NamedBarrier*>(object);
                    return "barrier " + std::to_string(id) + ": " +
                           std::to_string(barrier->arrived) + " of " +
                           std::to_string(barrier->expected) + " threads arrived";
                  },
                  &barrier, unsigned(id)});
  race::acquire(tag);
}

void Block::complete_named(Thread* self, int id, const Site& site) {
  NamedBarrier& barrier = named_[id];
  for (unsigned warp = 0; warp * 32 < count_; warp++) {
    if (barrier.lanes[warp] != 0 && barrier.lanes[warp] != warps_[warp].present) {
      fail(self, kLaunchFailed, site,
           "barrier %d is complete with %u threads, but of warp %u only lanes 0x%08x are among "
           "them: whole warps must arrive",
           id, barrier.expected, warp, barrier.lanes[warp]);
    }
    barrier.lanes[warp] = 0;
  }
  barrier.arrived = 0;
  barrier.phase++;
  wake_all(barrier.waiting);
  draw_stay();
}

// --- the shared window ------------------------------------------------------------------------

unsigned Block::shared_address(Thread* self, const void* pointer, const Site& site) {
  const long offset = static_cast<const char*>(pointer) - shared_.base();
  if (offset < 0 || offset > long(shared_.window_bytes())) {
    fail(self, kIllegalAddress, site, "%p is not in the block's shared memory", pointer);
  }
  const long dynamic = offset - long(shared_.dynamic_begin());
  return (rank_ << kRankShift) +
         unsigned(dynamic >= 0 ? kDynamicWindow + dynamic : kStaticWindow + offset);
}

char* Block::shared_pointer(Thread* self, unsigned address, unsigned bytes, const Site& site) {
  const unsigned rank = address >> kRankShift;
  const unsigned local = address & ((1u << kRankShift) - 1);
  if (rank >= cluster_.size()) {
    fail(self, kIllegalAddress, site,
         "shared address 0x%x is in block %u of a cluster of %u blocks", address, rank,
         cluster_.size());
  }
  Block& owner = cluster_.block(rank);
  if (owner.has_exited() && !is_naive()) {
    fail(self, kIllegalAddress, site,
         "shared address 0x%x is in block %u of the cluster, all threads of which have exited",
         address, rank);
  }
  SharedMemory& shared = owner.shared_;
  const std::size_t offset = local >= kStaticWindow
                                 ? local - kStaticWindow
                                 : shared.dynamic_begin() + (local - kDynamicWindow);
  if (local < kDynamicWindow || !shared.is_inside(offset, bytes)) {
    fail(self, kIllegalAddress, site,
         "%u bytes at shared address 0x%x (%ld from the begin of the dynamic shared memory of %zu "
         "bytes) are in no array",
         bytes, address, long(local) - long(kDynamicWindow), shared.dynamic_bytes());
  }
  return shared.base() + offset;
}

char* Block::own_shared_pointer(Thread* self, unsigned address, unsigned bytes, const Site& site) {
  if (address >> kRankShift != rank_) {
    fail(self, kIllegalAddress, site,
         "shared address 0x%x is in block %u of the cluster, but this instruction reaches its own "
         "block (%u) only",
         address, address >> kRankShift, rank_);
  }
  return shared_pointer(self, address, bytes, site);
}

}  // namespace remask::emulator
