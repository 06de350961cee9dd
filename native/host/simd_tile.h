// The register tile that matrix multiplication and attention's two products are made of. See
// simd_vector.h.
#ifndef REMASK_HOST_SIMD_TILE_H_
#define REMASK_HOST_SIMD_TILE_H_

#include "simd_vector.h"

namespace remask::host::REMASK_SIMD {

// Accumulators of the largest tile: latency 4 x 2 FMA units need 8; the rest of the register file,
// less a row of b and a broadcast, makes each load serve more products.
#if defined(__AVX512F__)
constexpr int kTileRows = 6, kTileVectors = 4;
#elif defined(__AVX2__)
constexpr int kTileRows = 6, kTileVectors = 2;
#else
constexpr int kTileRows = 4, kTileVectors = 2;
#endif

// Two bf16 that lie side by side, the first in the lower half: a factor of vdpbf16ps.
struct Bf16Pair {
  std::uint32_t bits;
};

// As many pairs as there are lanes, their bits.
inline Floats load(const Bf16Pair* from) {
  Floats bits;
  std::memcpy(&bits, from, sizeof(bits));
  return bits;
}
inline Floats splat_factor(const float* from) { return splat(*from); }
// sums + a * b, in each lane a product of floats, or the two of a pair's.
inline Floats multiply_add(Floats sums, Floats a, Floats b, const float*) { return sums + a * b; }
#if defined(__AVX512BF16__)
inline Floats splat_factor(const Bf16Pair* from) {
  std::int32_t bits;
  std::memcpy(&bits, from, sizeof(bits));
  return (Floats)_mm512_set1_epi32(bits);
}
inline Floats multiply_add(Floats sums, Floats a, Floats b, const Bf16Pair*) {
  return (Floats)_mm512_dpbf16_ps((__m512)sums, (__m512bh)a, (__m512bh)b);
}
#endif

// Factors that leave the old content of c as it is: see `scale` below.
alignas(64) constexpr float kKeep[64] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// c[R, V vectors] = scale * c + sum over i < depth of a(r, i) * b[i, V vectors], where a(r, i) lies
// at a + r * a_row + i * a_step. A null `scale` leaves the old c out; else it holds one factor per
// row. Each element's sum runs over i in order, whatever the tile it falls into. E: float, or
// Bf16Pair, where there is an instruction for them.
template <int R, int V, typename E>
inline void multiply_tile(float* c, int c_row, const float* scale, const E* a, int a_row,
                          int a_step, const E* b, int b_row, int depth) {
  Floats sums[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      sums[r][v] = scale == nullptr ? splat(0) : load(c + r * c_row + v * kLanes) * scale[r];
    }
  }
  for (int i = 0; i < depth; ++i) {
    Floats row[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) row[v] = load(b + std::int64_t{i} * b_row + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Floats factor = splat_factor(a + r * a_row + i * a_step);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sums[r][v] = multiply_add(sums[r][v], factor, row[v], a);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(c + r * c_row + v * kLanes, sums[r][v]);
  }
}

// The same for any number of rows and of vectors.
template <int V, typename E>
inline void multiply_columns(float* c, int c_row, const float* scale, const E* a, int a_row,
                             int a_step, const E* b, int b_row, int rows, int depth) {
  const auto factors = [scale](int row) { return scale == nullptr ? nullptr : scale + row; };
  int r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) {
    multiply_tile<kTileRows, V>(c + r * c_row, c_row, factors(r), a + r * a_row, a_row, a_step, b,
                                b_row, depth);
  }
  if (kTileRows > 4 && r + 4 <= rows) {
    multiply_tile<4, V>(c + r * c_row, c_row, factors(r), a + r * a_row, a_row, a_step, b, b_row,
                        depth);
    r += 4;
  }
  for (; r + 2 <= rows; r += 2) {
    multiply_tile<2, V>(c + r * c_row, c_row, factors(r), a + r * a_row, a_row, a_step, b, b_row,
                        depth);
  }
  if (r < rows) {
    multiply_tile<1, V>(c + r * c_row, c_row, factors(r), a + r * a_row, a_row, a_step, b, b_row,
                        depth);
  }
}

template <typename E>
inline void multiply(float* c, int c_row, const float* scale, const E* a, int a_row, int a_step,
                     const E* b, int b_row, int rows, int vectors, int depth) {
  for (int v = 0; v < vectors; v += kTileVectors) {
    float* to = c + v * kLanes;
    const E* from = b + v * kLanes;
    switch (vectors - v < kTileVectors ? vectors - v : kTileVectors) {
      case 1:
        multiply_columns<1>(to, c_row, scale, a, a_row, a_step, from, b_row, rows, depth);
        break;
      case 2:
        multiply_columns<2>(to, c_row, scale, a, a_row, a_step, from, b_row, rows, depth);
        break;
      case 3:
        multiply_columns<3>(to, c_row, scale, a, a_row, a_step, from, b_row, rows, depth);
        break;
      default:
        multiply_columns<kTileVectors>(to, c_row, scale, a, a_row, a_step, from, b_row, rows,
                                       depth);
    }
  }
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_TILE_H_
