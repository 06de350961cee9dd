#include <algorithm>
#include <cstring>

#include "hopper_matrix.h"
#include "hopper_swizzle.h"

namespace remask::emulator {
namespace {

// Eight floats; g++ makes one AVX register of it, or what the machine has.
typedef float Lanes __attribute__((vector_size(32), aligned(4), may_alias));
constexpr unsigned kLanes = 8;
constexpr unsigned kChunkElements = 8;

unsigned field(unsigned long long bits, unsigned low) {
  return unsigned(bits >> low & 0x3fff) << 4;
}

float widened(std::uint16_t bf16) {
  const std::uint32_t bits = std::uint32_t(bf16) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Four rows by two vectors of columns, which stay in registers over k.
constexpr unsigned kRows = 4;
void multiply_part(float* tile, unsigned n, const float* left, const float* right,
                   bool accumulate) {
  Lanes sum[kRows][2] = {};
  if (accumulate) {
#pragma GCC unroll 4
    for (unsigned i = 0; i < kRows; i++) {
      sum[i][0] = *reinterpret_cast<const Lanes*>(tile + i * n);
      sum[i][1] = *reinterpret_cast<const Lanes*>(tile + i * n + kLanes);
    }
  }
#pragma GCC unroll 1
  for (unsigned k = 0; k < kMatrixK; k++) {
    const Lanes x = *reinterpret_cast<const Lanes*>(right + k * n);
    const Lanes y = *reinterpret_cast<const Lanes*>(right + k * n + kLanes);
#pragma GCC unroll 4
    for (unsigned i = 0; i < kRows; i++) {
      const float scalar = left[i * kMatrixK + k];
      sum[i][0] += scalar * x;
      sum[i][1] += scalar * y;
    }
  }
#pragma GCC unroll 4
  for (unsigned i = 0; i < kRows; i++) {
    *reinterpret_cast<Lanes*>(tile + i * n) = sum[i][0];
    *reinterpret_cast<Lanes*>(tile + i * n + kLanes) = sum[i][1];
  }
}

}  // namespace

MatrixDescriptor::MatrixDescriptor(unsigned long long bits)
    : start(field(bits, 0)),
      leading(field(bits, 16)),
      stride(field(bits, 32)),
      base_offset(unsigned(bits >> 49 & 7)),
      span(bits >> 62 == 0 ? 0 : 256u >> (bits >> 62)) {}

const char* descriptor_refusal(unsigned long long bits) {
  constexpr unsigned long long kUsed =
      0x3fffull | 0x3fffull << 16 | 0x3fffull << 32 | 7ull << 49 | 3ull << 62;
  if (bits & ~kUsed) return "bits are set that no field of a descriptor has";
  if (bits >> 62 == 0 && (bits >> 49 & 7) != 0) return "a base offset without a swizzle";
  return nullptr;
}

void MatrixChunks::find(const MatrixDescriptor& descriptor, unsigned rows, bool mn_major) {
  const unsigned span = descriptor.span, leading = descriptor.leading, stride = descriptor.stride;
  count = 0;
  first = ~0u;
  end = 0;
  auto add = [&](unsigned offset) {
    // Addresses have 18 bits; what runs over is lost, as in the descriptor.
    const unsigned at =
        swizzled((descriptor.start + offset) & 0x3ffff, span, descriptor.base_offset);
    address[count++] = at;
    first = std::min(first, at);
    end = std::max(end, at + 16);
  };
  if (!mn_major) {
    const unsigned pitch = span == 0 ? 16 : span;
    const unsigned next_half = span == 0 ? leading : 16;
    for (unsigned row = 0; row < rows; row++) {
      const unsigned offset = row % 8 * pitch + row / 8 * stride;
      add(offset);
      add(offset + next_half);
    }
    return;
  }
  const unsigned pitch = span == 0 ? 16 : span;
  const unsigned chunks_log2 = span == 0 ? 0 : unsigned(__builtin_ctz(span / 16));  // in a span
  // Without a swizzle the two strides change their parts (9.7.15.5.1.2.1.3).
  const unsigned next_span = span == 0 ? stride : leading;
  const unsigned next_rows = span == 0 ? leading : stride;
  for (unsigned k = 0; k < kMatrixK; k++) {
    const unsigned row = k % 8 * pitch + k / 8 * next_rows;
    for (unsigned chunk = 0; chunk < rows / kChunkElements; chunk++) {
      const unsigned whole = chunk >> chunks_log2;
      add(row + (chunk - (whole << chunks_log2)) * 16 + whole * next_span);
    }
  }
}

void MatrixChunks::gather(const char* memory, std::uint16_t* elements) const {
  for (unsigned i = 0; i < count; i++) {
    std::memcpy(elements + i * kChunkElements, memory + (address[i] - first), 16);
  }
}

long MatrixChunks::difference(const char* memory, const std::uint16_t* elements) const {
  for (unsigned i = 0; i < count; i++) {
    if (std::memcmp(elements + i * kChunkElements, memory + (address[i] - first), 16) != 0) {
      return long(address[i]);
    }
  }
  return -1;
}

void multiply(float* tile, unsigned n, const std::uint16_t* a, const std::uint16_t* b,
              bool mn_major, bool accumulate) {
  alignas(32) float left[kMatrixM * kMatrixK];
  alignas(32) float right[kMatrixK * kMostN];  // [k][n]
  for (unsigned i = 0; i < kMatrixM * kMatrixK; i++) left[i] = widened(a[i]);
  // The columns in the tile's order.
  if (mn_major) {
    for (unsigned k = 0; k < kMatrixK; k++) {
      float* row = right + k * n;
      for (unsigned column = 0; column < n; column += 8) {
        for (unsigned t = 0; t < 4; t++) {
          float* pair = row + t * (n / 4) + column / 4;
          pair[0] = widened(b[k * n + column + 2 * t]);
          pair[1] = widened(b[k * n + column + 2 * t + 1]);
        }
      }
    }
  } else {
    for (unsigned at = 0; at < n; at += kLanes) {
      const std::uint16_t* columns[kLanes];
      for (unsigned i = 0; i < kLanes; i++) {
        const unsigned t = (at + i) / (n / 4), rest = (at + i) % (n / 4);
        columns[i] = b + (rest / 2 * 8 + 2 * t + rest % 2) * kMatrixK;
      }
      for (unsigned k = 0; k < kMatrixK; k++) {
        for (unsigned i = 0; i < kLanes; i++) right[k * n + at + i] = widened(columns[i][k]);
      }
    }
  }
  for (unsigned column = 0; column < n; column += 2 * kLanes) {
    for (unsigned row = 0; row < kMatrixM; row += kRows) {
      multiply_part(tile + row * n + column, n, left + row * kMatrixK, right + column, accumulate);
    }
  }
}

void take_fragment(float* tile, unsigned n, unsigned thread, const float* d) {
  float* low = tile + (thread / 32 * 16 + thread % 32 / 4) * n + thread % 4 * (n / 4);
  float* high = low + 8 * n;
  for (unsigned i = 0; i < n / 4; i += 2) {
    std::memcpy(low + i, d + 2 * i, 2 * sizeof(float));
    std::memcpy(high + i, d + 2 * i + 2, 2 * sizeof(float));
  }
}

void give_fragment(const float* tile, unsigned n, unsigned thread, float* d) {
  const float* low = tile + (thread / 32 * 16 + thread % 32 / 4) * n + thread % 4 * (n / 4);
  const float* high = low + 8 * n;
  for (unsigned i = 0; i < n / 4; i += 2) {
    std::memcpy(d + 2 * i, low + i, 2 * sizeof(float));
    std::memcpy(d + 2 * i + 2, high + i, 2 * sizeof(float));
  }
}

}  // namespace remask::emulator
