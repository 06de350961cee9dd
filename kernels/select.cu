// select_slices, select_merge: for every masked position of the current block, the token it would
// take and how likely that is to be wrong (LLaDA's generate.py at temperature 0).
// in logits f32[Rall,E], sequences, plan, row_sequence i32[R], canvas i32[T]
// mid partials SelectPartial[R,slices]; out candidates i32[R] (-1: not selectable), keys f32[R]
//   candidate = argmax of l over ids < vocabulary but the mask id, lowest id on ties
//   key = odds of being wrong = (sum of exp(l) over the softmax columns)/exp(l_candidate) - 1
// The odds, not the probability, because f32 cannot tell 1 - 1e-8 from 1: `rest` leaves one maximal
// column out of the sum instead of subtracting it. l = -inf and NaN count as absent.
// 1 a CTA has one slice of one row  2 16-byte loads, a thread keeps {max, rest, best, token} online
// with one rescale per 4 logits  3 merged by shuffle, then smem over the warps, in a fixed order
// 4 select_merge: a thread has a row and folds its slices from first to last
// compiled: 256 threads, up to 40 regs, 128 B smem; reads each logit once, bitwise repeatable
// floor R=64 E=126464: 32.4 MB / 4.8 TB/s = 6.7 us (H200); not measured
#include "include/diffusion_state.h"
#include "include/lanes.h"
#include "include/philox.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarpThreads;
constexpr int kLanes = kVectorLanes<float>;
constexpr int kNone = -1;

__device__ __forceinline__ SelectPartial empty_partial() {
  return {-INFINITY, -1.0f, -INFINITY, kNone};
}

// exp(lower - upper) for lower <= upper, where both may be infinite.
__device__ __forceinline__ float exp_gap(float lower, float upper) {
  return lower == upper ? 1.0f : expf(lower - upper);
}

// The slots are merged as (former, latter); an empty one has rest + 1 = 0 terms and adds nothing.
__device__ __forceinline__ SelectPartial merge(const SelectPartial& a, const SelectPartial& b) {
  SelectPartial merged;
  merged.max = fmaxf(a.max, b.max);
  merged.rest = a.max >= b.max ? a.rest + (b.rest + 1.0f) * exp_gap(b.max, a.max)
                               : b.rest + (a.rest + 1.0f) * exp_gap(a.max, b.max);
  const bool take_b = b.best > a.best || (b.best == a.best && b.token < a.token);
  merged.best = take_b ? b.best : a.best;
  merged.token = take_b ? b.token : a.token;
  return merged;
}

__device__ __forceinline__ SelectPartial shuffle_down(const SelectPartial& partial, int apart) {
  return {__shfl_down_sync(kWholeWarp, partial.max, apart),
          __shfl_down_sync(kWholeWarp, partial.rest, apart),
          __shfl_down_sync(kWholeWarp, partial.best, apart),
          __shfl_down_sync(kWholeWarp, partial.token, apart)};
}

// A row of the current block and what its sequence says about it.
struct Row {
  const SequenceState* sequence;
  int index;     // in the block
  int position;  // in the sequence's canvas
  int step;
  bool selectable;  // the sequence is not done and the position still masked
};

__device__ __forceinline__ Row find_row(int row, const SequenceState* sequences,
                                        const PlanEntry* plan, const int* row_sequence,
                                        const int* canvas, int mask) {
  Row found = {};
  found.sequence = sequences + row_sequence[row];
  if (found.sequence->cursor == found.sequence->plan_end) return found;
  const PlanEntry& entry = plan[found.sequence->cursor];
  found.index = row - found.sequence->row_begin;
  found.position = entry.block_begin + found.index;
  found.step = entry.step;
  found.selectable = canvas[found.sequence->canvas_begin + found.position] == mask;
  return found;
}

// Which columns may be chosen and which count in the softmax.
struct Rules {
  SpecialTokens tokens;
  bool suppress_eos;
  bool defer_eos;

  __device__ __forceinline__ bool deferred(int id) const {
    return defer_eos && (id == tokens.eos || id == tokens.eot);
  }

  // Folds N neighbouring logits, the first of id `id`, into `partial`.
  template <int N>
  __device__ __forceinline__ void fold(SelectPartial& partial, float (&logits)[N], int id) const {
    float max = -INFINITY;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      float& logit = logits[n];
      if (isnan(logit) || (suppress_eos && id + n == tokens.eos)) logit = -INFINITY;
      if (logit > partial.best && id + n < tokens.vocabulary && id + n != tokens.mask) {
        partial.best = logit;
        partial.token = id + n;
      }
      if (deferred(id + n)) logit = -INFINITY;
      max = fmaxf(max, logit);
    }
    bool leave_one_out = max > partial.max;
    if (leave_one_out) {
      partial.rest = (partial.rest + 1.0f) * expf(partial.max - max);
      partial.max = max;
    }
#pragma unroll
    for (int n = 0; n < N; ++n) {
      if (logits[n] == partial.max && leave_one_out) {
        leave_one_out = false;
      } else if (logits[n] != -INFINITY) {
        partial.rest += exp_gap(logits[n], partial.max);
      }
    }
  }
};

// One thread's share of the columns [begin, end) of a row: every kThreads-th run of N.
// unconditional is null without guidance.
template <int N>
__device__ __forceinline__ SelectPartial scan_slice(const float* __restrict__ logits,
                                                    const float* __restrict__ unconditional,
                                                    float guidance, const Rules& rules, int begin,
                                                    int end) {
  SelectPartial partial = empty_partial();
#pragma unroll 2
  for (int id = begin + threadIdx.x * N; id < end; id += kThreads * N) {
    float x[N];
    load<N>(x, logits + id);
    if (unconditional != nullptr) {
      float base[N];
      load<N>(base, unconditional + id);
#pragma unroll
      for (int n = 0; n < N; ++n) x[n] = base[n] + guidance * (x[n] - base[n]);
    }
    rules.fold<N>(partial, x, id);
  }
  return partial;
}

// Merges the threads' partials; the result is thread 0's.
__device__ __forceinline__ SelectPartial block_merge(SelectPartial partial) {
  __shared__ SelectPartial warp_partials[kWarps];
#pragma unroll
  for (int apart = kWarpThreads / 2; apart > 0; apart /= 2) {
    partial = merge(partial, shuffle_down(partial, apart));
  }
  if (threadIdx.x % kWarpThreads == 0) warp_partials[threadIdx.x / kWarpThreads] = partial;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int warp = 1; warp < kWarps; ++warp) partial = merge(partial, warp_partials[warp]);
  }
  return partial;
}

// Odds against the candidate, from the whole row's partial.
__device__ __forceinline__ float odds_of_being_wrong(const SelectPartial& partial) {
  if (partial.best == partial.max) return partial.rest;
  const float share = expf(partial.best - partial.max);
  return (1.0f + partial.rest - share) / share;
}

// Odds that a uniform draw of (seed, step, position) implies. In f64, because 24 random bits and
// the half that keeps u inside (0, 1) need 25.
__device__ __forceinline__ float random_odds(unsigned long long seed, int step, int position) {
  constexpr unsigned kRemaskingStream = 1;  // the counter's last word: one per use of the generator
  const PhiloxCounter draw = philox4x32_10(
      {{static_cast<unsigned>(step), static_cast<unsigned>(position), 0, kRemaskingStream}},
      static_cast<unsigned>(seed), static_cast<unsigned>(seed >> 32));
  const double u = ((draw.word[0] >> 8) + 0.5) * 0x1p-24;
  return static_cast<float>((1.0 - u) / u);
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    select_slices(remask::SelectPartial* partials, const float* logits,
                  const remask::SequenceState* sequences, const remask::PlanEntry* plan,
                  const int* row_sequence, const int* canvas, int rows, int columns,
                  int slice_width, remask::SpecialTokens tokens) {
  using namespace remask;
  const int slice = blockIdx.x;
  const int row = blockIdx.y;
  if (row >= rows) return;
  const Row at = find_row(row, sequences, plan, row_sequence, canvas, tokens.mask);
  if (!at.selectable) return;

  const SequenceState& sequence = *at.sequence;
  const Rules rules = {tokens, (sequence.flags & kSuppressEos) != 0,
                       (sequence.flags & kDeferEos) != 0};
  const float* conditional = logits + static_cast<size_t>(row) * columns;
  const float* unconditional = nullptr;
  if (sequence.unconditional_row_begin >= 0) {
    unconditional =
        logits + static_cast<size_t>(sequence.unconditional_row_begin + at.index) * columns;
  }
  const int begin = slice * slice_width;
  const int end = min(begin + slice_width, columns);
  const bool vectors =
      aligned<kLanes>(logits) && columns % kLanes == 0 && slice_width % kLanes == 0;
  SelectPartial partial =
      vectors ? scan_slice<kLanes>(conditional, unconditional, sequence.guidance, rules, begin, end)
              : scan_slice<1>(conditional, unconditional, sequence.guidance, rules, begin, end);
  partial = block_merge(partial);
  if (threadIdx.x == 0) partials[static_cast<size_t>(row) * gridDim.x + slice] = partial;
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    select_merge(int* candidates, float* keys, const remask::SelectPartial* partials,
                 const remask::SequenceState* sequences, const remask::PlanEntry* plan,
                 const int* row_sequence, const int* canvas, int rows, int slices,
                 remask::SpecialTokens tokens) {
  using namespace remask;
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const Row at = find_row(row, sequences, plan, row_sequence, canvas, tokens.mask);
  SelectPartial partial = empty_partial();
  if (at.selectable) {
    for (int slice = 0; slice < slices; ++slice) {
      partial = merge(partial, partials[static_cast<size_t>(row) * slices + slice]);
    }
  }
  candidates[row] = partial.token;
  if (partial.token == kNone) {
    keys[row] = -1.0f;
    return;
  }
  const SequenceState& sequence = *at.sequence;
  const Rules rules = {tokens, (sequence.flags & kSuppressEos) != 0,
                       (sequence.flags & kDeferEos) != 0};
  if (rules.deferred(partial.token)) {
    keys[row] = INFINITY;
  } else if (sequence.flags & kRandomRemasking) {
    keys[row] = random_odds(sequence.seed, at.step, at.position);
  } else {
    keys[row] = odds_of_being_wrong(partial);
  }
}
