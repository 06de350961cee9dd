// What the environment says about the device, read once; tests change some of it later.
#ifndef REMASK_DRIVER_SETTINGS_H_
#define REMASK_DRIVER_SETTINGS_H_

#include <atomic>
#include <cstdint>
#include <string>

namespace remask {

struct Settings {
  int threads;                        // REMASK_THREADS: compute threads of a kernel
  uint64_t device_memory;             // REMASK_DEVICE_MEMORY: bytes each device offers
  std::string log;                    // REMASK_LOG: file, "stderr" or empty
  std::atomic<bool> strict{false};    // REMASK_STRICT
  std::atomic<uint64_t> seed{0};      // REMASK_EMULATOR_SEED: of the emulator's scheduling
  std::atomic<uint64_t> launches{0};  // since the seed was set: each launch gets its own order
};

Settings& settings();

// The seed of the next kernel launch: the same sequence again after the seed is set again.
uint64_t next_launch_seed();

// "512M" -> bytes; 0 when malformed.
uint64_t parse_bytes(const char* text);

}  // namespace remask

#endif  // REMASK_DRIVER_SETTINGS_H_
