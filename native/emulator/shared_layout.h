// Where the static __shared__ variables of this library lie in a block's memory: not where the
// linker put them, one directly behind the other, but with canaries between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace remask::emulator {

struct SharedArray {
  std::size_t linked;      // offset in the library's TLS segment
  std::size_t begin, end;  // offsets in a block's memory
  std::string name;
};

struct SharedLayout {
  std::vector<SharedArray> arrays;     // by offset
  std::vector<std::uint16_t> indices;  // of the array at each offset of the TLS segment
  std::size_t segment_bytes = 0;       // its last byte marks where dynamic memory begins
  std::size_t dynamic_begin = 0;       // in a block's memory

  // The array that holds an offset in a block's memory; null: none does.
  const SharedArray* find(std::size_t offset) const;
};

// Behind each array at least so many bytes that are nobody's.
constexpr std::size_t kGapBytes = 128;
// What `extern __shared__` arrays may be aligned to: 128-byte swizzles need 1024.
constexpr std::size_t kDynamicAlignment = 1024;
constexpr std::size_t kMostSharedArrays = 4096;

// Null: the library's shared variables are not laid out as this file expects.
const SharedLayout* shared_layout();

}  // namespace remask::emulator
