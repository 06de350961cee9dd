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

inline Floats load(const bf16* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof(halves));
  return (Floats)(__builtin_convertvector(halves, Bits) << 16);
}

inline void store(float* to, Floats value) { std::memcpy(to, &value, sizeof(value)); }

// Rounds to nearest even; a NaN stays one. Integer arithmetic, because AVX512_BF16's conversion
// flushes subnormal numbers.
inline void store(bf16* to, Floats value) {
  const Bits bits = (Bits)value;
  const Bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Bits quiet = (bits >> 16) | 0x40u;
  const Halves halves = __builtin_convertvector(value == value ? rounded : quiet, Halves);
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
  const Bits bits = __builtin_convertvector(halves, Bits) << 16;
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

inline float sum_lanes(Floats value) {
  float lanes[kLanes];
  store(lanes, value);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

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
// 2^n is applied in two factors, because n = -149 alone is no normal number's exponent.
inline Floats exponential(Floats x) {
  constexpr float kLog2E = 1.44269504088896341f;
  constexpr float kLn2High = 0.693359375f;  // 9 bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440054690583e-4f;
  constexpr float kRoundToInteger = 12582912.0f;  // 1.5 * 2^23: adding it leaves the integer part
  constexpr float kLowest = -110.0f;              // below, and well below, the last subnormal
  constexpr float kHighest = 100.0f;              // above the last finite result
  x = x < kLowest ? splat(kLowest) : x;
  x = x > kHighest ? splat(kHighest) : x;
  const Floats shifted = x * kLog2E + kRoundToInteger;
  const Floats n = shifted - kRoundToInteger;
  const Floats r = (x - n * kLn2High) - n * kLn2Low;
  Floats q = r * 1.381458365e-03f + 8.368724026e-03f;
  q = q * r + 4.166838899e-02f;
  q = q * r + 1.666652113e-01f;
  q = q * r + 4.999999404e-01f;
  const Floats mantissa = q * (r * r) + r + 1.0f;
  const Ints exponent = (Ints)shifted - (Ints)splat(kRoundToInteger);
  const Ints first = exponent >> 1;
  const Floats scale_first = (Floats)((first + 127) << 23);
  const Floats scale_second = (Floats)((exponent - first + 127) << 23);
  return mantissa * scale_first * scale_second;
}

// Transposes the square that kLanes vectors form: log2(kLanes) rounds, each exchanging the
// off-diagonal halves of squares twice the size of the last round's.
inline void transpose(Floats (&rows)[kLanes]) {
#pragma GCC unroll 4
  for (int half = 1; half < kLanes; half *= 2) {
    Ints low, high;
    for (int lane = 0; lane < kLanes; ++lane) {
      low[lane] = (lane & half) ? kLanes + lane - half : lane;
      high[lane] = (lane & half) ? kLanes + lane : lane + half;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if (i & half) continue;
      const Floats upper = rows[i], lower = rows[i + half];
      rows[i] = __builtin_shuffle(upper, lower, low);
      rows[i + half] = __builtin_shuffle(upper, lower, high);
    }
  }
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
