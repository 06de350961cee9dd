// What the probes share: integer values that a bf16 holds exactly, and the dump of shared memory.
//
// A probe gives an instruction operands that are small whole numbers made from where they lie, and
// writes out every bit that it leaves behind. Sums of them are exact in f32 in any order, so a card
// and the emulator must agree bit for bit, and a fragment, chunk or descriptor field that means
// something else moves a number.
#pragma once

namespace remask {

constexpr unsigned kPoison = 0xdeadbeefu;

// Mixes the bits of a place and of a round of a probe.
__device__ __forceinline__ unsigned mixed(unsigned place, unsigned round) {
  unsigned x = place * 0x9e3779b1u + round * 0x85ebca6bu + 0x27d4eb2fu;
  x = (x ^ (x >> 15)) * 0x2c1b3c6du;
  x = (x ^ (x >> 12)) * 0x297a2d39u;
  return x ^ (x >> 15);
}

// The bf16 of a whole number from -8 to 7.
__device__ __forceinline__ unsigned small_bf16(unsigned bits) {
  return __float_as_uint(static_cast<float>(static_cast<int>(bits % 16) - 8)) >> 16;
}

// Two of them, one behind the other.
__device__ __forceinline__ unsigned small_pair(unsigned place, unsigned round) {
  return small_bf16(mixed(2 * place, round)) | small_bf16(mixed(2 * place + 1, round)) << 16;
}

// words[i] = i, poison, or small pairs; all threads, a barrier behind.
enum class Filling { kIndex, kPoison, kPairs };
__device__ __forceinline__ void fill(unsigned* words, unsigned count, Filling filling,
                                     unsigned round) {
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
    words[i] = filling == Filling::kIndex
                   ? i
                   : (filling == Filling::kPoison ? kPoison : small_pair(i, round));
  }
  __syncthreads();
}

// After a barrier.
__device__ __forceinline__ void dump(unsigned* out, const unsigned* words, unsigned count) {
  __syncthreads();
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) out[i] = words[i];
}

}  // namespace remask
