#include "block.h"

#include <cstdio>
#include <cstring>

namespace remask::emulator {
namespace {

unsigned first_lane(std::uint32_t lanes) { return unsigned(__builtin_ctz(lanes)); }

// A random member of a non-empty set: the first one from a random position on. Not uniform, which
// does no harm: every member can come.
unsigned random_member(std::uint32_t set, unsigned position) {
  std::uint32_t rotated = set >> position | set << (-position & 31);
  return (first_lane(rotated) + position) & 31;
}

}  // namespace

int Block::run(const Launch& launch, const uint3& index, std::uint64_t seed) {
  const RemaskLaunch& request = *launch.request;
  count_ = request.block.x * request.block.y * request.block.z;
  code_ = kSuccess;
  reason_.clear();
  failure_[0] = 0;
  if (!slots_.reserve(count_)) {
    reason_ = "no memory for the stacks of " + std::to_string(count_) + " threads";
    return code_ = kOutOfMemory;
  }
  if (!shared_.prepare(request.shared_bytes)) {
    reason_ = "no memory for a block's shared memory";
    return code_ = kOutOfMemory;
  }
  prepare(launch, index, seed);

  remask_fiber_switch(&scheduler_, pick()->stack_pointer);
  // Back here all threads have exited, or nobody can go on, or one failed. Fibers that are left are
  // simply dropped: device code owns nothing, and the slots are prepared anew for the next block.

  if (failure_[0] != 0) {
    reason_ = failure_;
  } else if (code_ != kSuccess) {
    report_waiting("threads met at different barriers",
                   "all threads of a block must reach the same __syncthreads");
  } else if (live_ > 0) {
    code_ = kLaunchTimeout;
    report_waiting("deadlock, no thread can go on",
                   arrived_ > 0 ? "every thread of a block must reach a barrier"
                                : "every lane that a mask names must reach the collective");
  } else if (long offset = shared_.broken_canary(); offset >= 0) {
    code_ = kIllegalAddress;
    reason_ = describe_block() + ": wrote behind its dynamic shared memory of " +
              std::to_string(request.shared_bytes) + " bytes, first " + std::to_string(offset) +
              " bytes past its end";
  }
  return code_;
}

void Block::prepare(const Launch& launch, const uint3& index, std::uint64_t seed) {
  const RemaskLaunch& request = *launch.request;
  launch_ = launch;
  index_ = index;
  random_ = Random(seed);
  draw_stay();
  live_ = count_;
  arrived_ = predicates_ = 0;
  ready_warps_ = 0;
  current_warp_ = 0;
  for (unsigned warp = 0; warp * 32 < count_; warp++) {
    unsigned lanes = count_ - warp * 32;
    std::uint32_t present = lanes >= 32 ? ~0u : (1u << lanes) - 1;
    warps_[warp] = Warp{present, 0, 0, 0, 0, false};
    make_ready(warp, present);
  }
  for (unsigned rank = 0; rank < count_; rank++) {
    Thread* thread = slots_.thread(rank);
    prepare_fiber(thread, &Block::fiber_main);
    unsigned x = rank % request.block.x;
    unsigned y = rank / request.block.x % request.block.y;
    unsigned z = rank / request.block.x / request.block.y;
    thread->index = uint3{x, y, z};
    thread->block_index = index;
    thread->block_dimensions = dim3(request.block.x, request.block.y, request.block.z);
    thread->grid_dimensions = dim3(request.grid.x, request.grid.y, request.grid.z);
    thread->shared = shared_.base();
    thread->block = this;
    thread->rank = rank;
    thread->atomics_until_yield = 1 + random_.next() % kMostAtomicsPerTurn;
  }
}

void Block::fiber_main() {
  Thread* self = this_thread();
  Block* block = self->block;
  block->launch_.body(block->launch_.args);
  block->exit(self);
  __builtin_unreachable();
}

// --- scheduling -------------------------------------------------------------------------------

// How likely a warp goes on while it can: from strict alternation to one warp far ahead.
void Block::draw_stay() {
  constexpr std::uint32_t kStay[] = {0, 1u << 15, 60000, 65300};
  stay_below_ = kStay[random_.next() % 4];
}

void Block::make_ready(unsigned warp, std::uint32_t lanes) {
  warps_[warp].ready |= lanes;
  ready_warps_ |= 1u << warp;
}

// Takes a thread that may run out of the ready set; null: there is none.
Thread* Block::pick() {
  if (ready_warps_ == 0) return nullptr;
  std::uint32_t random = random_.next();
  if (warps_[current_warp_].ready == 0 || random >> 16 >= stay_below_) {
    current_warp_ = random_member(ready_warps_, random & 31);
  }
  Warp& warp = warps_[current_warp_];
  unsigned lane = random_member(warp.ready, random >> 5 & 31);
  warp.ready &= ~(1u << lane);
  if (warp.ready == 0) ready_warps_ &= ~(1u << current_warp_);
  return slots_.thread(current_warp_ * 32 + lane);
}

// Lets another thread run; returns when `self` has been made ready and is picked again.
void Block::switch_away(Thread* self) {
  Thread* next = pick();
  if (next == self) return;
  remask_fiber_switch(&self->stack_pointer, next != nullptr ? next->stack_pointer : scheduler_);
}

void Block::yield(Thread* self) {
  self->atomics_until_yield = 1 + random_.next() % kMostAtomicsPerTurn;
  make_ready(self->rank / 32, 1u << self->rank % 32);
  switch_away(self);
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
  switch_away(self);
}

// --- barriers ---------------------------------------------------------------------------------

int Block::barrier(Thread* self, bool predicate, const Site& site) {
  self->site = site;
  if (arrived_ == 0) {
    barrier_site_ = site;
    barrier_sites_differ_ = false;
  } else if (site.line != barrier_site_.line || std::strcmp(site.file, barrier_site_.file) != 0) {
    barrier_sites_differ_ = true;
  }
  arrived_++;
  predicates_ += predicate;
  if (arrived_ == count_) {
    if (barrier_sites_differ_) {
      code_ = kLaunchFailed;
      stop();
    }
    barrier_result_ = int(predicates_);
    arrived_ = predicates_ = 0;
    draw_stay();
    for (unsigned warp = 0; warp * 32 < count_; warp++) make_ready(warp, warps_[warp].present);
  }
  switch_away(self);
  return barrier_result_;
}

// --- reports ----------------------------------------------------------------------------------

void Block::fail(const Thread* self, int code, const Site& site, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  note_failure(self, code, site, format, arguments);
  va_end(arguments);
  stop();
}

void Block::note_failure(const Thread* self, int code, const Site& site, const char* format,
                         va_list arguments) {
  code_ = code;
  std::snprintf(failure_, sizeof(failure_), "%s, warp %u, lane %u, thread (%u,%u,%u), %s:%d: %s%s",
                describe_block().c_str(), self->rank / 32, self->rank % 32, self->index.x,
                self->index.y, self->index.z, site.file, site.line, site.what,
                site.what[0] != 0 ? ": " : "");
  std::size_t used = std::strlen(failure_);
  std::vsnprintf(failure_ + used, sizeof(failure_) - used, format, arguments);
}

void Block::stop() {
  void* dropped;
  remask_fiber_switch(&dropped, scheduler_);
  __builtin_unreachable();
}

std::string Block::describe_block() const {
  return "kernel " + std::string(launch_.kernel) + ", block (" + std::to_string(index_.x) + "," +
         std::to_string(index_.y) + "," + std::to_string(index_.z) + ")";
}

// "threads 0-31 wait at __syncthreads, foo.cu:12; threads 32-63 have exited"
std::string Block::describe_waiting() const {
  auto state = [this](unsigned rank) -> std::string {
    const Warp& warp = warps_[rank / 32];
    const std::uint32_t bit = 1u << rank % 32;
    if (warp.exited & bit) return "exited";
    const Thread* thread = slots_.thread(rank);
    std::string text = "wait at " + std::string(thread->site.what) + ", " + thread->site.file +
                       ":" + std::to_string(thread->site.line);
    if (warp.meeting & bit) {
      char mask[32];
      std::snprintf(mask, sizeof(mask), " (mask 0x%08x)", thread->offer.mask);
      text += mask;
    }
    return text;
  };
  std::string all;
  for (unsigned begin = 0, end; begin < count_; begin = end) {
    std::string first = state(begin);
    for (end = begin + 1; end < count_ && state(end) == first; end++) {
    }
    if (!all.empty()) all += "; ";
    if (all.size() > 1500) return all + "...";
    all += end - begin == 1 ? "thread " + std::to_string(begin)
                            : "threads " + std::to_string(begin) + "-" + std::to_string(end - 1);
    all += " " + first;
  }
  return all;
}

void Block::report_waiting(const char* what, const char* rule) {
  reason_ = describe_block() + ": " + what + ": " + describe_waiting() + ". Rule: " + rule;
}

}  // namespace remask::emulator
