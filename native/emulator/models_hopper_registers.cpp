#include <algorithm>
#include <cstring>
#include <string>

#include "hopper_block.h"
#include "hopper_registers.h"

namespace remask::emulator {
namespace {

constexpr unsigned kRegisterFile = 65536;  // of an SM
constexpr unsigned kMostRegisters = 256;   // of a thread

}  // namespace

void RegisterPool::begin(const Block& block) {
  // As one block an SM: __launch_bounds__(threads, 1).
  const unsigned each = std::min(kRegisterFile / block.threads() / 8 * 8, kMostRegisters);
  free_ = 0;
  waiting_.clear();
  for (Warp& warp : warps_) warp = Warp{each, 0, 0, false, {}};
}

std::string RegisterPool::describe(const void* pool, unsigned long long registers) {
  return "for " + std::to_string(registers) + " registers more, " +
         std::to_string(static_cast<const RegisterPool*>(pool)->free_) + " are free";
}

void RegisterPool::set(Thread* self, unsigned registers, bool increase, const Site& site) {
  Block& block = *self->block;
  if (block.is_naive()) return;
  const unsigned index = self->rank / 32;
  if (block.threads() % 128 != 0 && index / 4 == block.threads() / 128) {
    block.fail(self, kLaunchFailed, site, "needs whole warpgroups; the block has %u threads",
               block.threads());
  }
  Warp& warp = warps_[index];
  const bool first_lane = warp.lanes == 0;
  warp.lanes |= 1u << self->rank % 32;
  if (warp.lanes == ~0u) warp.lanes = 0;
  if (first_lane) {  // acts for its warp
    // Up to 256 threads ptxas chooses how many a thread begins with, at most what fits.
    if (increase && warp.calls == 0 && block.threads() <= 256 && registers < warp.registers) {
      warp.registers = registers;
    }
    if (increase ? registers < warp.registers : registers > warp.registers) {
      block.fail(self, kLaunchFailed, site, "%s to %u registers a thread, but the warp has %u",
                 increase ? "increases" : "decreases", registers, warp.registers);
    }
    const unsigned call = warp.calls;
    if (call < kMostCalls) {
      Call& expected = calls_[index / 4][call];
      bool first = true;
      for (unsigned other = index / 4 * 4; other < index / 4 * 4 + 4; other++) {
        first &= other == index || warps_[other].calls <= call;
        if (warps_[other].exited && warps_[other].calls <= call) {
          block.fail(self, kLaunchFailed, site,
                     "warp %u of its warpgroup has exited without it: all four must execute the "
                     "same setmaxnreg",
                     other);
        }
      }
      if (first) expected = Call{registers, increase, site};
      if (expected.registers != registers || expected.increase != increase) {
        block.fail(
            self, kLaunchFailed, site,
            "asks for %u registers where another warp of its warpgroup asked for %u (%s:%d): "
            "all four must execute the same setmaxnreg",
            registers, expected.registers, expected.site.file, expected.site.line);
      }
    }
    if (!increase) {
      free_ += (warp.registers - registers) * 32;
      warp.registers = registers;
      Block::wake_all(waiting_);
    }
    warp.calls++;
    warp.last = site;
  }
  while (warp.registers < registers) {
    const unsigned more = (registers - warp.registers) * 32;
    if (more <= free_) {
      free_ -= more;
      warp.registers = registers;
    } else {
      block.wait(self, waiting_, site, Wait{&RegisterPool::describe, this, more});
    }
  }
}

void RegisterPool::thread_exits(Thread* thread) {
  Warp& mine = warps_[thread->rank / 32];
  mine.exited = true;
  for (unsigned other = thread->rank / 128 * 4; other < thread->rank / 128 * 4 + 4; other++) {
    const Warp& warp = warps_[other];
    if (warp.calls <= mine.calls) continue;
    thread->block->fail(thread, kLaunchFailed, warp.last,
                        "the warp exits without this setmaxnreg, which warp %u of its warpgroup "
                        "has executed: all four must",
                        other);
  }
}

namespace {

// Only the meeting matters: .sync.aligned.
void meet(void* const (&)[32], Thread*, const Site&) {}

}  // namespace

// --- what the headers call --------------------------------------------------------------------

void setmaxnreg(int registers, bool increase, const Site& site) {
  Thread* self = this_thread();
  warp_instruction(meet, nullptr, site);
  self->block->model<HopperBlock>().registers.set(self, unsigned(registers), increase, site);
}

}  // namespace remask::emulator
