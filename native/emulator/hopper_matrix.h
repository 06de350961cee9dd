// The operands of wgmma m64nNk16 (bf16): where a descriptor says that they lie, and their product.
#pragma once

#include <cstdint>

namespace remask::emulator {

constexpr unsigned kMatrixK = 16;
constexpr unsigned kMatrixM = 64;
constexpr unsigned kMostN = 256;

// The fields of a matrix descriptor (PTX ISA 9.7.15.5.1.2.2).
struct MatrixDescriptor {
  unsigned start, leading, stride;  // bytes
  unsigned base_offset;
  unsigned span;  // of the swizzle: 0, 32, 64 or 128 bytes

  explicit MatrixDescriptor(unsigned long long bits);
};
// Why the hardware would not understand these bits; null if it would.
const char* descriptor_refusal(unsigned long long bits);

// The 16-byte chunks of an operand in shared memory, in the order in which `elements` holds them:
// K-major (`rows` x 16 elements, two chunks a row) or MN-major (16 rows of k, rows / 8 chunks
// each).
struct MatrixChunks {
  unsigned count = 0;
  unsigned first = 0, end = 0;  // lowest address and the end behind the highest
  unsigned address[2 * kMostN];

  void find(const MatrixDescriptor& descriptor, unsigned rows, bool mn_major);
  // `memory` is what lies at address `first`.
  void gather(const char* memory, std::uint16_t* elements) const;
  // The address of the first chunk that differs from `elements`; -1: none does.
  long difference(const char* memory, const std::uint16_t* elements) const;
};

// The tile of accumulators keeps its columns in the order of the threads that hold them: of 8
// neighbouring columns thread t % 4 holds 2t and 2t + 1, so column c lies at c % 8 / 2 * (n / 4) +
// c / 8 * 2 + c % 2, and what a thread holds of a row is contiguous.
//
// tile[64][n] = a·b, + tile with accumulate. a: [64][16]; b: [n][16], or with mn_major [16][n].
// Sums run over k in order, in f32, each product fused. The hardware's order is its own secret.
void multiply(float* tile, unsigned n, const std::uint16_t* a, const std::uint16_t* b,
              bool mn_major, bool accumulate);
// Between a thread's registers d[n / 2] and the tile; `thread` of the warpgroup.
void take_fragment(float* tile, unsigned n, unsigned thread, const float* d);
void give_fragment(const float* tile, unsigned n, unsigned thread, float* d);

}  // namespace remask::emulator
