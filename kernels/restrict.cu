// restrict_tokens: for every row that is sampled, the smallest logit that top-k and top-p leave.
// in logits f32[Rall,E], rows Row[R], sequences; out floors f32[R]: -inf where nothing is cut off,
// for rows of another kind than kChoose and at temperature 0
//   Of the logits that may be chosen (ids < vocabulary but the mask and a suppressed EOS; -inf and
//   NaN are absent), with weights w = exp((l - max) / T): top_k leaves each that fewer than top_k
//   exceed; top_p, after it, each that exceeding ones of less than top_p of what top_k left exceed.
//   So ties stay together and the largest always stays. The same order as Hugging Face's warpers:
//   temperature, top-k, top-p.
// 1 a CTA has a row; the largest logit first
// 2 radix selection over a logit's 32 ordered bits, from the top: a digit of 11, 11 and 10 bits a
// pass, for top_k of counts, for top_p of weights
// 3 weights are integers, 2^-40 of the largest one's: sums are exact, whatever their order
// 4 the digit at which the sum from above reaches the wanted one: 4 bins a thread, a scan
// compiled: up to 96 regs, 16.6 KB smem; the same bits in any schedule
// floor R=32 E=126464: 16.2 MB / 4.8 TB/s = 3.4 us (H200) for the first of 4 to 7 passes, of which
// the others find the row in L2; not measured
#include "include/row_logits.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 512;
constexpr int kResidentBlocks = 1;  // a step has fewer rows than a card has SMs
constexpr int kWarps = kThreads / kWarpThreads;
constexpr int kInFlight = 4;  // vectors of a thread: 32 KB an SM

using Sum = unsigned long long;

constexpr int kOrderBits = 32;
constexpr int kDigitBits = 11;  // of a pass, at most
constexpr int kBins = 1 << kDigitBits;
constexpr int kOwnBins = kBins / kThreads;

constexpr float kWeightOne = 0x1p40f;  // 2^23 columns of it fit a sum

// Orders as the logits do; 0 is below all of them.
__device__ __forceinline__ unsigned order_of(float logit) {
  const unsigned bits = __float_as_uint(logit + 0.0f);  // -0 + 0 is 0
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float logit_of(unsigned order) {
  return __uint_as_float((order & 0x80000000u) != 0 ? order & 0x7fffffffu : ~order);
}

// Largest over the CTA, in every thread.
__device__ __forceinline__ float block_max(float x) {
  __shared__ float warp_max[kWarps];
  x = lanes_max<kWarpThreads>(x);
  if (threadIdx.x % kWarpThreads == 0) warp_max[threadIdx.x / kWarpThreads] = x;
  __syncthreads();
  for (int warp = 0; warp < kWarps; ++warp) x = fmaxf(x, warp_max[warp]);
  return x;
}

// A logit's weight.
struct Weight {
  bool counts;  // 1 for each
  float max;
  float inverse_temperature;

  __device__ __forceinline__ Sum operator()(float logit) const {
    if (counts) return 1;
    // Equal ones may both be infinite.
    const float share = logit == max ? 1.0f : expf((logit - max) * inverse_temperature);
    return static_cast<Sum>(share * kWeightOne);
  }
};

// Order of the smallest logit, of those whose order is at least `low`, that larger ones of a weight
// below `wanted` in all exceed; 0 where they weigh less than `wanted` together. Weights that are no
// counts want a `part` of all instead. All threads call it.
__device__ __forceinline__ unsigned find_floor(const RowLogits& row, const Columns& rules,
                                               unsigned low, const Weight& weight, Sum wanted,
                                               float part) {
  __shared__ Sum bins[kBins];
  __shared__ Sum warp_sums[kWarps];
  __shared__ unsigned next_digit;
  __shared__ Sum next_wanted;
  static_assert(kBins % kThreads == 0, "every thread sums up as many bins");
  const int warp = threadIdx.x / kWarpThreads;
  const int lane = threadIdx.x % kWarpThreads;
  unsigned prefix = 0;
#pragma unroll 1
  for (int shift = kOrderBits; shift > 0;) {
    const int bits = min(shift, kDigitBits);
    const int known = shift;  // bits below the prefix
    shift -= bits;
    for (int bin = threadIdx.x; bin < kBins; bin += kThreads) bins[bin] = 0;
    if (threadIdx.x == 0) next_digit = kBins;
    __syncthreads();
    row.each<kInFlight>([&](int id, int, float x) {
      if (x == -INFINITY || !rules.choosable(id) || rules.suppressed(id)) return;
      const unsigned order = order_of(x);
      if (order < low || static_cast<Sum>(order) >> known != prefix) return;
      const Sum own = weight(x);
      if (own != 0) atomicAdd(&bins[order >> shift & ((1u << bits) - 1)], own);
    });
    __syncthreads();
    // From the highest bin on.
    const int first = kBins - 1 - static_cast<int>(threadIdx.x) * kOwnBins;
    Sum own = 0;
#pragma unroll
    for (int i = 0; i < kOwnBins; ++i) own += bins[first - i];
    Sum up_to = own;
#pragma unroll
    for (int apart = 1; apart < kWarpThreads; apart *= 2) {
      const Sum higher = __shfl_up_sync(kWholeWarp, up_to, apart);
      if (lane >= apart) up_to += higher;
    }
    if (lane == kWarpThreads - 1) warp_sums[warp] = up_to;
    __syncthreads();
    Sum all = 0;
    for (int before = 0; before < kWarps; ++before) {
      if (before == warp) up_to += all;
      all += warp_sums[before];
    }
    if (!weight.counts && known == kOrderBits) {
      wanted = static_cast<Sum>(ceil(static_cast<double>(part) * static_cast<double>(all)));
      if (wanted == 0) wanted = 1;
    }
    Sum above = up_to - own;
#pragma unroll
    for (int i = 0; i < kOwnBins; ++i) {
      const Sum with = above + bins[first - i];
      if (above < wanted && wanted <= with) {
        next_digit = static_cast<unsigned>(first - i);
        next_wanted = wanted - above;
      }
      above = with;
    }
    __syncthreads();
    if (next_digit == kBins) return 0;
    prefix = prefix << bits | next_digit;
    wanted = next_wanted;
    __syncthreads();  // everyone has read what the next pass overwrites
  }
  return prefix;
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads, remask::kResidentBlocks)
    restrict_tokens(float* floors, const float* logits, const remask::Row* rows,
                    const remask::Sequence* sequences, int row_count, int columns,
                    remask::SpecialTokens tokens) {
  using namespace remask;
  const int index = blockIdx.x;
  if (index >= row_count) return;
  const Row row = rows[index];
  float floor = -INFINITY;
  if (row.kind == kChoose) {
    const Sequence& sequence = sequences[row.sequence];
    const int top_k = sequence.top_k;
    const float top_p = sequence.top_p;
    if (sequence.temperature > 0.0f && (top_k > 0 || top_p < 1.0f)) {
      const Columns rules = columns_of(sequence, tokens);
      const int end = min(columns, tokens.vocabulary);
      const RowLogits in = logits_of(row, sequence, logits, index, columns, end);
      float max = -INFINITY;
      in.each<kInFlight>([&](int id, int, float x) {
        if (rules.choosable(id) && !rules.suppressed(id)) max = fmaxf(max, x);
      });
      max = block_max(max);
      Weight weight = {true, max, 1.0f / sequence.temperature};
      unsigned low = 0;
#pragma unroll 1
      for (int pass = 0; pass < 2 && max > -INFINITY; ++pass) {
        weight.counts = pass == 0;
        if (weight.counts ? top_k > 0 : top_p < 1.0f) {
          low = find_floor(in, rules, low, weight, static_cast<Sum>(top_k), top_p);
        }
      }
      if (low != 0) floor = logit_of(low);
    }
  }
  if (threadIdx.x == 0) floors[index] = floor;
}
