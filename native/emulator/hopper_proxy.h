// The proxy rule: what threads wrote to shared memory by ordinary stores is visible to TMA and
// wgmma only once the writer has called fence.proxy.async (and a barrier has told the issuer so).
//
// Every 16-byte chunk of a block's dynamic shared memory remembers the last thread that wrote it
// and has not fenced since. Ordinary stores are told by access_check.cpp (so only in the library
// that checks accesses, and from the block's first instruction of sm_90a on), stmatrix by its
// model. Not followed: static __shared__ variables, and a store to what the thread has just read
// (the compiler calls for the first access only).
#pragma once

#include <cstdint>
#include <vector>

#include "block.h"

namespace remask::emulator {

class GenericWrites {
 public:
  void clear();
  // `offset` in the shared window, without a rank.
  void written(const Thread* by, unsigned offset, unsigned bytes);
  void fence_by(const Thread* thread);
  bool any_unfenced() const { return unfenced_ > 0; }
  // Reports `self` if a chunk of these bytes waits for a fence; `what` is about to touch them.
  void require_fenced(Block& block, const Thread* self, unsigned offset, unsigned bytes,
                      const char* what, const Site& site) const;

 private:
  static constexpr unsigned kChunkBytes = 16;
  static constexpr unsigned kChunks = (kDynamicWindow + kMostSharedBytes) / kChunkBytes;

  bool any_ = false;                                    // since the block began
  unsigned unfenced_ = 0;                               // chunks
  std::uint16_t writers_[kChunks] = {};                 // rank + 1; 0: none or fenced
  std::vector<std::uint16_t> chunks_of_[kMostThreads];  // may name a chunk twice
};

}  // namespace remask::emulator
