#include "cluster.h"
#include "hopper_block.h"

namespace remask::emulator {

void HopperBlock::begin(Block& block) {
  barriers.clear();
  writes.clear();
  copies.begin(block);
  registers.begin(block);
  Cluster& cluster = block.cluster();
  block.accesses().watch_shared(&writes);
  elected = cluster.launch().adversary == Adversary::kOff ? 0 : 1 + cluster.random().next() % 31;
}

void HopperBlock::thread_exits(Thread* thread) {
  copies.thread_exits(thread);
  registers.thread_exits(thread);
}

}  // namespace remask::emulator
