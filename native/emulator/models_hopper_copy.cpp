#include <algorithm>
#include <cstdio>
#include <cstring>
#include <cwchar>

#include "cluster.h"
#include "hopper_block.h"
#include "hopper_copy.h"
#include "race.h"

namespace remask::emulator {
namespace {

constexpr unsigned kBoxAlignment = 128;  // of shared memory
constexpr unsigned kBulkAlignment = 16;

unsigned without_rank(unsigned address) { return address & ((1u << kRankShift) - 1); }

char* memory_of(const Copy& copy) {
  return copy.block->shared_pointer(copy.issuer->thread(copy.thread),
                                    copy.offset | copy.block->rank() << kRankShift, copy.bytes,
                                    copy.site);
}

// What the hardware does on behalf of a copy: another fiber than any thread to ThreadSanitizer,
// which knows what the issuer knew, and publishes under `done`.
template <class T, class Act>
void as_engine(T& copy, const void* done, Act act) {
  void* running = race::running();
  if (copy.engine == nullptr) copy.engine = race::create();
  race::switch_to(copy.engine);
  race::acquire(&copy.issue_tag);
  act();
  race::release(done);
  race::switch_to(running);
}

// Tells ThreadSanitizer which bytes of global memory the copy touches.
void tell_global(const Copy& copy, bool writes) {
#ifdef REMASK_TSAN
  auto tell = [](void* writes, const char* begin, unsigned bytes) {
    *static_cast<bool*>(writes) ? race::writes(begin, bytes) : race::reads(begin, bytes);
  };
  if (copy.tensor) {
    visit_global(copy.box, tell, &writes);
  } else {
    tell(&writes, copy.global, copy.bytes);
  }
#else
  (void)copy;
  (void)writes;
#endif
}

template <class T>
T* take(std::vector<std::unique_ptr<T>>& all, std::vector<T*>& free) {
  if (free.empty()) {
    all.push_back(std::make_unique<T>());
    free.push_back(all.back().get());
  }
  T* taken = free.back();
  free.pop_back();
  return taken;
}

template <class T>
void drop(std::vector<T*>& flying, T* one, std::vector<T*>& free) {
  flying.erase(std::find(flying.begin(), flying.end(), one));
  free.push_back(one);
}

}  // namespace

void Copies::begin(Block& block) {
  block_ = &block;
  adversarial_ = block.cluster().launch().adversary != Adversary::kOff;
  free_loads_.insert(free_loads_.end(), flying_loads_.begin(), flying_loads_.end());
  flying_loads_.clear();
  free_stores_.insert(free_stores_.end(), flying_stores_.begin(), flying_stores_.end());
  flying_stores_.clear();
  if (stored_) std::fill(std::begin(threads_), std::end(threads_), PerThread{});
  stored_ = false;
  next_writer_ = 0;
  std::fill(std::begin(writers_), std::end(writers_), Writer{});
}

// --- loads ------------------------------------------------------------------------------------

void Copies::load(const Copy& copy, Mbarrier& barrier) {
  Load* load = take(loads_, free_loads_);
  load->owner = this;
  load->copy = copy;
  load->barrier = &barrier;
  load->phase = barrier.phase();
  flying_loads_.push_back(load);
  writers_[next_writer_++ % kRemembered] = Writer{copy.offset, copy.offset + copy.bytes, copy.site};
  if (adversarial_) {
    std::wmemset(reinterpret_cast<wchar_t*>(memory_of(copy)), wchar_t(kPoisonWord),
                 copy.bytes / sizeof(kPoisonWord));
  }
  race::release(&load->issue_tag);
  block_->cluster().async().start(*load);
}

void Load::complete() {
  if (copy.block->has_exited() && !copy.block->is_naive()) {
    copy.issuer->fail(copy.by(), kLaunchFailed, copy.site,
                      "its %u bytes arrive in the shared memory of CTA %u, which has exited: wait "
                      "for them, or keep the CTA by a cluster barrier",
                      copy.bytes, copy.block->rank());
  }
  char* memory = memory_of(copy);
  as_engine(*this, barrier, [&] {
    tell_global(copy, false);
    race::writes(memory, copy.bytes);
    if (copy.tensor) {
      load_box(copy.box, memory, copy.offset);
    } else {
      std::memcpy(memory, copy.global, copy.bytes);
    }
  });
  Mbarrier& announced = *barrier;
  const Copy done = copy;
  const unsigned issued = phase;
  drop(owner->flying_loads_, this, owner->free_loads_);
  announced.complete(done.bytes, issued, done.by(), done.site);
}

bool Copies::any_load(unsigned begin, unsigned end) const {
  for (const Load* load : flying_loads_) {
    if (load->copy.offset < end && begin < load->copy.offset + load->copy.bytes) return true;
  }
  return false;
}

void Copies::require_no_load(const Thread* self, unsigned offset, unsigned bytes, const char* what,
                             const Site& site) const {
  for (const Load* load : flying_loads_) {
    const Copy& other = load->copy;
    if (other.offset >= offset + bytes || offset >= other.offset + other.bytes) continue;
    self->block->fail(self, kLaunchFailed, site,
                      "%s shared memory at 0x%x of CTA %u, %u bytes, while the load that thread %u "
                      "of CTA %u issued at %s:%d (0x%x, %u bytes) is in flight",
                      what, offset, block_->rank(), bytes, other.thread, other.issuer->rank(),
                      other.site.file, other.site.line, other.offset, other.bytes);
  }
}

const char* Copies::last_writer(unsigned offset) {
  text_[0] = 0;
  for (unsigned i = 1; i <= kRemembered && i <= next_writer_; i++) {
    const Writer& writer = writers_[(next_writer_ - i) % kRemembered];
    if (offset < writer.begin || offset >= writer.end) continue;
    std::snprintf(text_, sizeof(text_), "; the last load issued into these bytes is that of %s:%d",
                  writer.site.file, writer.site.line);
    break;
  }
  return text_;
}

// --- stores -----------------------------------------------------------------------------------

void Copies::store(const Copy& copy) {
  Store* store = take(stores_, free_stores_);
  store->owner = this;
  store->copy = copy;
  PerThread& thread = threads_[copy.thread];
  store->group = thread.committed;
  thread.stored = thread.committed + 1;
  thread.last = copy.site;
  store->read = false;
  const char* memory = memory_of(copy);
  store->bytes.assign(memory, memory + copy.bytes);
  flying_stores_.push_back(store);
  stored_ = true;
  race::release(&store->issue_tag);
  block_->cluster().async().start(*store);
}

void Store::complete() {
  if (!read) {
    const char* memory = memory_of(copy);
    bool same = true;
    as_engine(*this, &owner->threads_[copy.thread].done_tag, [&] {
      race::reads(memory, copy.bytes);
      same = std::memcmp(memory, bytes.data(), copy.bytes) == 0;
    });
    if (!same) {
      unsigned first = 0;
      while (memory[first] == bytes[first]) first++;
      copy.issuer->fail(copy.by(), kLaunchFailed, copy.site,
                        "the shared memory it reads was changed before it had been read, first at "
                        "0x%x: bulk_wait_read must come before its next use%s",
                        copy.offset + first, owner->last_writer(copy.offset + first));
    }
    read = true;
    copy.issuer->cluster().async().start(*this);
    return;
  }
  as_engine(*this, &owner->threads_[copy.thread].done_tag, [&] {
    tell_global(copy, true);
    if (copy.tensor) {
      store_box(copy.box, bytes.data(), copy.offset);
    } else {
      std::memcpy(copy.global, bytes.data(), copy.bytes);
    }
  });
  drop(owner->flying_stores_, this, owner->free_stores_);
}

void Copies::wait(const Thread* thread, unsigned pending, bool read) {
  PerThread& mine = threads_[thread->rank];
  const unsigned committed = mine.committed;
  mine.covered = std::max(mine.covered, committed - std::min(committed, pending));
  AsyncQueue& queue = block_->cluster().async();
  for (;;) {
    Store* next = nullptr;
    for (Store* store : flying_stores_) {
      if (store->copy.thread != thread->rank || (read && store->read)) continue;
      if (store->group + pending < committed) {
        next = store;
        break;
      }
    }
    if (next == nullptr) break;
    queue.finish(*next);
  }
  race::acquire(&mine.done_tag);
}

void Copies::thread_exits(Thread* thread) {
  const PerThread& mine = threads_[thread->rank];
  if (mine.stored <= mine.covered || block_->is_naive()) return;
  block_->fail(thread, kLaunchFailed, mine.last,
               "its thread exits without having waited until the store has read shared memory: "
               "bulk_commit and bulk_wait_read must come first");
}

// --- what the headers call --------------------------------------------------------------------

namespace {

HopperBlock& hopper(Block& block) { return block.model<HopperBlock>(); }

// The checks that loads and stores of a box share; fills `copy` but for its block.
void prepare_box(Copy& copy, Thread* self, const void* map, const int* at, int rank,
                 const char* what, const Site& site) {
  Block& block = *self->block;
  copy.issuer = &block;
  copy.thread = self->rank;
  copy.site = site;
  copy.tensor = true;
  if (reinterpret_cast<std::uintptr_t>(map) % 64 != 0) {
    block.fail(self, kMisalignedAddress, site, "the tensor map is not aligned to 64");
  }
  std::memcpy(&copy.box.map, map, sizeof(copy.box.map));
  if (const char* why = tensor_map_refusal(copy.box.map, rank)) {
    block.fail(self, kLaunchFailed, site, "%s", why);
  }
  for (int d = 0; d < rank; d++) copy.box.at[d] = at[d];
  copy.bytes = box_bytes(copy.box.map);
  struct Context {
    Thread* self;
    const char* what;
    const Site& site;
  } context{self, what, site};
  visit_global(
      copy.box,
      [](void* given, const char* begin, unsigned bytes) {
        const auto& context = *static_cast<const Context*>(given);
        context.self->block->check_global(context.self, begin, bytes, context.what, context.site);
      },
      &context);
}

void require_aligned(Thread* self, unsigned address, unsigned alignment, const Site& site) {
  if (address % alignment == 0) return;
  self->block->fail(self, kMisalignedAddress, site,
                    "shared address 0x%x is not aligned to %u, as this copy needs", address,
                    alignment);
}

void require_own(Thread* self, unsigned address, const Site& site) {
  if (address >> kRankShift == self->block->rank()) return;
  self->block->fail(self, kLaunchFailed, site,
                    "0x%x lies in another CTA of the cluster; this wrapper copies to and from the "
                    "caller's own shared memory",
                    address);
}

void start_load(Copy& copy, Thread* self, Block& destination, unsigned to, unsigned barrier) {
  const unsigned rank_bits = destination.rank() << kRankShift;
  copy.block = &destination;
  copy.offset = without_rank(to);
  if (destination.has_exited() && !destination.is_naive()) {
    self->block->fail(self, kLaunchFailed, copy.site, "CTA %u of the cluster has exited",
                      destination.rank());
  }
  self->block->shared_pointer(self, copy.offset | rank_bits, copy.bytes, copy.site);
  HopperBlock& there = hopper(destination);
  Mbarrier& it = there.barriers.at(self, without_rank(barrier) | rank_bits, copy.site);
  it.require_fenced(self, copy.site);
  there.copies.require_no_load(self, copy.offset, copy.bytes, "writes", copy.site);
  there.writes.require_fenced(destination, self, copy.offset, copy.bytes, "writes", copy.site);
  there.copies.load(copy, it);
}

void start_store(Copy& copy, Thread* self, unsigned from) {
  Block& block = *self->block;
  copy.block = &block;
  copy.offset = without_rank(from);
  block.own_shared_pointer(self, from, copy.bytes, copy.site);
  HopperBlock& here = hopper(block);
  here.copies.require_no_load(self, copy.offset, copy.bytes, "reads", copy.site);
  here.writes.require_fenced(block, self, copy.offset, copy.bytes, "reads", copy.site);
  here.copies.store(copy);
}

void prepare_bulk(Copy& copy, Thread* self, const void* global, unsigned bytes, const char* what,
                  const Site& site) {
  Block& block = *self->block;
  copy.issuer = &block;
  copy.thread = self->rank;
  copy.site = site;
  copy.tensor = false;
  copy.global = static_cast<char*>(const_cast<void*>(global));
  copy.bytes = bytes;
  if (bytes == 0 || bytes % kBulkAlignment != 0) {
    block.fail(self, kLaunchFailed, site, "copies %u bytes, which is no multiple of %u", bytes,
               kBulkAlignment);
  }
  if (reinterpret_cast<std::uintptr_t>(global) % kBulkAlignment != 0) {
    block.fail(self, kMisalignedAddress, site, "global address %p is not aligned to %u", global,
               kBulkAlignment);
  }
  block.check_global(self, global, bytes, what, site);
}

}  // namespace

void tma_load(unsigned to, const void* map, const int* at, int rank, unsigned barrier,
              const Site& site) {
  Thread* self = this_thread();
  Copy copy{};
  prepare_box(copy, self, map, at, rank, "load", site);
  require_aligned(self, to, kBoxAlignment, site);
  require_own(self, to, site);
  require_own(self, barrier, site);
  start_load(copy, self, *self->block, to, barrier);
}

void tma_load_multicast(unsigned to, const void* map, const int* at, int rank, unsigned barrier,
                        unsigned short cta_mask, const Site& site) {
  Thread* self = this_thread();
  Cluster& cluster = self->block->cluster();
  Copy copy{};
  prepare_box(copy, self, map, at, rank, "load", site);
  require_aligned(self, to, kBoxAlignment, site);
  require_own(self, to, site);
  require_own(self, barrier, site);
  if (cta_mask == 0 || cta_mask >> cluster.size() != 0) {
    self->block->fail(self, kLaunchFailed, site,
                      "the mask 0x%x of CTAs is empty or names one that the cluster of %u lacks",
                      cta_mask, cluster.size());
  }
  for (unsigned rest = cta_mask; rest != 0; rest &= rest - 1) {
    start_load(copy, self, cluster.block(unsigned(__builtin_ctz(rest))), to, barrier);
  }
}

void tma_store(const void* map, const int* at, int rank, unsigned from, const Site& site) {
  Thread* self = this_thread();
  Copy copy{};
  prepare_box(copy, self, map, at, rank, "store", site);
  require_aligned(self, from, kBoxAlignment, site);
  require_own(self, from, site);
  start_store(copy, self, from);
}

void bulk_load(unsigned to, const void* from, unsigned bytes, unsigned barrier, const Site& site) {
  Thread* self = this_thread();
  Copy copy{};
  prepare_bulk(copy, self, from, bytes, "load", site);
  require_aligned(self, to, kBulkAlignment, site);
  require_own(self, to, site);
  require_own(self, barrier, site);
  start_load(copy, self, *self->block, to, barrier);
}

void bulk_store(void* to, unsigned from, unsigned bytes, const Site& site) {
  Thread* self = this_thread();
  Copy copy{};
  prepare_bulk(copy, self, to, bytes, "store", site);
  require_aligned(self, from, kBulkAlignment, site);
  require_own(self, from, site);
  start_store(copy, self, from);
}

void bulk_commit(const Site&) {
  Thread* self = this_thread();
  hopper(*self->block).copies.commit(self);
}

void bulk_wait(int pending, bool read, const Site&) {
  Thread* self = this_thread();
  hopper(*self->block).copies.wait(self, unsigned(pending), read);
}

void prefetch_tensor_map(const void* map, const Site& site) {
  Thread* self = this_thread();
  RemaskTensorMap it;
  std::memcpy(&it, map, sizeof(it));
  if (const char* why = tensor_map_refusal(it, it.rank)) {
    self->block->fail(self, kLaunchFailed, site, "%s", why);
  }
}

}  // namespace remask::emulator
