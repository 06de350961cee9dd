// commit_topk: per sequence, the quota's rows of smallest key take their candidate.
// advance: per sequence, on to its next plan entry, and its logits rows on to that entry's block.
// in/out canvas i32[T] (the unconditional copy too); out trace_step i32[T], trace_confidence f32[T]
// in keys f32[R] (< 0: not selectable), candidates i32[R], sequences, plan
// advance: in/out sequences, out row_index i32[Rall]
// Ties: lower position first. Fewer selectable rows than the quota commit them all.
// 1 one CTA per sequence  2 a row's rank is the number of rows that go before it, counted over
// smem tiles of keys: quadratic, but 1024 rows are 1 M comparisons, below any forward pass, any
// number of rows will do, and ties need no second pass  3 rank < quota commits
// compiled: 256 threads, up to 40 regs, 1 KB smem; floor: bound by the launch; not measured
#include "include/diffusion_state.h"

namespace remask {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ bool is_done(const SequenceState& sequence) {
  return sequence.cursor == sequence.plan_end;
}

// Rows that go before row `index` of key `key` within [0, count). All threads call it.
__device__ __forceinline__ int rank_of(float key, int index, const float* __restrict__ keys,
                                       int count) {
  __shared__ float tile[kThreads];
  int rank = 0;
  for (int begin = 0; begin < count; begin += kThreads) {
    const int other = begin + threadIdx.x;
    __syncthreads();  // the last tile has been read
    // A row that cannot be chosen goes before nobody: NaN compares false with everything.
    tile[threadIdx.x] = other < count && keys[other] >= 0.0f ? keys[other] : NAN;
    __syncthreads();
    const int here = min(count - begin, kThreads);
    for (int i = 0; i < here; ++i) {
      rank += tile[i] < key || (tile[i] == key && begin + i < index);
    }
  }
  return rank;
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    commit_topk(int* canvas, int* trace_step, float* trace_confidence, const float* keys,
                const int* candidates, const remask::SequenceState* sequences,
                const remask::PlanEntry* plan) {
  using namespace remask;
  const SequenceState& sequence = sequences[blockIdx.x];
  if (is_done(sequence)) return;
  const PlanEntry& entry = plan[sequence.cursor];
  keys += sequence.row_begin;
  candidates += sequence.row_begin;
  for (int begin = 0; begin < sequence.row_count; begin += kThreads) {
    const int index = begin + threadIdx.x;
    const float key = index < sequence.row_count ? keys[index] : -1.0f;
    const int rank = rank_of(key, index, keys, sequence.row_count);
    if (!(key >= 0.0f) || rank >= entry.quota) continue;
    const int position = entry.block_begin + index;
    const int at = sequence.canvas_begin + position;
    canvas[at] = candidates[index];
    trace_step[at] = entry.step;
    trace_confidence[at] = 1.0f / (1.0f + key);
    if (sequence.unconditional_begin >= 0) {
      canvas[sequence.unconditional_begin + position] = candidates[index];
    }
  }
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    advance(remask::SequenceState* sequences, int* row_index, const remask::PlanEntry* plan) {
  using namespace remask;
  SequenceState& sequence = sequences[blockIdx.x];
  if (is_done(sequence)) return;
  const int cursor = sequence.cursor + 1;
  __syncthreads();  // everyone has read the old cursor
  if (threadIdx.x == 0) sequence.cursor = cursor;
  if (cursor == sequence.plan_end) return;
  const int block_begin = plan[cursor].block_begin;
  for (int i = threadIdx.x; i < sequence.row_count; i += blockDim.x) {
    row_index[sequence.row_begin + i] = sequence.canvas_begin + block_begin + i;
    if (sequence.unconditional_row_begin >= 0) {
      row_index[sequence.unconditional_row_begin + i] =
          sequence.unconditional_begin + block_begin + i;
    }
  }
}
