// A row of logits as the selection kernels see it: those of the unconditional copy mixed in, which
// columns may be chosen and which count. select.cu, odds.cu and restrict.cu read rows through it,
// so that the same column has the same bits in all of them.
#pragma once

#include "diffusion_state.h"
#include "lanes.h"

namespace remask {

constexpr int kLogitLanes = kVectorLanes<float>;

// Which columns may be chosen and which count in the softmax.
struct Columns {
  SpecialTokens tokens;
  bool suppress_eos;
  bool defer_eos;

  __device__ __forceinline__ bool choosable(int id) const {
    return id < tokens.vocabulary && id != tokens.mask;
  }
  __device__ __forceinline__ bool suppressed(int id) const {
    return suppress_eos && id == tokens.eos;
  }
  __device__ __forceinline__ bool is_end(int id) const {
    return id == tokens.eos || id == tokens.eot;
  }
  __device__ __forceinline__ bool deferred(int id) const { return defer_eos && is_end(id); }
  // Whether every column of [begin, end) may be chosen and counts.
  __device__ __forceinline__ bool plain(int begin, int end) const {
    const auto within = [=](int id) { return id >= begin && id < end; };
    return end <= tokens.vocabulary && !within(tokens.mask) &&
           !((suppress_eos || defer_eos) && within(tokens.eos)) &&
           !(defer_eos && within(tokens.eot));
  }
};

__device__ __forceinline__ Columns columns_of(const Sequence& sequence,
                                              const SpecialTokens& tokens) {
  return {tokens, (sequence.flags & kSuppressEos) != 0, (sequence.flags & kDeferEos) != 0};
}

// NaN is absent: the maximum of it and -inf is -inf.
__device__ __forceinline__ float drop_nan(float x) { return fmaxf(x, -INFINITY); }

struct RowLogits {
  const float* conditional;
  const float* unconditional;  // null without guidance
  float guidance;
  int end;       // one past the last column that is read
  bool vectors;  // every vector of either row is aligned and whole

  // A vector of either row; `absent` beyond the end.
  __device__ __forceinline__ void read(float (&out)[kLogitLanes], const float* __restrict__ row,
                                       int first, float absent) const {
    if (vectors && first < end) {
      load<kLogitLanes>(out, row + first);
      return;
    }
#pragma unroll
    for (int n = 0; n < kLogitLanes; ++n) out[n] = first + n < end ? row[first + n] : absent;
  }

  __device__ __forceinline__ float mix(float x, float base) const {
    return fmaf(guidance, x - base, base);
  }
  // Mixes in the copy's vector.
  __device__ __forceinline__ void mix(float (&x)[kLogitLanes],
                                      const float (&base)[kLogitLanes]) const {
#pragma unroll
    for (int n = 0; n < kLogitLanes; ++n) x[n] = mix(x[n], base[n]);
  }

  // One logit; NaN is absent.
  __device__ __forceinline__ float at(int id) const {
    float x = conditional[id];
    if (unconditional != nullptr) x = mix(x, unconditional[id]);
    return drop_nan(x);
  }

  // body(id, logit) for the thread's share of the CTA's columns [0, end), kInFlight vectors loaded
  // at a time; NaN is -inf, and so is what a last vector has beyond the end.
  template <int kInFlight, typename Body>
  __device__ __forceinline__ void each(Body body) const {
    const int stride = static_cast<int>(blockDim.x) * kLogitLanes;
#pragma unroll 1
    for (int begin = static_cast<int>(threadIdx.x) * kLogitLanes; begin < end;
         begin += kInFlight * stride) {
      float x[kInFlight][kLogitLanes];
#pragma unroll
      for (int v = 0; v < kInFlight; ++v) read(x[v], conditional, begin + v * stride, -INFINITY);
      if (unconditional != nullptr) {
        float base[kInFlight][kLogitLanes];
#pragma unroll
        for (int v = 0; v < kInFlight; ++v) {
          read(base[v], unconditional, begin + v * stride, -INFINITY);
        }
#pragma unroll
        for (int v = 0; v < kInFlight; ++v) mix(x[v], base[v]);
      }
#pragma unroll
      for (int v = 0; v < kInFlight; ++v) {
#pragma unroll
        for (int n = 0; n < kLogitLanes; ++n) body(begin + v * stride + n, n, drop_nan(x[v][n]));
      }
    }
  }
};

// The row's logits, of which columns [0, end) are read.
__device__ __forceinline__ RowLogits logits_of(const Row& row, const Sequence& sequence,
                                               const float* logits, int index, int columns,
                                               int end) {
  RowLogits found;
  found.conditional = logits + static_cast<size_t>(index) * columns;
  found.unconditional = row.unconditional_row < 0
                            ? nullptr
                            : logits + static_cast<size_t>(row.unconditional_row) * columns;
  found.guidance = sequence.guidance;
  found.end = end;
  found.vectors = aligned<kLogitLanes>(logits) && columns % kLogitLanes == 0;
  return found;
}

}  // namespace remask
