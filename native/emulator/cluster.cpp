#include "cluster.h"

#include "remask_emulator/cluster.h"

namespace remask::emulator {

unsigned Cluster::usable_stacks() const {
  unsigned usable = 0;
  for (const auto& block : blocks_) usable += block->slots_.usable();
  return usable;
}

int Cluster::run(const Launch& launch, const uint3& first, std::uint64_t seed) {
  const RemaskLaunch& request = *launch.request;
  launch_ = launch;
  size_ = launch.cluster.x * launch.cluster.y * launch.cluster.z;
  code_ = kSuccess;
  blamed_ = 0;
  reason_.clear();
  failure_[0] = 0;
  forbidden_.thread = nullptr;
  random_ = Random(seed);
  async_.reset(launch.adversary, &random_);
  banks_.reset();
  ready_blocks_ = 0;
  current_ = 0;
  live_ = arrived_ = phase_ = 0;
  waiting_.clear();

  const unsigned threads = request.block.x * request.block.y * request.block.z;
  while (blocks_.size() < size_) blocks_.push_back(std::make_unique<Block>(*this));
  for (unsigned rank = 0; rank < size_; rank++) {
    Block& block = *blocks_[rank];
    if (!block.reserve(threads, request.shared_bytes, launch.adversary != Adversary::kOff)) {
      reason_ = "no memory for the stacks of " + std::to_string(threads) +
                " threads and their shared memory";
      return code_ = kOutOfMemory;
    }
    live_ += threads;
    block.prepare(rank, uint3{first.x + rank % launch.cluster.x,
                              first.y + rank / launch.cluster.x % launch.cluster.y,
                              first.z + rank / launch.cluster.x / launch.cluster.y});
  }

  fibers_dropped_ = false;
  scheduler_fiber_ = race::running();
  race::release(&begin_tag_);
  jump(&scheduler_, pick());
  race::acquire(&end_tag_);
  fibers_dropped_ = live_ > 0;
  // Back here all threads have exited, or nobody can go on, or one failed. Fibers that are left are
  // simply dropped: device code owns nothing, and the slots are prepared anew for the next block.

  explain();
  return code_;
}

// Finds the words for what went wrong, if anything did.
void Cluster::explain() {
  if (failure_[0] != 0) {
    reason_ = failure_;
    return;
  }
  if (forbidden_.thread != nullptr) {
    explain_forbidden();
    return;
  }
  auto waiting = [this](unsigned rank, const char* what, const std::string& rule) {
    reason_ = blocks_[rank]->describe() + ": " + what + ": " + blocks_[rank]->describe_waiting();
    for (unsigned other = 0; other < size_; other++) {
      if (other == rank || blocks_[other]->live_ == 0) continue;
      reason_ += ". " + blocks_[other]->describe() +
                 " of its cluster: " + blocks_[other]->describe_waiting();
    }
    reason_ += ". Rule: " + rule;
  };
  if (code_ != kSuccess) {
    waiting(blamed_, "threads met at different barriers",
            "all threads of a block must reach the same __syncthreads");
    return;
  }
  for (unsigned rank = 0; rank < size_; rank++) {
    if (blocks_[rank]->live_ == 0) continue;
    code_ = kLaunchTimeout;
    waiting(rank, "deadlock, no thread can go on",
            blocks_[rank]->arrived_ > 0
                ? "every thread of a block must reach a barrier"
                : "every thread that a barrier or a mask counts must reach it");
    return;
  }
  for (unsigned rank = 0; rank < size_; rank++) {
    Block& block = *blocks_[rank];
    std::string broken = block.shared_.broken_canary();
    if (!broken.empty()) block.report(kIllegalAddress, "%s", broken.c_str());
    block.end_models();
  }
  if (failure_[0] != 0) reason_ = failure_;
}

// Takes a thread that may run; null: there is none, nor will there be.
Thread* Cluster::pick() {
  async_.turn();
  while (ready_blocks_ == 0) {
    if (!async_.advance()) return nullptr;
  }
  Thread* picked;
  if (launch_.adversary == Adversary::kOff) {
    current_ = unsigned(__builtin_ctz(ready_blocks_));
    picked = blocks_[current_]->pick_in_order();
  } else {
    const std::uint32_t random = random_.next();
    if (size_ > 1 && (!(ready_blocks_ >> current_ & 1) || (random >> 10 & 15) == 0)) {
      const unsigned above = ready_blocks_ >> (random >> 14 & 7) << (random >> 14 & 7);
      current_ = unsigned(__builtin_ctz(above != 0 ? above : ready_blocks_));
    }
    picked = blocks_[current_]->pick(random);
  }
  if (blocks_[current_]->ready_warps_ == 0) ready_blocks_ &= ~(1u << current_);
  return picked;
}

void Cluster::switch_away(Thread* self) {
  Thread* next = pick();
  if (next == self) return;
  jump(&self->stack_pointer, next);
}

void Cluster::exit(Thread* self) {
  live_--;
  if (live_ > 0 && arrived_ == live_) complete_barrier();
  switch_away(self);
}

// --- barrier.cluster --------------------------------------------------------------------------

void Cluster::complete_barrier() {
  arrived_ = 0;
  phase_++;
  Block::wake_all(waiting_);
}

void Cluster::arrive(Thread* self, const Site& site) {
  if (self->cluster_arrived) {
    self->block->fail(self, kLaunchFailed, site,
                      "it arrives at the cluster's barrier again without having waited");
  }
  self->cluster_arrived = true;
  self->cluster_phase = phase_;
  race::release(&barrier_tags_[phase_ % 2]);
  arrived_++;
  if (arrived_ == live_) complete_barrier();
  self->block->yield(self);
}

void Cluster::wait(Thread* self, const Site& site) {
  if (!self->cluster_arrived) {
    self->block->fail(self, kLaunchFailed, site,
                      "it waits at the cluster's barrier without having arrived");
  }
  self->cluster_arrived = false;
  const char* tag = &barrier_tags_[self->cluster_phase % 2];
  if (self->cluster_phase != phase_) {
    race::acquire(tag);
    return;
  }
  self->block->wait(self, waiting_, site,
                    Wait{[](const void* object, unsigned long long) {
                           const auto* cluster = static_cast<const Cluster*>(object);
                           return "the cluster's barrier: " + std::to_string(cluster->arrived_) +
                                  " of " + std::to_string(cluster->live_) + " threads arrived";
                         },
                         this, 0});
  race::acquire(tag);
}

// --- what the headers call --------------------------------------------------------------------

unsigned cluster_rank(const Site&) { return this_thread()->block->rank(); }

void cluster_arrive(const Site& site) {
  Thread* self = this_thread();
  self->block->cluster().arrive(self, site);
}

void cluster_wait(const Site& site) {
  Thread* self = this_thread();
  self->block->cluster().wait(self, site);
}

unsigned map_to_rank(unsigned address, unsigned rank, const Site& site) {
  Thread* self = this_thread();
  Block& block = *self->block;
  if (rank >= block.cluster().size()) {
    block.fail(self, kIllegalAddress, site, "there is no block %u in a cluster of %u blocks", rank,
               block.cluster().size());
  }
  return (address & ((1u << kRankShift) - 1)) | rank << kRankShift;
}

}  // namespace remask::emulator
