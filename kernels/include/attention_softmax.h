// Softmax in base 2 over tiles of scores that lie in tensor-core accumulators: a thread holds, of
// each of its rows, two neighbouring columns of every 8, and the four lanes of a quad share a row.
#pragma once

#include <cuda_bf16.h>

#include "ptx.h"
#include "warp.h"

namespace remask {

constexpr float kLog2e = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;
constexpr int kQuadLanes = 4;

// A row's maximum is raised only by a score that exceeds it by a factor of 2^kMaxSlack: weights up
// to 256 lose no precision in f32 sums or as bf16, and most tiles then rescale nothing. The rule
// looks at one row, so its bits do not depend on the rows beside it.
constexpr float kMaxSlack = 8.0f;

// What a row has seen so far: the maximum that its weights refer to (unscaled score), and the sum
// of the weights of this lane's own columns.
struct RowState {
  float max = -INFINITY;
  float sum = 0.0f;
};

// Two weights as the bf16 pair of an A fragment, the first in the lower half.
__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  unsigned bits;
  memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

// Masks the columns from `valid` on of a tile of 8 * kColumns; `column` is the lane's first.
template <int kColumns>
__device__ __forceinline__ void mask_columns(float (&scores)[kColumns][4], int column, int valid) {
#pragma unroll
  for (int n = 0; n < kColumns; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (column + n * 8 + e % 2 >= valid) scores[n][e] = -INFINITY;
    }
  }
}

// Turns the scores of row half `half` (elements 2 * half and on) into weights
// exp2(scale * (score - max)) and returns the factor by which what was summed before is to be
// multiplied: 1 where the maximum stays, 0 in the first tile. One score at least is finite.
template <int kColumns>
__device__ __forceinline__ float weigh_row(float (&scores)[kColumns][4], int half, RowState& row,
                                           float scale) {
  float largest = -INFINITY;
#pragma unroll
  for (int n = 0; n < kColumns; ++n) {
    largest = fmaxf(largest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
  }
  largest = lanes_max<kQuadLanes>(largest);
  float rescale = 1.0f;
  if (__fmul_rn(largest - row.max, scale) > kMaxSlack) {
    rescale = ptx::exp2_approx(__fmul_rn(row.max - largest, scale));
    row.max = largest;
  }
  const float shift = __fmul_rn(-row.max, scale);
  row.sum = __fmul_rn(row.sum, rescale);
#pragma unroll
  for (int n = 0; n < kColumns; ++n) {
#pragma unroll
    for (int e = 2 * half; e < 2 * half + 2; ++e) {
      scores[n][e] = ptx::exp2_approx(__fmaf_rn(scores[n][e], scale, shift));
      row.sum = __fadd_rn(row.sum, scores[n][e]);
    }
  }
  return rescale;
}

}  // namespace remask
