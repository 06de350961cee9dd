// Bytes in vectors: rows as 8-bit integers (kernels/quantize.cu), and the products and sums that
// simd_int8_gemm.h is made of. See simd_vector.h for how this is compiled.
//
// Sums run over words of 32 bits. With VNNI a word is 4 bytes, of which the instruction wants one
// factor unsigned: `a` is offset by 128, and 128 times the sum of the other's bytes is taken off in
// the end. Without, a word is 2 values of 16 bits, since what multiplies bytes there (vpmaddubsw)
// saturates. Either is exact: sums wrap, but the true ones, of at most 133,144 products, fit.
#ifndef REMASK_HOST_SIMD_INT8_H_
#define REMASK_HOST_SIMD_INT8_H_

#include "simd_vector.h"

namespace remask::host::REMASK_SIMD {

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
constexpr bool kOffset = true;
constexpr int kWordValues = 4;
#else
constexpr bool kOffset = false;
constexpr int kWordValues = 2;
#endif
constexpr int kValues = kLanes * kWordValues;  // of a vector of words

typedef std::int8_t Bytes __attribute__((vector_size(kLanes)));
typedef std::int8_t ValueBytes __attribute__((vector_size(kLanes * kWordValues)));
typedef std::int16_t Shorts __attribute__((vector_size(4 * kLanes)));

inline Ints load_ints(const std::int32_t* from) {
  Ints value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
inline void store_ints(std::int32_t* to, Ints value) { std::memcpy(to, &value, sizeof(value)); }

inline Ints splat_word(std::int32_t word) {
#if defined(__AVX512F__)
  return (Ints)_mm512_set1_epi32(word);
#elif defined(__AVX2__)
  return (Ints)_mm256_set1_epi32(word);
#else
  return Ints{word, word, word, word};
#endif
}

// sums + the products of the words' values, wrapping.
inline Ints add_products(Ints sums, Ints a, Ints w) {
#if defined(__AVX512VNNI__)
  return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)a, (__m512i)w);
#elif defined(__AVXVNNI__)
  return (Ints)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)a, (__m256i)w);
#elif defined(__AVX512BW__)
  return (Ints)_mm512_add_epi32((__m512i)sums, _mm512_madd_epi16((__m512i)a, (__m512i)w));
#elif defined(__AVX2__)
  return (Ints)_mm256_add_epi32((__m256i)sums, _mm256_madd_epi16((__m256i)a, (__m256i)w));
#elif defined(__SSE2__)
  return (Ints)_mm_add_epi32((__m128i)sums, _mm_madd_epi16((__m128i)a, (__m128i)w));
#else
  const Ints low = ((a << 16) >> 16) * ((w << 16) >> 16), high = (a >> 16) * (w >> 16);
  return (Ints)((Bits)sums + (Bits)low + (Bits)high);
#endif
}

// kValues bytes as words of w: what add_products takes.
inline Ints words_of(const std::int8_t* from) {
  ValueBytes bytes;
  std::memcpy(&bytes, from, sizeof(bytes));
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
  return (Ints)bytes;
#elif defined(__AVX512BW__)
  return (Ints)_mm512_cvtepi8_epi16((__m256i)bytes);
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtepi8_epi16((__m128i)bytes);
#else
  Shorts wide;
  for (int i = 0; i < kValues; ++i) wide[i] = bytes[i];
  return (Ints)wide;
#endif
}

// The same of the first `count` bytes, at least one, and zeros.
inline Ints words_of(const std::int8_t* from, int count) {
  if (count >= kValues) return words_of(from);
  std::int8_t bytes[kValues] = {};
  std::memcpy(bytes, from, count);
  return words_of(bytes);
}

// Words of w as words of a: with the offset that makes them unsigned.
inline Ints offset_words(Ints words) {
  if constexpr (kOffset) return words ^ splat_word(static_cast<std::int32_t>(0x80808080u));
  return words;
}

// In place of a's words, to sum what the offset adds.
inline Ints offset_alone() { return splat_word(static_cast<std::int32_t>(0x80808080u)); }

inline std::int32_t sum_int_lanes(Ints value) {
  std::uint32_t lanes[kLanes];
  std::memcpy(lanes, &value, sizeof(value));
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return static_cast<std::int32_t>(lanes[0]);
}

// To the nearest integer, ties to even.
inline Ints nearest(Floats x) {
#if defined(__AVX512F__)
  // Not _mm512_cvtps_epi32, for which gcc 12 warns of an uninitialised operand (its bug 105593).
  return (Ints)_mm512_maskz_cvtps_epi32(0xffff, (__m512)x);
#elif defined(__AVX2__)
  return (Ints)_mm256_cvtps_epi32((__m256)x);
#elif defined(__SSE2__)
  return (Ints)_mm_cvtps_epi32((__m128)x);
#else
  Ints result;
  for (int lane = 0; lane < kLanes; ++lane) {
    result[lane] = static_cast<std::int32_t>(__builtin_lrintf(x[lane]));
  }
  return result;
#endif
}

template <typename X>
void quantize_rows(const RemaskLaunch& launch, std::int8_t* out, float* scales, const X* in,
                   int rows, int width) {
  constexpr float kLargest = 127.0f;
  constexpr std::int32_t kMagnitude = 0x7fffffff, kInfinity = 0x7f800000;
  constexpr std::int32_t kLeast = 0x0d800000;  // 2^-100: 127 / x is finite above
  parallel_for(launch.threads, rows, std::int64_t{rows} * width, [=](std::int64_t row) {
    const X* from = in + row * width;
    std::int8_t* to = out + row * width;
    Ints most = (Ints)splat(0);
    for (int i = 0; i < width; i += kLanes) {
      const Ints bits = (Ints)load_some(from + i, width - i, 0) & splat_word(kMagnitude);
      most = bits > most ? bits : most;
    }
    std::int32_t largest = 0;
    for (int lane = 0; lane < kLanes; ++lane) largest = most[lane] > largest ? most[lane] : largest;
    float magnitude;
    std::memcpy(&magnitude, &largest, sizeof(magnitude));
    if (largest < kLeast || largest >= kInfinity) {
      scales[row] = largest < kLeast ? 0.0f : __builtin_nanf("");
      std::memset(to, 0, width);
      return;
    }
    scales[row] = magnitude / kLargest;
    const float factor = kLargest / magnitude;
    for (int i = 0; i < width; i += kLanes) {
      const Ints rounded = nearest(load_some(from + i, width - i, 0) * factor);
      const Bytes bytes = __builtin_convertvector(rounded, Bytes);
      std::memcpy(to + i, &bytes, width - i < kLanes ? width - i : kLanes);
    }
  });
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_INT8_H_
