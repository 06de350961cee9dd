// What the models of sm_90a keep about a block, besides its tensor pipes (hopper_wgmma.h).
#pragma once

#include "block.h"
#include "hopper_barrier.h"
#include "hopper_copy.h"
#include "hopper_proxy.h"
#include "hopper_registers.h"

namespace remask::emulator {

class HopperBlock : public BlockModel {
 public:
  static constexpr ModelSlot kSlot = ModelSlot::kHopper;

  void begin(Block& block) override;
  void thread_exits(Thread* thread) override;

  Mbarriers barriers;
  GenericWrites writes;
  Copies copies;
  RegisterPool registers;
  unsigned elected = 0;  // where elect.sync begins to choose lanes
};

}  // namespace remask::emulator
