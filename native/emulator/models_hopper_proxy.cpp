#include <cstring>

#include "hopper_block.h"
#include "hopper_proxy.h"

namespace remask::emulator {

void GenericWrites::clear() {
  if (!any_) return;
  any_ = false;
  unfenced_ = 0;
  std::memset(writers_, 0, sizeof(writers_));
  for (std::vector<std::uint16_t>& chunks : chunks_of_) chunks.clear();
}

void GenericWrites::written(const Thread* by, unsigned offset, unsigned bytes) {
  if (offset < kDynamicWindow || offset >= kDynamicWindow + kMostSharedBytes || bytes == 0) return;
  any_ = true;
  const auto writer = std::uint16_t(by->rank + 1);
  const unsigned last = (offset + bytes - 1) / kChunkBytes;
  for (unsigned chunk = offset / kChunkBytes; chunk <= last && chunk < kChunks; chunk++) {
    if (writers_[chunk] == writer) continue;
    unfenced_ += writers_[chunk] == 0;
    writers_[chunk] = writer;
    chunks_of_[by->rank].push_back(std::uint16_t(chunk));
  }
}

void GenericWrites::fence_by(const Thread* thread) {
  std::vector<std::uint16_t>& chunks = chunks_of_[thread->rank];
  for (std::uint16_t chunk : chunks) {
    if (writers_[chunk] != thread->rank + 1) continue;
    writers_[chunk] = 0;
    unfenced_--;
  }
  chunks.clear();
}

void GenericWrites::require_fenced(Block& block, const Thread* self, unsigned offset,
                                   unsigned bytes, const char* what, const Site& site) const {
  if (unfenced_ == 0 || block.is_naive()) return;
  const unsigned last = (offset + bytes - 1) / kChunkBytes;
  for (unsigned chunk = offset / kChunkBytes; chunk <= last && chunk < kChunks; chunk++) {
    if (writers_[chunk] == 0) continue;
    const unsigned writer = writers_[chunk] - 1u;
    self->block->fail(self, kLaunchFailed, site,
                      "%s shared memory at 0x%x of CTA %u that thread %u (warp %u, lane %u) wrote "
                      "by ordinary stores and has not fenced since: the writer must call "
                      "fence_proxy_async, then meet the issuer at a barrier",
                      what, chunk * kChunkBytes, block.rank(), writer, writer / 32, writer % 32);
  }
}

void fence_proxy_async(const Site&) {
  Thread* self = this_thread();
  HopperBlock& hopper = self->block->model<HopperBlock>();
  hopper.writes.fence_by(self);
  // It orders an mbarrier's initialisation, an ordinary write, before copies, too.
  hopper.barriers.fence_by(self->rank);
}

}  // namespace remask::emulator
