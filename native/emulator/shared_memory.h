// The shared memory of a block: the library's static __shared__ variables, then the launch's
// dynamic shared memory, exactly as long as asked for; canaries behind each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "shared_layout.h"

namespace remask::emulator {

// NaN as bf16, f16, f32 and f64; as an index far out of any array.
constexpr std::uint32_t kPoisonWord = 0x7fff7fff;

constexpr unsigned kMostSharedBytes = 227 * 1024;

class SharedMemory {
 public:
  SharedMemory() = default;
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // Fills dynamic memory with NaN patterns (zeros without poison) and lays canaries; static
  // variables follow when the block first asks for them. False: no memory, or a library whose
  // shared variables are not laid out as this file expects.
  bool prepare(unsigned dynamic_bytes, bool poison);
  char* base() const { return base_; }
  std::size_t dynamic_begin() const { return layout_->dynamic_begin; }
  std::size_t dynamic_bytes() const { return dynamic_bytes_; }
  std::size_t mapped_bytes() const { return mapped_bytes_; }  // from base() on
  std::size_t window_bytes() const { return dynamic_begin() + kMostSharedBytes; }
  // The static variable of this block that holds an offset; null: none does.
  const SharedArray* array_at(std::size_t offset) const;
  // Whether these bytes are all of one array.
  bool is_inside(std::size_t offset, std::size_t bytes) const {
    if (offset >= dynamic_begin()) return offset - dynamic_begin() + bytes <= dynamic_bytes_;
    const SharedArray* array = array_at(offset);
    return array != nullptr && offset + bytes <= array->end;
  }
  // Where an offset is that is in no array.
  std::string describe(std::size_t offset) const;
  // What was written where no array is; empty: nothing.
  std::string broken_canary() const;

 private:
  const SharedLayout* layout_ = nullptr;
  char* base_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::size_t dynamic_bytes_ = 0;
};

}  // namespace remask::emulator
