// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011). A draw is a pure function of (key, counter), so what a position draws does
// not depend on tiling, batch or device.
#pragma once

namespace remask {

struct PhiloxCounter {
  unsigned word[4];
};

__device__ __forceinline__ PhiloxCounter philox4x32_10(PhiloxCounter counter, unsigned key0,
                                                       unsigned key1) {
  constexpr unsigned kMultiplier0 = 0xD2511F53u;
  constexpr unsigned kMultiplier1 = 0xCD9E8D57u;
  constexpr unsigned kWeyl0 = 0x9E3779B9u;  // the key's steps: golden ratio, sqrt(3) - 1
  constexpr unsigned kWeyl1 = 0xBB67AE85u;
  constexpr int kRounds = 10;
#pragma unroll
  for (int round = 0; round < kRounds; ++round) {
    const unsigned long long product0 =
        static_cast<unsigned long long>(kMultiplier0) * counter.word[0];
    const unsigned long long product1 =
        static_cast<unsigned long long>(kMultiplier1) * counter.word[2];
    counter = {{static_cast<unsigned>(product1 >> 32) ^ counter.word[1] ^ key0,
                static_cast<unsigned>(product1),
                static_cast<unsigned>(product0 >> 32) ^ counter.word[3] ^ key1,
                static_cast<unsigned>(product0)}};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return counter;
}

}  // namespace remask
