// restrict_tokens: the smallest logit of a row that top-k and top-p leave. kernels/restrict.cu
// defines it; see simd_vector.h for how this file is compiled.
//
// The same radix selection, of counts or of integer weights, but of few columns: the k-th largest
// of the maxima of k or more blocks is a lower bound for top-k; for top-p columns are left out that
// would not fill the part to be cut off if all columns weighed as much. A pass compares vectors and
// counts the few that are left one by one.
#ifndef REMASK_HOST_SIMD_RESTRICT_H_
#define REMASK_HOST_SIMD_RESTRICT_H_

#include "simd_logits.h"

namespace remask::host::REMASK_SIMD {

constexpr int kOrderBits = 32;
constexpr int kDigitBits = 11;  // of a pass, at most
constexpr int kBins = 1 << kDigitBits;
constexpr int kHalfBits = 20;  // a weight of 1 is 2^40, in two halves
constexpr float kHalfOne = 0x1p20f;
constexpr float kWeightOne = 0x1p40f;

// Orders as the logits do; 0 is below all of them.
inline Bits order_of(Floats logit) {
  const Ints bits = (Ints)(logit + 0.0f);  // -0 + 0 is 0
  return (Bits)bits ^ ((Bits)(bits >> 31) | 0x80000000u);
}

inline float logit_of(std::uint32_t order) {
  const std::uint32_t bits = (order & 0x80000000u) != 0 ? order & 0x7fffffffu : ~order;
  float logit;
  std::memcpy(&logit, &bits, sizeof(logit));
  return logit;
}

// A logit's weight: 1, or exp((l - max) / T) of 2^40.
struct Weight {
  bool counts;
  float max;
  float inverse_temperature;

  Floats shares(Floats logit) const {
    if (counts) return splat(1);
    // Equal ones may both be infinite.
    const Floats share = exponential((logit - max) * inverse_temperature);
    return logit == splat(max) ? splat(1) : share;
  }
  std::uint64_t of(float share) const {
    return counts ? 1 : static_cast<std::uint64_t>(share * kWeightOne);
  }
};

// The columns that may be chosen and whose order is at least `low`.
template <bool kGuided>
struct Restricted {
  const RowLogits<kGuided>& logits;
  const ColumnRuns& cut;
  std::uint32_t low;

  // body(logit, order, mask of the lanes whose order is at least `low`)
  template <typename Body>
  void each(Body body) const {
    const Bits least = Bits{} + low;
    for (int r = 0; r < cut.count; ++r) {
      const ColumnRun& run = cut.runs[r];
      if (!run.candidate) continue;
      for (int i = run.begin; i < run.end; i += kLanes) {
        const Floats logit = logits.at(i, run.end);
        const Bits order = order_of(logit);
        const unsigned lanes =
            lane_mask((Ints)(order >= least)) & lane_mask(logit != splat(kAbsent));
        if (lanes != 0) body(logit, order, lanes);
      }
    }
  }

  // Sum of all weights, exact. A lane's halves are below 2^20 each, so 2^10 of them fit.
  std::uint64_t sum(const Weight& weight) const {
    std::uint64_t high = 0, low_half = 0;
    Ints highs = {}, lows = {};
    int added = 0;
    const auto flush = [&] {
      for (int lane = 0; lane < kLanes; ++lane) {
        high += static_cast<std::uint64_t>(highs[lane]);
        low_half += static_cast<std::uint64_t>(lows[lane]);
      }
      highs = lows = Ints{};
      added = 0;
    };
    each([&](Floats logit, Bits order, unsigned) {
      const Floats scaled = weight.shares(logit) * kHalfOne;
      const Ints whole = __builtin_convertvector(scaled, Ints);
      const Floats part = (scaled - __builtin_convertvector(whole, Floats)) * kHalfOne;
      const Ints within = (Ints)(order >= low) & (Ints)(logit != splat(kAbsent));
      highs += whole & within;
      lows += __builtin_convertvector(part, Ints) & within;
      if (++added == 1 << 10) flush();
    });
    flush();
    return (high << kHalfBits) + low_half;
  }

  // Order of the smallest logit that larger ones of a weight below `wanted` in all exceed; 0 where
  // they weigh less than `wanted` together.
  std::uint32_t find_floor(const Weight& weight, std::uint64_t wanted) const {
    std::uint64_t bins[kBins];
    std::uint32_t prefix = 0;
    for (int shift = kOrderBits; shift > 0;) {
      const int bits = shift < kDigitBits ? shift : kDigitBits;
      const int known = shift;  // bits below the prefix
      shift -= bits;
      std::memset(bins, 0, sizeof(bins));
      const std::uint32_t digits = (1u << bits) - 1;
      each([&](Floats logit, Bits order, unsigned lanes) {
        if (known < kOrderBits) lanes &= lane_mask((Ints)((order >> known) == prefix));
        if (lanes == 0) return;
        const Floats shares = weight.shares(logit);
        const Bits digit = (order >> shift) & digits;
        for (; lanes != 0; lanes &= lanes - 1) {
          const int lane = __builtin_ctz(lanes);
          bins[digit[lane]] += weight.of(shares[lane]);
        }
      });
      int bin = kBins - 1;
      while (bin >= 0 && bins[bin] < wanted) wanted -= bins[bin--];
      if (bin < 0) return 0;
      prefix = prefix << bits | static_cast<std::uint32_t>(bin);
    }
    return prefix;
  }
};

// A lower bound for the order of the k-th largest logit that may be chosen.
template <bool kGuided>
inline std::uint32_t bound_of_top(const RowLogits<kGuided>& logits, const ColumnRuns& cut,
                                  int columns, int k) {
  constexpr int kBlocks = 1000, kLeastWidth = 128;
  float maxima[kBlocks + ColumnRuns::kMost];
  if (k > kBlocks) return 0;
  const int even = (columns + kBlocks - 1) / kBlocks;
  const int width = even < kLeastWidth ? kLeastWidth : even;
  int blocks = 0;
  for (int r = 0; r < cut.count; ++r) {
    const ColumnRun& run = cut.runs[r];
    if (!run.candidate) continue;
    for (int begin = run.begin; begin < run.end; begin += width) {
      const int end = run.end - begin > width ? begin + width : run.end;
      maxima[blocks++] = logits.largest(begin, end);
    }
  }
  ColumnRuns all;
  all.count = 1;
  all.runs[0] = {0, blocks, true, true};
  const RowLogits<false> row = {maxima, nullptr, 0};
  const Weight count = {true, 0, 0};
  return Restricted<false>{row, all, 0}.find_floor(count, static_cast<std::uint64_t>(k));
}

template <bool kGuided>
inline float floor_of(const RowLogits<kGuided>& logits, const ColumnRuns& cut, int columns,
                      const Sequence& sequence) {
  float max = kAbsent;
  int choosable = 0;
  for (int r = 0; r < cut.count; ++r) {
    const ColumnRun& run = cut.runs[r];
    if (!run.candidate) continue;
    const float largest = logits.largest(run.begin, run.end);
    max = largest > max ? largest : max;
    choosable += run.end - run.begin;
  }
  if (max == kAbsent) return kAbsent;
  std::uint32_t low = 0;
  if (sequence.top_k > 0) {
    const std::uint32_t bound = bound_of_top(logits, cut, columns, sequence.top_k);
    const Weight count = {true, 0, 0};
    low = Restricted<kGuided>{logits, cut, bound}.find_floor(
        count, static_cast<std::uint64_t>(sequence.top_k));
  }
  if (sequence.top_p < 1.0f) {
    const Weight weight = {false, max, 1.0f / sequence.temperature};
    const std::uint64_t all = Restricted<kGuided>{logits, cut, low}.sum(weight);
    const double part = static_cast<double>(sequence.top_p) * static_cast<double>(all);
    std::uint64_t wanted = static_cast<std::uint64_t>(__builtin_ceil(part));
    if (wanted == 0) wanted = 1;
    // Columns that weigh no more than this do not fill what is to be cut off.
    const double least = static_cast<double>(all - wanted) / choosable / kWeightOne;
    std::uint32_t bound = low;
    if (least * kWeightOne > 1) {
      constexpr double kSlack = 1e-3;  // relative; more than the error of a weight
      const double reach = (__builtin_log(least) - kSlack) * sequence.temperature;
      const float logit = static_cast<float>(max + reach - kSlack * __builtin_fabs(reach));
      const std::uint32_t order = order_of(splat(logit))[0];
      if (logit < max && order > bound) bound = order;
    }
    low = Restricted<kGuided>{logits, cut, bound}.find_floor(weight, wanted);
  }
  return low == 0 ? kAbsent : logit_of(low);
}

inline void restrict_tokens(const RemaskLaunch& launch, float* floors, const float* logits,
                            const Row* rows, const Sequence* sequences, int row_count, int columns,
                            SpecialTokens tokens) {
  const std::int64_t work = std::int64_t{row_count} * columns * 4;
  parallel_for_uneven(launch.threads, row_count, work, [=](std::int64_t index) {
    const Row& row = rows[index];
    floors[index] = kAbsent;
    if (row.kind != kChoose) return;
    const Sequence& sequence = sequences[row.sequence];
    const bool restricted = sequence.top_k > 0 || sequence.top_p < 1.0f;
    if (!(sequence.temperature > 0) || !restricted) return;
    const ColumnRuns cut = cut_runs(0, columns, tokens, sequence.flags);
    with_logits(row, sequence, logits, index, columns, [&](const auto& row_logits) {
      floors[index] = floor_of(row_logits, cut, columns, sequence);
    });
  });
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_RESTRICT_H_
