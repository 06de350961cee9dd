// commit_topk: per sequence, the quota's rows of smallest key take their candidate.
// advance: per sequence, on to its next plan entry, and its logits rows on to that entry's block.
// in/out canvas i32[T] (the unconditional copy too); out trace_step i32[T], trace_confidence f32[T]
// in keys f32[R] (< 0: not selectable), candidates i32[R], sequences, plan
// advance: in/out sequences, out row_index i32[Rall]
// Ties: lower position first. Fewer selectable rows than the quota commit them all.
// 1 one CTA per sequence, any number of rows  2 a row's 64-bit key is (bits of its key, row), so no
// two are equal and integers order them  3 the quota-th smallest by radix selection: a digit of 8
// bits a pass, counted in smem, until the rows with a smaller or equal prefix are the quota; keys
// that differ early end early, 2 passes as a rule, 8 at most, each linear in the rows
// 4 rows up to it commit
// compiled: 256 threads, up to 40 regs, 1.1 KB smem; floor: bound by the launch; not measured
#include "include/diffusion_state.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarpThreads;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kOrderBits = 64;

__device__ __forceinline__ bool is_done(const SequenceState& sequence) {
  return sequence.cursor == sequence.plan_end;
}

// Orders rows as (key, row) does; a row that cannot be chosen (key < 0 or NaN) comes after all.
__device__ __forceinline__ unsigned long long order_of(float key, int row) {
  if (!(key >= 0.0f)) return ~0ull;
  // The bits of floats >= 0 order like the floats; -0 + 0 is 0.
  return static_cast<unsigned long long>(__float_as_uint(key + 0.0f)) << 32 |
         static_cast<unsigned>(row);
}

// What is known of the rows to commit: those whose order, without its lowest `shift` bits, is at
// most `prefix`.
struct Cut {
  unsigned long long prefix;
  int shift;

  __device__ __forceinline__ bool takes(unsigned long long order) const {
    return order != ~0ull && order >> shift <= prefix;
  }
};

// The cut that takes the `quota` > 0 first rows, or all that can be chosen. All threads call it.
__device__ __forceinline__ Cut find_cut(const float* __restrict__ keys, int rows, int quota) {
  __shared__ int counts[kDigits];
  __shared__ int warp_counts[kWarps];
  __shared__ int next[3];  // the digit, how many of its rows are wanted, how many it has
  static_assert(kDigits == kThreads, "a thread sums up a digit");
  const int warp = threadIdx.x / kWarpThreads;
  const int lane = threadIdx.x % kWarpThreads;
  Cut cut = {0, kOrderBits};
  while (cut.shift > 0) {
    counts[threadIdx.x] = 0;
    if (threadIdx.x == 0) next[0] = kDigits;
    __syncthreads();
    const int shift = cut.shift - kDigitBits;
    for (int row = threadIdx.x; row < rows; row += kThreads) {
      const unsigned long long order = order_of(keys[row], row);
      const unsigned long long prefix = order >> shift;
      if (order != ~0ull && prefix >> kDigitBits == cut.prefix) {
        atomicAdd(&counts[prefix % kDigits], 1);
      }
    }
    __syncthreads();
    const int count = counts[threadIdx.x];
    int up_to = count;  // rows of this digit and of lower ones
#pragma unroll
    for (int apart = 1; apart < kWarpThreads; apart *= 2) {
      const int lower = __shfl_up_sync(kWholeWarp, up_to, apart);
      if (lane >= apart) up_to += lower;
    }
    if (lane == kWarpThreads - 1) warp_counts[warp] = up_to;
    __syncthreads();
    for (int before = 0; before < warp; ++before) up_to += warp_counts[before];
    if (up_to - count < quota && quota <= up_to) {
      next[0] = threadIdx.x;
      next[1] = quota - (up_to - count);
      next[2] = count;
    }
    __syncthreads();
    if (next[0] == kDigits) return {~0ull, 0};  // the first pass: fewer rows than the quota
    cut = {cut.prefix << kDigitBits | static_cast<unsigned>(next[0]), shift};
    quota = next[1];
    const bool exact = quota == next[2];
    __syncthreads();  // everyone has read `next`
    if (exact) break;
  }
  return cut;
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
  if (entry.quota <= 0) return;
  keys += sequence.row_begin;
  candidates += sequence.row_begin;
  const Cut cut = find_cut(keys, sequence.row_count, entry.quota);
  for (int index = threadIdx.x; index < sequence.row_count; index += kThreads) {
    const float key = keys[index];
    if (!cut.takes(order_of(key, index))) continue;
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
