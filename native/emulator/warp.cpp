// Warp collectives: who waits for whom, and what each lane gets.
#include "remask_emulator/warp.h"

#include "cluster.h"

namespace remask::emulator {

unsigned long long Block::collective(Thread* self, unsigned operation, unsigned mask,
                                     unsigned long long value, unsigned source, const Site& site,
                                     WarpModel model) {
  const unsigned warp_index = self->rank / 32;
  const unsigned lane = self->rank % 32;
  const std::uint32_t bit = 1u << lane;
  Warp& warp = warps_[warp_index];
  self->site = site;
  if (!(mask & bit)) {
    fail(self, kLaunchFailed, site, "its mask 0x%08x does not name the calling lane", mask);
  }
  if (std::uint32_t absent = mask & ~warp.present) {
    fail(self, kLaunchFailed, site,
         "its mask 0x%08x names lane %d, which a block of %u threads does not have", mask,
         __builtin_ctz(absent), count_);
  }
  if (std::uint32_t exited = mask & warp.exited) {
    fail(self, kLaunchFailed, site, "its mask 0x%08x names lane %d, which has exited", mask,
         __builtin_ctz(exited));
  }
  self->offer = Offer{operation, mask, source, value, 0, model};
  const bool orders = Operation(operation) == Operation::kSyncWarp;
  const char* tag = &warp.tags[warp.phase % 2];
  if (orders) race::release(tag);

  // Nearly always all lanes that wait have the same mask; only otherwise are they looked at.
  if (warp.meeting == 0) {
    warp.mask = mask;
    warp.masks_differ = false;
  } else if (mask != warp.mask) {
    warp.masks_differ = true;
  }
  warp.meeting |= bit;
  std::uint32_t here = warp.meeting & mask;
  if (warp.masks_differ) {
    for (std::uint32_t lanes = here & ~bit; lanes != 0; lanes &= lanes - 1) {
      const Thread* other = slots_.thread(warp_index * 32 + unsigned(__builtin_ctz(lanes)));
      if (other->offer.mask == mask) continue;
      if (other->offer.mask & bit) {
        fail(self, kLaunchFailed, site,
             "its mask 0x%08x differs from 0x%08x of lane %u, which waits for it at %s, %s:%d",
             mask, other->offer.mask, other->rank % 32, other->site.what, other->site.file,
             other->site.line);
      }
      here &= ~(1u << other->rank % 32);  // waits for others, and will come here later
    }
  }
  if (here == mask) complete(warp_index, mask);
  cluster_.switch_away(self);
  if (orders) race::acquire(tag);
  return self->offer.result;
}

void Block::complete(unsigned warp_index, std::uint32_t mask) {
  Warp& warp = warps_[warp_index];
  auto at = [&](unsigned lane) { return slots_.thread(warp_index * 32 + lane); };
  const Thread* first = at(unsigned(__builtin_ctz(mask)));
  const auto operation = Operation(first->offer.operation);
  if (operation == Operation::kInstruction) {
    perform(warp_index);
    return;
  }

  unsigned long long common = first->offer.value;  // of operations that give all lanes the same
  if (operation == Operation::kBallot) common = 0;
  bool all_equal = true;
  for (std::uint32_t lanes = mask; lanes != 0; lanes &= lanes - 1) {
    const unsigned lane = unsigned(__builtin_ctz(lanes));
    const Thread* thread = at(lane);
    const unsigned long long value = thread->offer.value;
    if (thread->offer.operation != first->offer.operation) {
      fail(thread, kLaunchFailed, thread->site,
           "meets lane %u at %s, %s:%d: the lanes of a mask must reach the same collective",
           first->rank % 32, first->site.what, first->site.file, first->site.line);
    }
    all_equal &= value == first->offer.value;
    switch (operation) {
      case Operation::kBallot:
        common |= value << lane;
        break;
      case Operation::kAdd:
        if (thread != first) common += value;
        break;
      case Operation::kMinSigned:
        if (int(value) < int(common)) common = value;
        break;
      case Operation::kMinUnsigned:
        if (unsigned(value) < unsigned(common)) common = value;
        break;
      case Operation::kMaxSigned:
        if (int(value) > int(common)) common = value;
        break;
      case Operation::kMaxUnsigned:
        if (unsigned(value) > unsigned(common)) common = value;
        break;
      case Operation::kAnd:
        common &= value;
        break;
      case Operation::kOr:
        common |= value;
        break;
      case Operation::kXor:
        if (thread != first) common ^= value;
        break;
      case Operation::kInstruction:
      case Operation::kSyncWarp:
      case Operation::kShuffle:
      case Operation::kMatchAny:
      case Operation::kMatchAll:
        break;
    }
  }
  if (operation == Operation::kMatchAll) common = all_equal ? mask : 0;

  for (std::uint32_t lanes = mask; lanes != 0; lanes &= lanes - 1) {
    Offer& offer = at(unsigned(__builtin_ctz(lanes)))->offer;
    offer.result = common;
    if (operation == Operation::kShuffle) {
      offer.result = mask >> offer.source & 1 ? at(offer.source)->offer.value : kPoison;
    } else if (operation == Operation::kMatchAny) {
      unsigned equal = 0;
      for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
        const unsigned lane = unsigned(__builtin_ctz(rest));
        if (at(lane)->offer.value == offer.value) equal |= 1u << lane;
      }
      offer.result = equal;
    }
  }
  warp.meeting &= ~mask;
  warp.phase++;
  make_ready(warp_index, mask);
}

void Block::perform(unsigned warp_index) {
  Warp& warp = warps_[warp_index];
  const Thread* first = slots_.thread(warp_index * 32);
  void* lanes[32];
  for (unsigned lane = 0; lane < 32; lane++) {
    const Thread* thread = slots_.thread(warp_index * 32 + lane);
    if (thread->offer.operation != unsigned(Operation::kInstruction) ||
        thread->offer.model != first->offer.model || thread->site.line != first->site.line) {
      fail(thread, kLaunchFailed, thread->site,
           "meets lane 0 at %s, %s:%d: all lanes of a warp must execute the same .aligned "
           "instruction together",
           first->site.what, first->site.file, first->site.line);
    }
    lanes[lane] = reinterpret_cast<void*>(thread->offer.value);
  }
  first->offer.model(lanes, this_thread(), first->site);
  warp.meeting = 0;
  make_ready(warp_index, ~0u);
}

// --- what the headers call --------------------------------------------------------------------

unsigned long long collective(Operation operation, unsigned mask, unsigned long long value,
                              unsigned source, const Site& site) {
  Thread* self = this_thread();
  return self->block->collective(self, unsigned(operation), mask, value, source, site);
}

void warp_instruction(WarpModel model, void* operands, const Site& site) {
  Thread* self = this_thread();
  self->block->collective(self, unsigned(Operation::kInstruction), ~0u,
                          reinterpret_cast<unsigned long long>(operands), 0, site, model);
}

int barrier(bool predicate, const Site& site) {
  Thread* self = this_thread();
  return self->block->barrier(self, predicate, site);
}

void yield() {
  Thread* self = this_thread();
  self->block->yield(self);
}

void set_condition(unsigned long long handle, unsigned value, const char* file, int line) {
  const RemaskLaunch& launch = *this_thread()->block->cluster().launch().request;
  if (launch.set_condition != nullptr && launch.set_condition(handle, value)) return;
  fail(kLaunchFailed, file, line, "cudaGraphSetConditional(0x%llx, %u): no graph that runs has it",
       handle, value);
}

void fail(int code, const char* file, int line, const char* format, ...) {
  Thread* self = this_thread();
  va_list arguments;
  va_start(arguments, format);
  self->block->note_failure(self, code, Site{"", file, line}, format, arguments);
  va_end(arguments);
  self->block->stop();
}

}  // namespace remask::emulator
