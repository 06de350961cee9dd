// How hard the emulator tries to break a kernel.
#pragma once

namespace remask::emulator {

enum class Adversary {
  kRandom,    // asynchronous operations complete at a drawn moment
  kEarliest,  // ... at once
  kLatest,    // ... when someone waits for them
  kOff,       // at once, threads in a fixed order, no poison, no checks of accesses, none of the
              // rules on fences and waits: what an emulator does that wants right kernels to run
};

// REMASK_EMULATOR_ADVERSARY=random|earliest|latest|off; anything else is random.
Adversary adversary_of_environment();

}  // namespace remask::emulator
