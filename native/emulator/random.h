#pragma once

#include <cstdint>

namespace remask::emulator {

// Small and fast; statistical quality beyond that is of no use here.
class Random {
 public:
  explicit Random(std::uint64_t seed = 1) : state_(seed * 0x9e3779b97f4a7c15ull | 1) {
    for (int i = 0; i < 4; i++) next();
  }
  std::uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return std::uint32_t(state_ * 0x2545f4914f6cdd1dull >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace remask::emulator
