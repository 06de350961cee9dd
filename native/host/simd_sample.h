// The choice of a token with Gumbel noise, over one slice of one row. kernels/include/gumbel.h
// defines the noise; see simd_vector.h for how this file is compiled.
//
// Noise is drawn for 4 * kLanes neighbouring columns at once, a Philox counter of four words in
// each lane, and only where a logit is near enough to the slice's largest for noise to lift it to
// the top.
#ifndef REMASK_HOST_SIMD_SAMPLE_H_
#define REMASK_HOST_SIMD_SAMPLE_H_

#include "simd_vector.h"

namespace remask::host::REMASK_SIMD {

constexpr int kPhiloxWords = 4;
constexpr int kNoiseColumns = kPhiloxWords * kLanes;
constexpr std::uint32_t kSamplingStream = 2;

// The same as in gumbel.h.
constexpr float kGumbelSpan = 20.0f;
constexpr float kGumbelSlack = 1e-6f;

inline Bits splat_bits(std::uint32_t value) { return Bits{} + value; }

// Upper half of the 64-bit products.
inline Bits multiply_high(Bits a, std::uint32_t b) {
#if defined(__AVX512F__)
  // The maskz forms, because gcc 12 warns of what the plain ones leave undefined.
  constexpr __mmask8 kAll = 0xff;
  const __m512i factor = _mm512_set1_epi32(static_cast<int>(b));
  const __m512i even = _mm512_maskz_mul_epu32(kAll, (__m512i)a, factor);
  const __m512i upper = _mm512_maskz_srli_epi64(kAll, (__m512i)a, 32);
  const __m512i odd = _mm512_maskz_mul_epu32(kAll, upper, factor);
  return (Bits)_mm512_mask_blend_epi32(0xaaaa, _mm512_maskz_srli_epi64(kAll, even, 32), odd);
#elif defined(__AVX2__)
  const __m256i factor = _mm256_set1_epi32(static_cast<int>(b));
  const __m256i even = _mm256_mul_epu32((__m256i)a, factor);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)a, 32), factor);
  return (Bits)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
  Bits high = {};
  for (int lane = 0; lane < kLanes; ++lane) {
    high[lane] = static_cast<std::uint32_t>(std::uint64_t{a[lane]} * b >> 32);
  }
  return high;
#endif
}

// Where a row's noise stands in the generator's sequence.
struct NoisePlace {
  float temperature;
  std::uint64_t seed;
  std::uint32_t step, position;
};

// The random words of kNoiseColumns columns from `column`, a multiple of 4, on, in their order.
inline void philox_words(const NoisePlace& place, int column, std::uint32_t* out) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  constexpr int kRounds = 10;
  Bits c0 = splat_bits(place.step), c1 = splat_bits(place.position);
  Bits c2 = splat_bits(static_cast<std::uint32_t>(column) / kPhiloxWords);
  Bits c3 = splat_bits(kSamplingStream);
  for (int lane = 0; lane < kLanes; ++lane) c2[lane] += static_cast<std::uint32_t>(lane);
  std::uint32_t key0 = static_cast<std::uint32_t>(place.seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(place.seed >> 32);
  for (int round = 0; round < kRounds; ++round) {
    const Bits high0 = multiply_high(c0, kMultiplier0), low0 = c0 * kMultiplier0;
    const Bits high1 = multiply_high(c2, kMultiplier1), low1 = c2 * kMultiplier1;
    c0 = high1 ^ c1 ^ key0;
    c1 = low1;
    c2 = high0 ^ c3 ^ key1;
    c3 = low0;
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    out[kPhiloxWords * lane] = c0[lane];
    out[kPhiloxWords * lane + 1] = c1[lane];
    out[kPhiloxWords * lane + 2] = c2[lane];
    out[kPhiloxWords * lane + 3] = c3[lane];
  }
}

// ln x of positive normal numbers, within 2 ulp, and so relatively where x is near 1.
//
// x = 2^n (1 + f), 2/3 <= 1 + f < 4/3; ln(1 + f) = f + f^2 q(f), q the degree-8 polynomial of least
// largest relative error (4.5e-9, below a tenth of f32's half ulp; found by Lawson's iteration).
inline Floats logarithm(Floats x) {
  constexpr float kLn2 = 0.693147180559945f;
  constexpr std::int32_t kTwoThirds = 0x3f2aaaab;
  constexpr std::int32_t kFraction = 0x7fffff;
  const Ints bits = (Ints)x - kTwoThirds;
  const Floats n = __builtin_convertvector(bits >> 23, Floats);
  const Floats f = (Floats)((bits & kFraction) + kTwoThirds) - 1.0f;
  Floats q = f * -0.1294896900653839f + 0.1400475948996896f;
  q = q * f + -0.12167153507471085f;
  q = q * f + 0.14001160860061646f;
  q = q * f + -0.16682305932044983f;
  q = q * f + 0.20010747015476227f;
  q = q * f + -0.24999716877937317f;
  q = q * f + 0.3333320915699005f;
  q = q * f + -0.5f;
  return n * kLn2 + (f * f * q + f);
}

// -ln(-ln(1 - v)), v from the upper 24 bits of a word each.
inline Floats gumbel(const std::uint32_t* words) {
  Bits bits;
  std::memcpy(&bits, words, sizeof(bits));
  Floats rest = __builtin_convertvector((Ints)(bits >> 8), Floats) * 0x1p-24f;
  rest = maximum(rest, splat(0x1p-25f));
  return -logarithm(-logarithm(rest));
}

// The best of some columns: logit + temperature * noise, the lowest id on ties.
struct NoisyChoice {
  float value;
  int token;  // -1: none
  float clean;
};

// Goes through runs of columns that may be chosen; `Logits` reads them as RowLogits does.
template <typename Logits>
class NoisyChooser {
 public:
  // `largest`: of the logits that may be chosen, which none below `floor` may.
  NoisyChooser(const Logits& row, const NoisePlace& place, float largest, float floor)
      : row_(row),
        place_(place),
        hopeless_(largest - place.temperature * kGumbelSpan -
                  __builtin_fabsf(largest) * kGumbelSlack),
        floor_(floor) {
    for (int lane = 0; lane < kLanes; ++lane) lane_[lane] = lane;
  }

  void look_through(int begin, int end) {
    for (int column = begin / kPhiloxWords * kPhiloxWords; column < end; column += kNoiseColumns) {
      Floats logits[kPhiloxWords];
      unsigned worth_it = 0;
      for (int i = 0; i < kPhiloxWords; ++i) {
        const int first = column + i * kLanes;
        logits[i] = first < end ? row_.at(first, end) : splat(kNone);
        if (first < begin) logits[i] = lane_ + first >= begin ? logits[i] : splat(kNone);
        logits[i] = logits[i] >= splat(floor_) ? logits[i] : splat(kNone);
        worth_it |= lane_mask(logits[i] >= splat(hopeless_));
      }
      if (worth_it != 0 || hopeless_ != hopeless_) add(column, logits);
    }
  }

  NoisyChoice result() const {
    NoisyChoice best = {kNone, -1, kNone};
    for (int lane = 0; lane < kLanes; ++lane) {
      const bool better =
          value_[lane] > best.value || (value_[lane] == best.value && token_[lane] < best.token);
      if (better) best = {value_[lane], token_[lane], clean_[lane]};
    }
    return best;
  }

 private:
  static constexpr float kNone = -__builtin_inff();

  void add(int column, const Floats (&logits)[kPhiloxWords]) {
    std::uint32_t words[kNoiseColumns];
    philox_words(place_, column, words);
    for (int i = 0; i < kPhiloxWords; ++i) {
      const Floats value = logits[i] + place_.temperature * gumbel(words + i * kLanes);
      const Ints better = value > value_;
      value_ = better ? value : value_;
      clean_ = better ? logits[i] : clean_;
      token_ = better ? lane_ + (column + i * kLanes) : token_;
    }
  }

  const Logits row_;
  const NoisePlace place_;
  const float hopeless_;
  const float floor_;
  Ints lane_ = {};
  Floats value_ = splat(kNone), clean_ = splat(kNone);
  Ints token_ = Ints{} - 1;
};

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_SAMPLE_H_
