// Vectors of f32 in the widest register of the instruction set this file is compiled for.
//
// Included only by the simd_*.cpp files, each with its own flags, so everything lies in a namespace
// named after the instruction set (REMASK_SIMD): an inline function shared between them could be
// linked in its AVX-512 form and then run on a machine without it. For the same reason nothing here
// instantiates a standard library template.
#ifndef REMASK_HOST_SIMD_VECTOR_H_
#define REMASK_HOST_SIMD_VECTOR_H_

#include <omp.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "kernel_set.h"
#include "parallel.h"

namespace remask::host::REMASK_SIMD {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef std::uint32_t Bits __attribute__((vector_size(4 * kLanes)));
typedef std::uint16_t Halves __attribute__((vector_size(2 * kLanes)));

inline Floats load(const float* from) {
  Floats value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Element i to lane i of twice the width. By instructions: gcc 12 takes three times as many for
// __builtin_convertvector.
inline Bits widen(Halves halves) {
#if defined(__AVX512F__)
  return (Bits)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)halves);
#elif defined(__AVX2__)
  return (Bits)_mm256_cvtepu16_epi32((__m128i)halves);
#else
  return __builtin_convertvector(halves, Bits);
#endif
}

inline Floats load(const bf16* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof(halves));
  return (Floats)(widen(halves) << 16);
}

inline void store(float* to, Floats value) { std::memcpy(to, &value, sizeof(value)); }

// Rounds to nearest even; a NaN stays one. Integer arithmetic, because AVX512_BF16's conversion
// flushes subnormal numbers.
inline void store(bf16* to, Floats value) {
  const Bits bits = (Bits)value;
  const Bits rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const Bits quiet = bits | 0x400000u;
  const Bits upper = (value == value ? rounded : quiet) >> 16;
#if defined(__AVX512F__)
  const Halves halves = (Halves)_mm512_maskz_cvtepi32_epi16(0xffff, (__m512i)upper);
#else
  const Halves halves = __builtin_convertvector(upper, Halves);
#endif
  std::memcpy(to, &halves, sizeof(halves));
}

// The first `count` < kLanes elements, the other lanes `rest`; touches no memory past them.
#if defined(__AVX512F__)
inline Floats load_part(const float* from, int count, float rest) {
  return (Floats)_mm512_mask_loadu_ps(_mm512_set1_ps(rest), (1u << count) - 1, from);
}

inline Floats load_part(const bf16* from, int count, float rest) {
  const __mmask16 mask = (1u << count) - 1;
  const Halves halves = (Halves)_mm256_maskz_loadu_epi16(mask, from);
  const Bits bits = widen(halves) << 16;
  return (Floats)_mm512_mask_blend_ps(mask, _mm512_set1_ps(rest), (__m512)bits);
}

inline void store_part(float* to, Floats value, int count) {
  _mm512_mask_storeu_ps(to, (1u << count) - 1, (__m512)value);
}

inline void store_part(bf16* to, Floats value, int count) {
  bf16 lanes[kLanes];
  store(lanes, value);
  _mm256_mask_storeu_epi16(to, (1u << count) - 1, _mm256_loadu_si256((const __m256i*)lanes));
}
#else
template <typename X>
inline Floats load_part(const X* from, int count, float rest) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = rest;
  for (int i = 0; i < count; ++i) {
    if constexpr (sizeof(X) == 2) {
      const std::uint32_t bits = static_cast<std::uint32_t>(from[i].bits) << 16;
      std::memcpy(&lanes[i], &bits, sizeof(bits));
    } else {
      lanes[i] = from[i];
    }
  }
  return load(lanes);
}

template <typename X>
inline void store_part(X* to, Floats value, int count) {
  X lanes[kLanes];
  store(lanes, value);
  std::memcpy(to, lanes, sizeof(X) * count);
}
#endif

template <typename X>
inline Floats load_some(const X* from, int count, float rest) {
  return count >= kLanes ? load(from) : load_part(from, count, rest);
}

template <typename X>
inline void store_some(X* to, Floats value, int count) {
  if (count >= kLanes) {
    store(to, value);
  } else {
    store_part(to, value, count);
  }
}

inline Floats splat(float value) {
#if defined(__AVX512F__)
  return (Floats)_mm512_set1_ps(value);
#elif defined(__AVX2__)
  return (Floats)_mm256_set1_ps(value);
#else
  return Floats{value, value, value, value};
#endif
}

// a > b ? a : b in every lane, so a NaN in `a` is dropped and one in `b` stays.
inline Floats maximum(Floats a, Floats b) {
#if defined(__AVX512F__)
  // Not _mm512_max_ps, for which gcc 12 warns of an uninitialised operand (its bug 105593).
  return (Floats)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Floats)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}

// a < b ? a : b in every lane, so a NaN in `a` is dropped and one in `b` stays.
inline Floats minimum(Floats a, Floats b) {
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Floats)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return a < b ? a : b;
#endif
}

// Bit i: lane i of a comparison's result is true.
inline unsigned lane_mask(Ints comparison) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)comparison);
#elif defined(__AVX2__)
  return static_cast<unsigned>(_mm256_movemask_ps((__m256)comparison));
#else
  unsigned mask = 0;
  for (int lane = 0; lane < kLanes; ++lane) mask |= (comparison[lane] & 1u) << lane;
  return mask;
#endif
}

// Lane numbers for __builtin_shuffle, as constants: gcc 12 builds vectors that a loop fills lane by
// lane, each time.
struct LaneNumbers {
  alignas(4 * kLanes) std::int32_t lanes[kLanes];

  Ints load() const {
    Ints numbers;
    std::memcpy(&numbers, lanes, sizeof(numbers));
    return numbers;
  }
};

template <typename Lane>
constexpr LaneNumbers lane_numbers(Lane lane) {
  LaneNumbers numbers = {};
  for (int i = 0; i < kLanes; ++i) numbers.lanes[i] = lane(i);
  return numbers;
}

// Adds the upper half of so many lanes to the lower one, and so on.
template <int kCount = kLanes>
inline Floats fold_lanes(Floats value) {
  if constexpr (kCount > 1) {
    static constexpr LaneNumbers kUpper =
        lane_numbers([](int lane) { return (lane + kCount / 2) % kLanes; });
    return fold_lanes<kCount / 2>(value + __builtin_shuffle(value, kUpper.load()));
  } else {
    return value;
  }
}

inline float sum_lanes(Floats value) { return fold_lanes(value)[0]; }

inline float max_lanes(Floats value) {
  float lanes[kLanes];
  store(lanes, value);
  float result = lanes[0];
  for (int i = 1; i < kLanes; ++i) result = lanes[i] > result ? lanes[i] : result;
  return result;
}

// exp(x) within 2 ulp. exp(-inf) is exactly 0, results below 2^-126 are subnormal, NaN stays NaN.
//
// x = n ln 2 + r, |r| <= ln(2)/2; exp(r) = 1 + r + r^2 q(r), q the degree-4 polynomial of least
// largest relative error (3.1e-9, a twentieth of f32's half ulp; found by Lawson's iteration).
// 2^n is applied by an instruction for it, or in two factors, because n = -149 alone is no normal
// number's exponent.
inline Floats exponential(Floats x) {
  constexpr float kLog2E = 1.44269504088896341f;
  constexpr float kLn2High = 0.693359375f;  // 9 bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440054690583e-4f;
  constexpr float kRoundToInteger = 12582912.0f;  // 1.5 * 2^23: adding it leaves the integer part
  constexpr float kLowest = -110.0f;              // below, and well below, the last subnormal
  constexpr float kHighest = 100.0f;              // above the last finite result
  x = minimum(splat(kHighest), maximum(splat(kLowest), x));
  const Floats shifted = x * kLog2E + kRoundToInteger;
  const Floats n = shifted - kRoundToInteger;
  const Floats r = (x - n * kLn2High) - n * kLn2Low;
  Floats q = r * 1.381458365e-03f + 8.368724026e-03f;
  q = q * r + 4.166838899e-02f;
  q = q * r + 1.666652113e-01f;
  q = q * r + 4.999999404e-01f;
  const Floats mantissa = q * (r * r) + r + 1.0f;
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_scalef_ps(0xffff, (__m512)mantissa, (__m512)n);
#else
  const Ints exponent = (Ints)shifted - (Ints)splat(kRoundToInteger);
  const Ints first = exponent >> 1;
  const Floats scale_first = (Floats)((first + 127) << 23);
  const Floats scale_second = (Floats)((exponent - first + 127) << 23);
  return mantissa * scale_first * scale_second;
#endif
}

// x / (1 + exp(-x)), within 4 roundings and those of exp.
inline Floats silu(Floats x) {
  const Floats divisor = 1.0f + exponential(-x);
#if defined(__AVX512F__)
  // A division of 16 lanes takes 16 cycles; an estimate within 2^-14 and a step of Newton's take 3.
  // An infinite divisor's reciprocal is exact, and the step would make it NaN.
  const Floats estimate = (Floats)_mm512_maskz_rcp14_ps(0xffff, (__m512)divisor);
  const Floats error = 1.0f - divisor * estimate;
  return x * (divisor == splat(__builtin_inff()) ? estimate : estimate + estimate * error);
#else
  return x / divisor;
#endif
}

// Exchanges the off-diagonal halves of the squares of 2 kHalf rows and lanes.
template <int kHalf>
inline void transpose_squares(Floats (&rows)[kLanes]) {
  static constexpr LaneNumbers kUpper =
      lane_numbers([](int lane) { return (lane & kHalf) ? kLanes + lane - kHalf : lane; });
  static constexpr LaneNumbers kLower =
      lane_numbers([](int lane) { return (lane & kHalf) ? kLanes + lane : lane + kHalf; });
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & kHalf) continue;
    const Floats upper = rows[i], lower = rows[i + kHalf];
    rows[i] = __builtin_shuffle(upper, lower, kUpper.load());
    rows[i + kHalf] = __builtin_shuffle(upper, lower, kLower.load());
  }
}

// Transposes the square that kLanes vectors form: log2(kLanes) rounds, of squares twice the size of
// the last round's.
template <int kHalf = 1>
inline void transpose(Floats (&rows)[kLanes]) {
  transpose_squares<kHalf>(rows);
  if constexpr (2 * kHalf < kLanes) transpose<2 * kHalf>(rows);
}

// Runs body(i) for 0 <= i < items, on several threads if `work` is worth it. Items are independent,
// so which thread takes which has no influence on any result.
template <typename Body>
inline void parallel_for(int requested, std::int64_t items, std::int64_t work, Body body) {
  const int threads = region_threads(requested, items, work);
  if (threads == 1) {
    for (std::int64_t i = 0; i < items; ++i) body(i);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    name_compute_thread(omp_get_thread_num());
#pragma omp for schedule(static)
    for (std::int64_t i = 0; i < items; ++i) body(i);
  }
}

// The same for few, long and unequal items: threads take the next one as they become free.
template <typename Body>
inline void parallel_for_uneven(int requested, std::int64_t items, std::int64_t work, Body body) {
  const int threads = region_threads(requested, items, work);
  if (threads == 1) {
    for (std::int64_t i = 0; i < items; ++i) body(i);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    name_compute_thread(omp_get_thread_num());
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < items; ++i) body(i);
  }
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_VECTOR_H_
