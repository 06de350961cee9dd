// CUDA's arithmetic intrinsics. Approximate ones (__expf) are computed exactly rounded or nearly
// so: the emulator checks logic, not the last bit of the special function unit.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace remask::emulator {

template <class To, class From>
inline To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "bits are kept");
  To to;
  __builtin_memcpy(&to, &from, sizeof(To));
  return to;
}

// Keeps the compiler from contracting a product or sum into an fma: the _rn intrinsics promise so.
inline float rounded(float value) {
#if defined(__x86_64__)
  asm("" : "+x"(value));
#else
  asm("" : "+w"(value));
#endif
  return value;
}

// As the hardware converts: saturating, NaN to 0.
template <class Integer>
inline Integer to_integer(double value) {
  if (value != value) return 0;
  constexpr Integer lowest =
      Integer(-1) < Integer(0) ? Integer(Integer(1) << (sizeof(Integer) * 8 - 1)) : Integer(0);
  constexpr Integer highest = Integer(~lowest);
  if (value <= double(lowest)) return lowest;
  if (value >= double(highest)) return highest;
  return Integer(value);
}

}  // namespace remask::emulator

inline float __int_as_float(int x) { return ::remask::emulator::bit_cast<float>(x); }
inline int __float_as_int(float x) { return ::remask::emulator::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return ::remask::emulator::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return ::remask::emulator::bit_cast<unsigned>(x); }
inline double __longlong_as_double(long long x) { return ::remask::emulator::bit_cast<double>(x); }
inline long long __double_as_longlong(double x) {
  return ::remask::emulator::bit_cast<long long>(x);
}

// glibc declares some of these names for itself, hence macros instead of functions.
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __powf(x, y) powf(x, y)

inline float rsqrtf(float x) { return float(1.0 / ::sqrt(double(x))); }
inline double rsqrt(double x) { return 1.0 / ::sqrt(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __fsqrt_rn(float x) { return ::sqrtf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fadd_rn(float x, float y) { return ::remask::emulator::rounded(x + y); }
inline float __fsub_rn(float x, float y) { return ::remask::emulator::rounded(x - y); }
inline float __fmul_rn(float x, float y) { return ::remask::emulator::rounded(x * y); }
inline float __fmaf_rn(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

inline int __float2int_rn(float x) { return ::remask::emulator::to_integer<int>(::rintf(x)); }
inline int __float2int_rz(float x) { return ::remask::emulator::to_integer<int>(::truncf(x)); }
inline int __float2int_ru(float x) { return ::remask::emulator::to_integer<int>(::ceilf(x)); }
inline int __float2int_rd(float x) { return ::remask::emulator::to_integer<int>(::floorf(x)); }
inline unsigned __float2uint_rn(float x) {
  return ::remask::emulator::to_integer<unsigned>(::rintf(x));
}
inline unsigned __float2uint_rz(float x) {
  return ::remask::emulator::to_integer<unsigned>(::truncf(x));
}
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline float __ull2float_rn(unsigned long long x) { return float(x); }
inline float __double2float_rn(double x) { return float(x); }

inline unsigned __umulhi(unsigned x, unsigned y) {
  return unsigned((unsigned long long)x * y >> 32);
}
inline int __mulhi(int x, int y) { return int((long long)x * y >> 32); }
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  return (unsigned long long)((unsigned __int128)x * y >> 64);
}
// Four products of signed bytes added to a sum, which wraps.
inline int __dp4a(int x, int y, int sum) {
  for (int i = 0; i < 4; i++) {
    const int product =
        int((signed char)(unsigned(x) >> 8 * i)) * int((signed char)(unsigned(y) >> 8 * i));
    sum = int(unsigned(sum) + unsigned(product));
  }
  return sum;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(unsigned(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll((unsigned long long)x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
  x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
  x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
  x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(x);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return unsigned(((unsigned long long)high << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return unsigned(((unsigned long long)high << 32 | low) >> (shift & 31));
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  unsigned long long bytes = (unsigned long long)y << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; i++) {
    unsigned pick = selector >> 4 * i & 0xf;
    unsigned byte = unsigned(bytes >> 8 * (pick & 7) & 0xff);
    if (pick & 8) byte = byte & 0x80 ? 0xff : 0;
    result |= byte << 8 * i;
  }
  return result;
}

#define REMASK_MIN_MAX(result, a, b)                                                       \
  constexpr result min(a x, b y) { return (result)x < (result)y ? (result)x : (result)y; } \
  constexpr result max(a x, b y) { return (result)x < (result)y ? (result)y : (result)x; }
REMASK_MIN_MAX(int, int, int)
REMASK_MIN_MAX(unsigned, unsigned, unsigned)
REMASK_MIN_MAX(unsigned, int, unsigned)
REMASK_MIN_MAX(unsigned, unsigned, int)
REMASK_MIN_MAX(long, long, long)
REMASK_MIN_MAX(unsigned long, unsigned long, unsigned long)
REMASK_MIN_MAX(long long, long long, long long)
REMASK_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
#undef REMASK_MIN_MAX
inline float min(float x, float y) { return ::fminf(x, y); }
inline float max(float x, float y) { return ::fmaxf(x, y); }
inline double min(double x, double y) { return ::fmin(x, y); }
inline double max(double x, double y) { return ::fmax(x, y); }
