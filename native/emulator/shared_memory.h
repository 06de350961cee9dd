// The shared memory of a block: all static __shared__ variables of the library, then the launch's
// dynamic shared memory, exactly as long as asked for, then canaries.
#pragma once

#include <cstddef>
#include <cstdint>

namespace remask::emulator {

constexpr unsigned kMostSharedBytes = 227 * 1024;

class SharedMemory {
 public:
  SharedMemory() = default;
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // Fills everything with NaN patterns, and lays canaries. False: no memory, or a library whose
  // shared variables are not laid out as this file expects.
  bool prepare(unsigned dynamic_bytes);
  char* base() const { return base_; }
  // Offset behind the end of the dynamic shared memory of the first canary that was overwritten;
  // -1: none was.
  long broken_canary() const;

 private:
  char* base_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::size_t dynamic_begin_ = 0;
  std::size_t dynamic_bytes_ = 0;
};

}  // namespace remask::emulator
