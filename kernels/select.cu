// select_slices, select_merge: for every masked position of the current block, the token it would
// take and how sure that is (LLaDA's generate.py; the keys of the rules are in diffusion_state.h).
// in logits f32[Rall,E], rows Row[R], sequences, floors f32[R] (null: none; read where T > 0)
// mid partials SelectPartial[R,slices]
// out candidates i32[R], keys f32[R], both -1 for a row of another kind than kChoose or without a
// candidate
//   candidate = argmax of l + T * Gumbel noise over ids < vocabulary but the mask, l >= floor;
//   ties: lowest id
//   key, of the clean l: by default the odds of being wrong, (sum of exp(l) over the columns) /
//   exp(l_candidate) - 1, not the probability, because f32 cannot tell 1 - 1e-8 from 1: `rest`
//   leaves one maximal column out of the sum. l = -inf and NaN count as absent; floors are no part
//   of it.
// 1 a CTA has one slice of one row, at most 8192 columns: a thread loads its 32 logits, 16 bytes a
// time and all in flight at once, and keeps them in registers
// 2 maxima by shuffle, then smem over the warps: exact in any order
// 3 sums against the slice's maximum, no rescaling, in a fixed order; entropy and margin come from
// the same registers
// 4 T > 0: the few vectors with a logit that noise could still make the largest are read again
// (L1), the only ones for which noise is drawn
// 5 select_merge: a warp has a row, a lane a slice, folded in a fixed order
// compiled: up to 80 regs, 352 B smem (slices), 40 regs (merge); bitwise repeatable
// floor R=32 E=126464: 16.2 MB / 4.8 TB/s = 3.4 us (H200), R=4096: 432 us; not measured
#include <float.h>

#include "include/gumbel.h"
#include "include/row_logits.h"
#include "include/select_partial.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 256;
constexpr int kResidentBlocks = 3;  // 3 * 256 threads * 128 bytes in flight cover the latency
constexpr int kWarps = kThreads / kWarpThreads;
constexpr int kLanes = kLogitLanes;
constexpr int kVectors = 8;               // of a thread
constexpr int kHeld = kVectors * kLanes;  // its logits
constexpr int kCopyVectors = 4;           // of the copy in registers at once

// A slice of a row's logits.
struct Slice : RowLogits {
  int begin;

  // Id of the logit that a thread holds at `i`: threads take vectors in turn.
  __device__ __forceinline__ int id(int i) const {
    const int vector = i / kLanes * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
    return begin + vector * kLanes + i % kLanes;
  }
};

__device__ __forceinline__ void drop_nans(float (&x)[kLanes]) {
#pragma unroll
  for (int n = 0; n < kLanes; ++n) x[n] = drop_nan(x[n]);
}

// The logits of a thread.
using Held = float[kVectors][kLanes];

__device__ __forceinline__ void read_all(Held& x, const Slice& slice) {
  // Without conditions, so that every load is on its way before the first is waited for.
  const bool whole =
      slice.vectors && slice.end - slice.begin == static_cast<int>(blockDim.x) * kHeld;
  if (whole) {
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      load<kLanes>(x[v], slice.conditional + slice.id(v * kLanes));
    }
  } else {
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      slice.read(x[v], slice.conditional, slice.id(v * kLanes), -INFINITY);
    }
  }
  if (slice.unconditional != nullptr) {
#pragma unroll
    for (int begin = 0; begin < kVectors; begin += kCopyVectors) {
      float base[kCopyVectors][kLanes];
#pragma unroll
      for (int v = 0; v < kCopyVectors; ++v) {
        const int first = slice.id((begin + v) * kLanes);
        if (whole) {
          load<kLanes>(base[v], slice.unconditional + first);
        } else {
          slice.read(base[v], slice.unconditional, first, -INFINITY);
        }
      }
#pragma unroll
      for (int v = 0; v < kCopyVectors; ++v) slice.mix(x[begin + v], base[v]);
    }
  }
#pragma unroll
  for (int v = 0; v < kVectors; ++v) drop_nans(x[v]);
}

// The thread's choice by the clean logits. Takes out of x what does not count in the softmax, and
// gives the largest that does. kPlain: all of it may be chosen and counts.
template <bool kPlain>
__device__ __forceinline__ Choice choose(Held& x, float& max, const Slice& slice,
                                         const Columns& columns) {
  float best = -INFINITY;
  int at = kNone;
  max = -INFINITY;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    float& logit = x[i / kLanes][i % kLanes];
    bool choosable = true;
    if constexpr (!kPlain) {
      const int id = slice.id(i);
      if (columns.suppressed(id)) logit = -INFINITY;
      choosable = columns.choosable(id);
    }
    if (choosable && logit > best) {
      best = logit;
      at = i;
    }
    if constexpr (!kPlain) {
      if (columns.deferred(slice.id(i))) logit = -INFINITY;
      max = fmaxf(max, logit);
    }
  }
  if (kPlain) max = best;
  return {best, at == kNone ? kNone : slice.id(at), best};
}

// The two largest logits that may be chosen; x is without the deferred.
__device__ __forceinline__ TopTwo find_top_two(const Held& x, const Slice& slice,
                                               const Columns& columns) {
  TopTwo top = {-INFINITY, -INFINITY};
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    if (columns.choosable(slice.id(i))) top = merge(top, {x[i / kLanes][i % kLanes], -INFINITY});
  }
  return top;
}

// The draw's place: see gumbel.h.
struct Noise {
  float temperature;
  unsigned long long seed;
  int step, position;

  __device__ __forceinline__ PhiloxCounter words(int id) const {
    return philox4x32_10({{static_cast<unsigned>(step), static_cast<unsigned>(position),
                           static_cast<unsigned>(id) / kPhiloxWords, kSamplingStream}},
                         static_cast<unsigned>(seed), static_cast<unsigned>(seed >> 32));
  }
};

// The thread's choice with noise of the logits not below `floor`, where the largest that may be
// chosen is `largest`. Slices begin at multiples of 4, so that a vector's noise is one counter's.
__device__ __forceinline__ Choice choose_with_noise(const Slice& slice, const Columns& columns,
                                                    const Noise& noise, float largest,
                                                    float floor) {
  static_assert(kLanes == kPhiloxWords, "a vector's noise is one counter's");
  const float hopeless = largest - noise.temperature * kGumbelSpan - fabsf(largest) * kGumbelSlack;
  Choice choice = {-INFINITY, kNone, -INFINITY};
#pragma unroll 1
  for (int v = 0; v < kVectors; ++v) {
    const int first = slice.id(v * kLanes);
    if (first >= slice.end) break;
    float x[kLanes];
    slice.read(x, slice.conditional, first, -INFINITY);
    if (slice.unconditional != nullptr) {
      float base[kLanes];
      slice.read(base, slice.unconditional, first, -INFINITY);
      slice.mix(x, base);
    }
    drop_nans(x);
    bool worth_it = false;
#pragma unroll
    for (int n = 0; n < kLanes; ++n) {
      const int id = first + n;
      if (!columns.choosable(id) || columns.suppressed(id) || x[n] < floor) x[n] = -INFINITY;
      worth_it = worth_it || !(x[n] < hopeless);
    }
    if (!worth_it) continue;
    const PhiloxCounter words = noise.words(first);
#pragma unroll
    for (int n = 0; n < kLanes; ++n) {
      const float value = fmaf(noise.temperature, gumbel(words.word[n]), x[n]);
      if (value > choice.value) choice = {value, first + n, x[n]};
    }
  }
  return choice;
}

// Sums over the softmax columns, against a maximum.
struct Sums {
  float below;   // exp(x - max) of the columns below it
  float spread;  // exp(x - max) * (max - x)
  int maximal;   // columns equal to it
};

template <bool kSpread>
__device__ __forceinline__ Sums sum_up(const Held& held, float max) {
  constexpr float kNoWeight = 128.0f;  // exp of its negative is 0
  Sums sums = {};
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const float x = held[i / kLanes][i % kLanes];
    const float weight = x < max ? expf(x - max) : 0.0f;
    sums.below += weight;
    if (kSpread) sums.spread = fmaf(weight, fminf(max - x, kNoWeight), sums.spread);
    sums.maximal += x == max;
  }
  return sums;
}

// Largest of a and of b over the CTA, in every thread.
__device__ __forceinline__ float2 block_max(float a, float b) {
  __shared__ float2 warp_max[kWarps];
  a = lanes_max<kWarpThreads>(a);
  b = lanes_max<kWarpThreads>(b);
  if (threadIdx.x % kWarpThreads == 0) warp_max[threadIdx.x / kWarpThreads] = make_float2(a, b);
  __syncthreads();
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / kWarpThreads; ++warp) {
    a = fmaxf(a, warp_max[warp].x);
    b = fmaxf(b, warp_max[warp].y);
  }
  return make_float2(a, b);
}

// Lane 0's is the warp's best.
__device__ __forceinline__ Choice warp_choice(Choice choice) {
#pragma unroll
  for (int apart = kWarpThreads / 2; apart > 0; apart /= 2) {
    choice = better(choice, {__shfl_down_sync(kWholeWarp, choice.value, apart),
                             __shfl_down_sync(kWholeWarp, choice.token, apart),
                             __shfl_down_sync(kWholeWarp, choice.clean, apart)});
  }
  return choice;
}

// The same where the CTA's largest value, a clean logit, is known.
__device__ __forceinline__ Choice warp_choice(const Choice& choice, float largest) {
  const unsigned token = choice.value == largest ? static_cast<unsigned>(choice.token) : ~0u;
  const int lowest = static_cast<int>(__reduce_min_sync(kWholeWarp, token));
  return {lowest == kNone ? -INFINITY : largest, lowest, largest};
}

// Warps' choices (in lane 0) and threads' sums, against one maximum; the CTA's are thread 0's.
__device__ __forceinline__ SelectPartial block_merge(float max, Sums sums, const Choice& choice,
                                                     TopTwo top, bool spread, bool top_two) {
  __shared__ SelectPartial warp_partials[kWarps];
  __shared__ int warp_maximal[kWarps];
  sums.below = lanes_sum<kWarpThreads>(sums.below);
  if (spread) sums.spread = lanes_sum<kWarpThreads>(sums.spread);
  sums.maximal = __reduce_add_sync(kWholeWarp, sums.maximal);
  if (top_two) {
#pragma unroll
    for (int apart = kWarpThreads / 2; apart > 0; apart /= 2) {
      top = merge(top, {__shfl_down_sync(kWholeWarp, top.first, apart),
                        __shfl_down_sync(kWholeWarp, top.second, apart)});
    }
  }
  if (threadIdx.x % kWarpThreads == 0) {
    const int warp = threadIdx.x / kWarpThreads;
    warp_partials[warp] = {max,          sums.below,  choice.value, choice.token,
                           choice.clean, sums.spread, top.first,    top.second};
    warp_maximal[warp] = sums.maximal;
  }
  __syncthreads();
  SelectPartial all = warp_partials[0];
  if (threadIdx.x != 0) return all;
  int maximal = warp_maximal[0];
  for (int warp = 1; warp < static_cast<int>(blockDim.x) / kWarpThreads; ++warp) {
    const SelectPartial& next = warp_partials[warp];
    all.rest += next.rest;
    all.spread += next.spread;
    maximal += warp_maximal[warp];
    const Choice chosen =
        better({all.best, all.token, all.clean}, {next.best, next.token, next.clean});
    all.best = chosen.value;
    all.token = chosen.token;
    all.clean = chosen.clean;
    const TopTwo two = merge(TopTwo{all.first, all.second}, TopTwo{next.first, next.second});
    all.first = two.first;
    all.second = two.second;
  }
  // All the maximal columns but one; an empty slice has none.
  all.rest = max == -INFINITY ? -1.0f : all.rest + static_cast<float>(maximal - 1);
  return all;
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads, remask::kResidentBlocks)
    select_slices(remask::SelectPartial* partials, const float* logits, const remask::Row* rows,
                  const remask::Sequence* sequences, const float* floors, int row_count,
                  int columns, int slice_width, remask::SpecialTokens tokens) {
  using namespace remask;
  const int index = blockIdx.y;
  if (index >= row_count) return;
  const int held = static_cast<int>(blockDim.x) * kHeld;
  if (slice_width % kLanes != 0 || min(slice_width, columns) > held) __trap();
  const Row row = rows[index];
  if (row.kind != kChoose) return;

  const Sequence& sequence = sequences[row.sequence];
  const Columns rules = columns_of(sequence, tokens);
  Slice slice;
  const int begin = blockIdx.x * slice_width;
  static_cast<RowLogits&>(slice) =
      logits_of(row, sequence, logits, index, columns, min(begin + slice_width, columns));
  slice.begin = begin;

  Held x;
  read_all(x, slice);
  float own_max;
  Choice choice = rules.plain(slice.begin, slice.end) ? choose<true>(x, own_max, slice, rules)
                                                      : choose<false>(x, own_max, slice, rules);
  const float2 largest = block_max(own_max, choice.value);
  const bool spread = sequence.rule == kEntropy;
  const Sums sums = spread ? sum_up<true>(x, largest.x) : sum_up<false>(x, largest.x);
  const bool top_two = sequence.rule == kMargin;
  TopTwo top = {-INFINITY, -INFINITY};
  if (top_two) top = find_top_two(x, slice, rules);
  if (sequence.temperature > 0.0f) {
    const Noise noise = {sequence.temperature, sequence.seed, row.step, row.position};
    const float floor = floors == nullptr ? -INFINITY : floors[index];
    choice = warp_choice(choose_with_noise(slice, rules, noise, largest.y, floor));
  } else {
    choice = warp_choice(choice, largest.y);
  }
  const SelectPartial partial = block_merge(largest.x, sums, choice, top, spread, top_two);
  if (threadIdx.x == 0) partials[static_cast<size_t>(index) * gridDim.x + blockIdx.x] = partial;
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    select_merge(int* candidates, float* keys, const remask::SelectPartial* partials,
                 const remask::Row* rows, const remask::Sequence* sequences, int row_count,
                 int slices, remask::SpecialTokens tokens) {
  using namespace remask;
  const int index = (blockIdx.x * blockDim.x + threadIdx.x) / kWarpThreads;
  const int lane = threadIdx.x % kWarpThreads;
  if (index >= row_count) return;
  const Row row = rows[index];
  SelectPartial all = empty_partial();
  if (row.kind == kChoose) {
    for (int slice = lane; slice < slices; slice += kWarpThreads) {
      all = merge(all, partials[static_cast<size_t>(index) * slices + slice]);
    }
#pragma unroll
    for (int apart = kWarpThreads / 2; apart > 0; apart /= 2) {
      all = merge(all, shuffle_down(all, apart));
    }
  }
  if (lane != 0) return;
  candidates[index] = all.token;
  if (all.token == kNone) {
    keys[index] = -1.0f;
    return;
  }
  const Sequence& sequence = sequences[row.sequence];
  const Columns rules = columns_of(sequence, tokens);
  float key = 0.0f;
  switch (sequence.rule) {
    case kRandomOrder:
      key = random_odds(sequence.seed, row.step, row.position);
      break;
    case kEntropy:
      key = excess_perplexity(all);
      break;
    case kMargin:
      key = odds_against_lead(all);
      break;
    default:
      key = odds_against_candidate(all);
  }
  keys[index] = rules.deferred(all.token) ? INFINITY : fminf(key, FLT_MAX);
}
