#include <algorithm>
#include <cstring>
#include <cwchar>

#include "cluster.h"
#include "hopper_block.h"
#include "hopper_wgmma.h"
#include "race.h"

namespace remask::emulator {
namespace {

constexpr unsigned kMostKnown = 64;  // registers of a thread that are compared

// Sixteen words at a time: this is done for every fence and every result.
typedef std::uint32_t Words __attribute__((vector_size(32), aligned(4), may_alias));

std::uint64_t hash_of(const void* memory, unsigned bytes) {
  constexpr std::uint64_t kFactor = 0xd6e8feb86659fd93ull;
  Words low = {}, high = {};
  const char* at = static_cast<const char*>(memory);
  const char* end = at + bytes;
  for (; at + 2 * sizeof(Words) <= end; at += 2 * sizeof(Words)) {
    low = (low ^ *reinterpret_cast<const Words*>(at)) * 0x9e3779b1u;
    high = (high ^ *reinterpret_cast<const Words*>(at + sizeof(Words))) * 0x85ebca6bu;
  }
  low = (low ^ high << 16 ^ high >> 16) * 0x9e3779b1u;
  std::uint64_t hash = 0;
  for (unsigned i = 0; i < sizeof(Words) / sizeof(low[0]); i += 2) {
    hash = (hash ^ (low[i] | std::uint64_t(low[i + 1]) << 32)) * kFactor;
  }
  for (; at + sizeof(std::uint32_t) <= end; at += sizeof(std::uint32_t)) {
    std::uint32_t word;
    std::memcpy(&word, at, sizeof(word));
    hash = (hash ^ word) * kFactor;
  }
  return hash;
}

bool same_line(const Site& a, const Site& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

}  // namespace

void WgmmaPipe::begin(Block& block, unsigned warpgroup) {
  block_ = &block;
  warpgroup_ = warpgroup;
  adversarial_ = block.cluster().launch().adversary != Adversary::kOff;
  retired_ = fully_issued_ = retirement_.target = 0;
  wake_at_ = ~0u;
  free_instructions_.insert(free_instructions_.end(), flying_.begin(), flying_.end());
  flying_.clear();
  group_ends_.clear();
  group_sites_.clear();
  for (PerThread& thread : threads_) {
    thread.fenced = false;
    thread.issued = thread.covered = thread.committed = 0;
    thread.known.clear();
  }
  for (auto& accumulators : accumulators_) accumulators->in_flight = 0;
  waiting_.clear();
}

// --- registers --------------------------------------------------------------------------------

WgmmaPipe::Registers* WgmmaPipe::find(PerThread& thread, const void* at) {
  for (Registers& known : thread.known) {
    if (known.at == at) return &known;
  }
  return nullptr;
}

void WgmmaPipe::remember(PerThread& thread, const void* at, unsigned bytes) {
  if (thread.known.size() == kMostKnown) thread.known.erase(thread.known.begin());
  thread.known.push_back(Registers{at, bytes, hash_of(at, bytes), nullptr, 0});
}

// Since the fence, or since the result came if that was later.
bool WgmmaPipe::is_unchanged(const Registers& known, unsigned thread, const Accumulators& next) {
  if (known.retired == nullptr) return known.hash == hash_of(known.at, known.bytes);
  // The tile remembers the result, unless other accumulators have used it since: `next`, which has
  // just begun, has not yet taken anything from this thread.
  const Accumulators& source = *known.retired;
  if (source.use != known.use + (&source == &next)) return true;
  float result[kMostN / 2];
  give_fragment(source.tile, source.n, thread, result);
  return std::memcmp(result, known.at, known.bytes) == 0;
}

void WgmmaPipe::fence(Thread* self) {
  PerThread& thread = threads_[self->rank % kWarpgroup];
  thread.fenced = true;
  for (Registers& known : thread.known) {
    known.hash = hash_of(known.at, known.bytes);
    known.retired = nullptr;
  }
}

// --- issue ------------------------------------------------------------------------------------

void WgmmaPipe::issue(Thread* self, const WgmmaCall& call, const Site& site) {
  PerThread& thread = threads_[self->rank % kWarpgroup];
  if (!thread.fenced && adversarial_) {
    block_->fail(self, kLaunchFailed, site,
                 "wgmma_fence must come before a warpgroup's first wgmma");
  }
  const unsigned index = thread.issued - retired_;
  if (index == flying_.size()) {
    if (free_instructions_.empty()) {
      instructions_.push_back(std::make_unique<WgmmaInstruction>());
      free_instructions_.push_back(instructions_.back().get());
    }
    flying_.push_back(free_instructions_.back());
    free_instructions_.pop_back();
    first_issue(self, *flying_.back(), call, site);
  }
  WgmmaInstruction& instruction = *flying_[index];
  require_same(self, instruction, call, site);
  take_accumulators(self, instruction, call, site);
  if (call.a_registers != nullptr) take_a_fragment(self, instruction, call, site);
  race::release(&issue_tag_);
  thread.issued++;
  thread.last = site;
  instruction.issued++;
  if (instruction.issued < kWarpgroup) return;

  fully_issued_++;
  // It may retire from now on; the latest moment finds the most, so it is the usual one.
  const Adversary adversary = block_->cluster().launch().adversary;
  if (adversary == Adversary::kEarliest || adversary == Adversary::kOff ||
      (adversary == Adversary::kRandom && (block_->cluster().random().next() >> 16 & 7) == 0)) {
    while (retired_ < fully_issued_) retire();
  }
  if (fully_issued_ >= wake_at_) {
    wake_at_ = ~0u;
    Block::wake_all(waiting_);
  }
}

void WgmmaPipe::first_issue(Thread* self, WgmmaInstruction& instruction, const WgmmaCall& call,
                            const Site& site) {
  instruction.call = call;
  instruction.site = site;
  instruction.first = self->rank;
  instruction.issued = 0;
  if (call.a_registers == nullptr) {
    read_operand(self, instruction.a_chunks, instruction.a, call.a, kMatrixM, false, "A", site);
  }
  read_operand(self, instruction.b_chunks, instruction.b, call.b, call.n, call.trans_b, "B", site);

  instruction.accumulators = nullptr;
  instruction.begins = false;
  for (auto& other : accumulators_) {
    if (other->in_flight > 0 && other->d[self->rank % kWarpgroup] == call.d) {
      instruction.accumulators = other.get();
    }
  }
  if (instruction.accumulators == nullptr) {
    for (auto& other : accumulators_) {
      if (other->in_flight > 0) continue;
      instruction.accumulators = other.get();
      if (other->n == call.n && other->d[self->rank % kWarpgroup] == call.d) break;
    }
    if (instruction.accumulators == nullptr) {
      accumulators_.push_back(std::make_unique<Accumulators>());
      instruction.accumulators = accumulators_.back().get();
    }
    instruction.begins = true;
    instruction.accumulators->n = call.n;
    instruction.accumulators->in_flight = 0;
    instruction.accumulators->first = site;
    instruction.accumulators->use++;
    std::fill(std::begin(instruction.accumulators->d), std::end(instruction.accumulators->d),
              nullptr);
  }
  instruction.accumulators->in_flight++;
}

void WgmmaPipe::read_operand(Thread* self, MatrixChunks& chunks, std::uint16_t* elements,
                             unsigned long long descriptor, unsigned rows, bool mn_major,
                             const char* name, const Site& site) {
  if (const char* why = descriptor_refusal(descriptor)) {
    block_->fail(self, kLaunchFailed, site, "the descriptor 0x%016llx of %s: %s", descriptor, name,
                 why);
  }
  chunks.find(MatrixDescriptor(descriptor), rows, mn_major);
  const SharedMemory& shared = block_->shared();
  const unsigned window_end = kDynamicWindow + unsigned(shared.dynamic_bytes());
  if (chunks.first < kDynamicWindow || chunks.end > window_end) {
    block_->fail(self, kIllegalAddress, site,
                 "the descriptor 0x%016llx of %s leads to shared memory from 0x%x to 0x%x; the "
                 "block's dynamic shared memory is 0x%x to 0x%x",
                 descriptor, name, chunks.first, chunks.end, kDynamicWindow, window_end);
  }
  HopperBlock& hopper = block_->model<HopperBlock>();
  const char* what = name[0] == 'A' ? "reads A from" : "reads B from";
  if (hopper.writes.any_unfenced()) {
    for (unsigned i = 0; i < chunks.count; i++) {
      hopper.writes.require_fenced(*block_, self, chunks.address[i], 16, what, site);
    }
  }
  if (hopper.copies.any_load(chunks.first, chunks.end)) {
    for (unsigned i = 0; i < chunks.count; i++) {
      hopper.copies.require_no_load(self, chunks.address[i], 16, what, site);
    }
  }
  const unsigned rank = block_->rank() << kRankShift;
  chunks.gather(
      block_->own_shared_pointer(self, chunks.first | rank, chunks.end - chunks.first, site),
      elements);
}

void WgmmaPipe::require_same(Thread* self, const WgmmaInstruction& instruction,
                             const WgmmaCall& call, const Site& site) {
  const WgmmaCall& first = instruction.call;
  if (!same_line(site, instruction.site) || call.n != first.n || call.trans_b != first.trans_b ||
      (call.a_registers == nullptr) != (first.a_registers == nullptr)) {
    block_->fail(self, kLaunchFailed, site,
                 "its %u-th wgmma is n%u here, but n%u at %s:%d in thread %u of its warpgroup: all "
                 "128 threads must execute the same ones in the same order",
                 threads_[self->rank % kWarpgroup].issued + 1, call.n, first.n,
                 instruction.site.file, instruction.site.line, instruction.first);
  }
  if (call.a != first.a || call.b != first.b || call.accumulate != first.accumulate) {
    block_->fail(self, kLaunchFailed, site,
                 "descriptors A 0x%016llx, B 0x%016llx, %s differ from those of thread %u of its "
                 "warpgroup: 0x%016llx, 0x%016llx, %s",
                 call.a, call.b, call.accumulate ? "accumulating" : "not accumulating",
                 instruction.first, first.a, first.b,
                 first.accumulate ? "accumulating" : "not accumulating");
  }
}

void WgmmaPipe::take_accumulators(Thread* self, WgmmaInstruction& instruction,
                                  const WgmmaCall& call, const Site& site) {
  const unsigned index = self->rank % kWarpgroup;
  PerThread& thread = threads_[index];
  Accumulators& accumulators = *instruction.accumulators;
  if (!instruction.begins) {
    if (accumulators.d[index] != call.d || accumulators.n != call.n) {
      block_->fail(self, kLaunchFailed, site,
                   "its accumulators are not those (n%u) that the wgmma at %s:%d has in flight: "
                   "wait for one shape before the other uses the registers",
                   accumulators.n, accumulators.first.file, accumulators.first.line);
    }
    return;
  }
  if (Registers* known = adversarial_ ? find(thread, call.d) : nullptr) {
    // Accumulators that an instruction delivered to and that are now overwritten have been read in
    // between, or the result was of no use: registers were accessed.
    if (known->retired != nullptr && !call.accumulate) {
      block_->fail(self, kLaunchFailed, site,
                   "overwrites accumulators that an earlier wgmma delivered, without wgmma_fence "
                   "since its wait");
    }
    if (call.accumulate && !is_unchanged(*known, index, accumulators)) {
      block_->fail(self, kLaunchFailed, site,
                   "its accumulators were written after the last wgmma_fence");
    }
  } else if (adversarial_) {
    remember(thread, call.d, call.n / 2 * sizeof(float));
  }
  accumulators.d[index] = call.d;
  if (call.accumulate) {
    take_fragment(accumulators.tile, call.n, index, call.d);
  }
  if (adversarial_)
    std::wmemset(reinterpret_cast<wchar_t*>(call.d), wchar_t(kPoisonWord), call.n / 2);
}

void WgmmaPipe::take_a_fragment(Thread* self, WgmmaInstruction& instruction, const WgmmaCall& call,
                                const Site& site) {
  const unsigned index = self->rank % kWarpgroup;
  PerThread& thread = threads_[index];
  constexpr unsigned kBytes = 4 * sizeof(unsigned);
  if (const Registers* known = find(thread, call.a_registers)) {
    if (adversarial_ && known->hash != hash_of(call.a_registers, kBytes)) {
      block_->fail(self, kLaunchFailed, site,
                   "its fragment of A was written after the last wgmma_fence");
    }
  } else if (adversarial_) {
    remember(thread, call.a_registers, kBytes);
  }
  const unsigned row = index / 32 * 16 + index % 32 / 4, column = 2 * (index % 4);
  for (unsigned r = 0; r < 4; r++) {
    std::memcpy(instruction.a + (row + 8 * (r % 2)) * kMatrixK + column + 8 * (r / 2),
                call.a_registers + r, sizeof(unsigned));
  }
}

// --- retirement -------------------------------------------------------------------------------

void WgmmaPipe::require_unchanged(const WgmmaInstruction& instruction, const MatrixChunks& chunks,
                                  const std::uint16_t* elements, const char* name) {
  const Thread* self = block_->thread(instruction.first);
  const unsigned rank = block_->rank() << kRankShift;
  const char* memory =
      block_->own_shared_pointer(block_->thread(instruction.first), chunks.first | rank,
                                 chunks.end - chunks.first, instruction.site);
  const long at = chunks.difference(memory, elements);
  if (at < 0) return;
  block_->fail(self, kLaunchFailed, instruction.site,
               "%s was changed at 0x%lx between the issue and the wait%s. Rule: its shared memory "
               "belongs to wgmma until wgmma_wait covers it",
               name, at, block_->model<HopperBlock>().copies.last_writer(unsigned(at)));
}

void WgmmaPipe::retire() {
  WgmmaInstruction& instruction = *flying_.front();
  const WgmmaCall& call = instruction.call;
  if (adversarial_) {
    if (call.a_registers == nullptr) {
      require_unchanged(instruction, instruction.a_chunks, instruction.a, "A");
    }
    require_unchanged(instruction, instruction.b_chunks, instruction.b, "B");
  }
  tell_reads(instruction);
  Accumulators& accumulators = *instruction.accumulators;
  multiply(accumulators.tile, call.n, instruction.a, instruction.b, call.trans_b, call.accumulate);
  flying_.pop_front();
  free_instructions_.push_back(&instruction);
  retired_++;
  if (--accumulators.in_flight == 0) deliver(accumulators);
}

void WgmmaPipe::Retirement::complete() {
  while (pipe_.retired_ < target) pipe_.retire();
  Block::wake_all(pipe_.waiting_);
}

// To ThreadSanitizer the pipe is a fiber of its own, from the issue to the wait.
void WgmmaPipe::tell_reads(const WgmmaInstruction& instruction) {
#ifdef REMASK_TSAN
  void* running = race::running();
  if (engine_ == nullptr) engine_ = race::create();
  race::switch_to(engine_);
  race::acquire(&issue_tag_);
  const char* memory = block_->shared().base() + block_->shared().dynamic_begin();
  auto tell = [memory](const MatrixChunks& chunks) {
    for (unsigned i = 0; i < chunks.count; i++) {
      race::reads(memory + (chunks.address[i] - kDynamicWindow), 16);
    }
  };
  if (instruction.call.a_registers == nullptr) tell(instruction.a_chunks);
  tell(instruction.b_chunks);
  race::release(&done_tag_);
  race::switch_to(running);
#else
  (void)instruction;
#endif
}

void WgmmaPipe::deliver(Accumulators& accumulators) {
  const unsigned words = accumulators.n / 2;
  for (unsigned index = 0; index < kWarpgroup; index++) {
    float* d = accumulators.d[index];
    if (adversarial_) {
      bool intact = true;
      for (unsigned i = 0; i < words; i++) {
        std::uint32_t word;
        std::memcpy(&word, d + i, sizeof(word));
        intact &= word == kPoisonWord;
      }
      if (!intact) {
        block_->fail(block_->thread(warpgroup_ * kWarpgroup + index), kLaunchFailed,
                     accumulators.first,
                     "its accumulators were written while wgmma was in flight on them: wgmma_wait "
                     "must come first");
      }
    }
    give_fragment(accumulators.tile, accumulators.n, index, d);
    if (Registers* known = find(threads_[index], d)) {
      known->retired = &accumulators;
      known->use = accumulators.use;
    }
  }
}

// --- groups -----------------------------------------------------------------------------------

void WgmmaPipe::commit(Thread* self, const Site& site) {
  PerThread& thread = threads_[self->rank % kWarpgroup];
  const unsigned group = thread.committed++;
  if (group == group_ends_.size()) {
    group_ends_.push_back(thread.issued);
    group_sites_.push_back(site);
  } else if (group_ends_[group] != thread.issued) {
    block_->fail(self, kLaunchFailed, site,
                 "commits group %u after %u wgmma, but after %u at %s:%d in another thread of its "
                 "warpgroup",
                 group + 1, thread.issued, group_ends_[group], group_sites_[group].file,
                 group_sites_[group].line);
  }
}

void WgmmaPipe::wait(Thread* self, unsigned pending, const Site& site) {
  PerThread& thread = threads_[self->rank % kWarpgroup];
  if (thread.committed <= pending) return;
  const unsigned target = group_ends_[thread.committed - pending - 1];
  thread.covered = std::max(thread.covered, target);
  while (retired_ < target) {
    if (fully_issued_ >= target) {
      retirement_.target = std::max(retirement_.target, target);
      if (!retirement_.is_queued()) block_->cluster().async().start(retirement_);
      if (retired_ >= target) break;
    } else {
      wake_at_ = std::min(wake_at_, target);
    }
    block_->wait(self, waiting_, site,
                 Wait{[](const void* pipe, unsigned long long wanted) {
                        return static_cast<const WgmmaPipe*>(pipe)->describe(wanted);
                      },
                      this, target});
  }
  race::acquire(&done_tag_);
}

const Thread* WgmmaPipe::laggard(const WgmmaInstruction& instruction) const {
  const unsigned number =
      retired_ +
      unsigned(std::find(flying_.begin(), flying_.end(), &instruction) - flying_.begin());
  for (unsigned i = 0; i < kWarpgroup; i++) {
    if (threads_[i].issued <= number) return block_->thread(warpgroup_ * kWarpgroup + i);
  }
  return nullptr;
}

std::string WgmmaPipe::describe(unsigned long long target) const {
  for (unsigned i = fully_issued_; i < target && i - retired_ < flying_.size(); i++) {
    const WgmmaInstruction& instruction = *flying_[i - retired_];
    std::string text = "for the wgmma of " + std::string(instruction.site.file) + ":" +
                       std::to_string(instruction.site.line) + ", issued by " +
                       std::to_string(instruction.issued) + " of 128 threads";
    if (const Thread* thread = laggard(instruction)) {
      text += ", not by thread " + std::to_string(thread->rank);
    }
    return text;
  }
  return "for wgmma";
}

void WgmmaPipe::thread_exits(Thread* thread) {
  const PerThread& mine = threads_[thread->rank % kWarpgroup];
  if (mine.issued <= mine.covered || !adversarial_) return;
  block_->fail(thread, kLaunchFailed, mine.last,
               "the thread exits without having waited for this wgmma: wgmma_commit and "
               "wgmma_wait<0> must come first");
}

// --- those of a block -------------------------------------------------------------------------

void WgmmaPipes::begin(Block& block) {
  for (unsigned i = 0; i < pipes_.size(); i++) pipes_[i]->begin(block, i);
}

void WgmmaPipes::thread_exits(Thread* thread) {
  const unsigned warpgroup = thread->rank / kWarpgroup;
  if (warpgroup < pipes_.size()) pipes_[warpgroup]->thread_exits(thread);
}

WgmmaPipe& WgmmaPipes::of(Thread* thread, const Site& site) {
  Block& block = *thread->block;
  const unsigned warpgroup = thread->rank / kWarpgroup;
  if ((warpgroup + 1) * kWarpgroup > block.threads()) {
    block.fail(thread, kLaunchFailed, site,
               "thread %u belongs to no whole warpgroup: the block has %u threads", thread->rank,
               block.threads());
  }
  while (pipes_.size() <= warpgroup) {
    pipes_.push_back(std::make_unique<WgmmaPipe>());
    pipes_.back()->begin(block, unsigned(pipes_.size()) - 1);
  }
  return *pipes_[warpgroup];
}

// --- what the headers call --------------------------------------------------------------------

namespace {

WgmmaPipe& pipe(Thread* self, const Site& site) {
  return self->block->model<WgmmaPipes>().of(self, site);
}

}  // namespace

void wgmma_fence(const Site& site) {
  Thread* self = this_thread();
  pipe(self, site).fence(self);
}

void wgmma_commit(const Site& site) {
  Thread* self = this_thread();
  pipe(self, site).commit(self, site);
}

void wgmma_wait(int pending, const Site& site) {
  Thread* self = this_thread();
  pipe(self, site).wait(self, unsigned(pending), site);
}

void wgmma(float* d, int n, bool trans_b, unsigned long long a, unsigned long long b,
           bool accumulate, const Site& site) {
  Thread* self = this_thread();
  pipe(self, site).issue(self, WgmmaCall{d, unsigned(n), trans_b, accumulate, nullptr, a, b}, site);
}

void wgmma(float* d, int n, bool trans_b, const unsigned* a, unsigned long long b, bool accumulate,
           const Site& site) {
  Thread* self = this_thread();
  pipe(self, site).issue(self, WgmmaCall{d, unsigned(n), trans_b, accumulate, a, 0, b}, site);
}

}  // namespace remask::emulator
