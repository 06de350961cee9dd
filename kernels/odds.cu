// target_odds: for every row of kind kReconsider, the odds against the token that its target names:
// what a likelihood is made of, and what says whether a committed token is to be masked again.
// in logits f32[Rall,E], rows Row[R], sequences; out keys f32[R], candidates i32[R] of those rows
//   key = (sum of exp(l) over the columns - exp(l_target)) / exp(l_target), at most FLT_MAX, of the
//   guided l; log1p(key) is the target's negative log likelihood. l = -inf and NaN count as absent,
//   and so do EOS where it is suppressed, EOS and EoT where they are deferred, unless the target is
//   one of the two: then all columns count. An absent target: infinity; one that is no column: -1
//   for both.
// 1 a CTA has a row: its threads take vectors in turn, 4 in flight each
// 2 sum of exp(l - l_target) over the other columns: against the target, so one pass is enough; a
// sum beyond f32 is a key beyond it
// 3 four sums a thread, then a tree, then the warps in order: bitwise repeatable
// compiled: up to 61 regs, 64 B smem
// floor R=32 E=126464: 16.2 MB / 4.8 TB/s = 3.4 us (H200), R=4096: 432 us; not measured
#include <float.h>

#include "include/row_logits.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 512;
constexpr int kResidentBlocks = 2;
constexpr int kWarps = kThreads / kWarpThreads;
constexpr int kInFlight = 4;  // vectors of a thread: 64 KB an SM

// The CTA's sum, in thread 0.
__device__ __forceinline__ float block_sum(float sum) {
  __shared__ float warp_sums[kWarps];
  sum = lanes_sum<kWarpThreads>(sum);
  if (threadIdx.x % kWarpThreads == 0) warp_sums[threadIdx.x / kWarpThreads] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return sum;
  for (int warp = 1; warp < static_cast<int>(blockDim.x) / kWarpThreads; ++warp) {
    sum += warp_sums[warp];
  }
  return sum;
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads, remask::kResidentBlocks)
    target_odds(float* keys, int* candidates, const float* logits, const remask::Row* rows,
                const remask::Sequence* sequences, int row_count, int columns,
                remask::SpecialTokens tokens) {
  using namespace remask;
  const int index = blockIdx.x;
  if (index >= row_count) return;
  const Row row = rows[index];
  if (row.kind != kReconsider) return;
  const int target = row.target;
  if (target < 0 || target >= columns) {
    if (threadIdx.x == 0) {
      keys[index] = -1.0f;
      candidates[index] = -1;
    }
    return;
  }
  const Sequence& sequence = sequences[row.sequence];
  Columns rules = columns_of(sequence, tokens);
  if (rules.is_end(target)) rules.defer_eos = false;
  const RowLogits in = logits_of(row, sequence, logits, index, columns, columns);
  const float wanted = rules.suppressed(target) ? -INFINITY : in.at(target);
  float key = INFINITY;
  if (wanted != -INFINITY) {
    const bool plain = !rules.suppress_eos && !rules.defer_eos;
    float sums[kLogitLanes] = {};
    in.each<kInFlight>([&](int id, int lane, float x) {
      if (!plain && (rules.suppressed(id) || rules.deferred(id))) x = -INFINITY;
      // Equal ones may both be infinite.
      const float weight = x == wanted ? 1.0f : expf(x - wanted);
      sums[lane] += id == target ? 0.0f : weight;
    });
    key = fminf(block_sum((sums[0] + sums[1]) + (sums[2] + sums[3])), FLT_MAX);
  }
  if (threadIdx.x == 0) {
    keys[index] = key;
    candidates[index] = target;
  }
}
