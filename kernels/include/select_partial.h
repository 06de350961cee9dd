// How the selection's partial results merge, exactly for maxima and in a fixed order for sums, and
// the remasking rules' keys of a whole row's. See select.cu.
#pragma once

#include "diffusion_state.h"
#include "gumbel.h"
#include "warp.h"

namespace remask {

constexpr int kNone = -1;

// A token, what it was chosen by and its clean logit.
struct Choice {
  float value;
  int token;
  float clean;
};

// `b` if it is better, or as good and of the lower id.
__device__ __forceinline__ Choice better(const Choice& a, const Choice& b) {
  return b.value > a.value || (b.value == a.value && b.token < a.token) ? b : a;
}

// The two largest of four values of which each pair is in order.
struct TopTwo {
  float first, second;
};
__device__ __forceinline__ TopTwo merge(const TopTwo& a, const TopTwo& b) {
  return {fmaxf(a.first, b.first), fmaxf(fminf(a.first, b.first), fmaxf(a.second, b.second))};
}

__device__ __forceinline__ SelectPartial empty_partial() {
  return {-INFINITY, -1.0f, -INFINITY, kNone, -INFINITY, 0.0f, -INFINITY, -INFINITY};
}

// The slots are merged as (former, latter); an empty one has rest + 1 = 0 terms and adds nothing.
__device__ __forceinline__ SelectPartial merge(const SelectPartial& a, const SelectPartial& b) {
  const bool a_leads = a.max >= b.max;
  SelectPartial merged;
  merged.max = fmaxf(a.max, b.max);
  const float lower = fminf(a.max, b.max);
  const float gap = merged.max == lower ? 0.0f : merged.max - lower;  // both may be infinite
  const float scale = expf(-gap);
  const float lower_terms = (a_leads ? b.rest : a.rest) + 1.0f;
  const float lower_spread = a_leads ? b.spread : a.spread;
  merged.rest = fmaf(lower_terms, scale, a_leads ? a.rest : b.rest);
  merged.spread = a_leads ? a.spread : b.spread;
  if (scale > 0.0f) {
    merged.spread = fmaf(fmaf(lower_terms, gap, lower_spread), scale, merged.spread);
  }
  const Choice choice = better({a.best, a.token, a.clean}, {b.best, b.token, b.clean});
  merged.best = choice.value;
  merged.token = choice.token;
  merged.clean = choice.clean;
  const TopTwo top = merge(TopTwo{a.first, a.second}, TopTwo{b.first, b.second});
  merged.first = top.first;
  merged.second = top.second;
  return merged;
}

__device__ __forceinline__ SelectPartial shuffle_down(const SelectPartial& partial, int apart) {
  return {__shfl_down_sync(kWholeWarp, partial.max, apart),
          __shfl_down_sync(kWholeWarp, partial.rest, apart),
          __shfl_down_sync(kWholeWarp, partial.best, apart),
          __shfl_down_sync(kWholeWarp, partial.token, apart),
          __shfl_down_sync(kWholeWarp, partial.clean, apart),
          __shfl_down_sync(kWholeWarp, partial.spread, apart),
          __shfl_down_sync(kWholeWarp, partial.first, apart),
          __shfl_down_sync(kWholeWarp, partial.second, apart)};
}

// Odds against the candidate, from the whole row's partial.
__device__ __forceinline__ float odds_against_candidate(const SelectPartial& row) {
  if (row.clean == row.max) return row.rest;
  const float share = expf(row.clean - row.max);
  return (1.0f + row.rest - share) / share;
}

// Odds that a uniform draw of (seed, step, position) implies. In f64, because 24 random bits and
// the half that keeps u inside (0, 1) need 25.
__device__ __forceinline__ float random_odds(unsigned long long seed, int step, int position) {
  const PhiloxCounter draw = philox4x32_10(
      {{static_cast<unsigned>(step), static_cast<unsigned>(position), 0, kRemaskingStream}},
      static_cast<unsigned>(seed), static_cast<unsigned>(seed >> 32));
  const double u = ((draw.word[0] >> 8) + 0.5) * 0x1p-24;
  return static_cast<float>((1.0 - u) / u);
}

// exp(H) - 1 with H = ln(sum) + the mean of max - l.
__device__ __forceinline__ float excess_perplexity(const SelectPartial& row) {
  return expm1f(log1pf(row.rest) + row.spread / (1.0f + row.rest));
}

// (1 - d) / d, d the lead of the first over the second; neither difference is formed of
// probabilities, which would be lost near 0 and near 1.
__device__ __forceinline__ float odds_against_lead(const SelectPartial& row) {
  if (row.first == row.second) return INFINITY;
  const float share = row.first == row.max ? 1.0f : expf(row.first - row.max);
  const float second = expf(row.second - row.max);
  const float others = row.first == row.max ? row.rest : 1.0f + row.rest - share;
  return (others + second) / (share * -expm1f(row.second - row.first));
}

}  // namespace remask
