// The emulator's own bfloat16: names, conversions and rounding of CUDA's header of this name.
// Arithmetic is done in f32 and rounded once to nearest even, as the hardware does.
#pragma once

#include "cuda_runtime.h"

struct __nv_bfloat16_raw {
  unsigned short x;
};

struct alignas(2) __nv_bfloat16 {
  unsigned short bits;

  __nv_bfloat16() = default;
  __nv_bfloat16(float value) : bits(from_float(value)) {}
  __nv_bfloat16(double value) : bits(from_float(float(value))) {}
  __nv_bfloat16(int value) : bits(from_float(float(value))) {}
  __nv_bfloat16(unsigned value) : bits(from_float(float(value))) {}
  __nv_bfloat16(__nv_bfloat16_raw raw) : bits(raw.x) {}
  operator float() const { return __uint_as_float(unsigned(bits) << 16); }
  operator __nv_bfloat16_raw() const { return {bits}; }

  __nv_bfloat16& operator+=(__nv_bfloat16 y) { return *this = float(*this) + float(y); }
  __nv_bfloat16& operator-=(__nv_bfloat16 y) { return *this = float(*this) - float(y); }
  __nv_bfloat16& operator*=(__nv_bfloat16 y) { return *this = float(*this) * float(y); }
  __nv_bfloat16& operator/=(__nv_bfloat16 y) { return *this = float(*this) / float(y); }

  // Nearest even; any NaN becomes the canonical 0x7fff, as cvt.rn.bf16.f32 gives.
  static unsigned short from_float(float value) {
    unsigned word = __float_as_uint(value);
    if ((word & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (unsigned short)((word + 0x7fffu + (word >> 16 & 1u)) >> 16);
  }
};

struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
  __nv_bfloat162() = default;
  __nv_bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) : x(x), y(y) {}
};

using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

inline __nv_bfloat16 operator+(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) + float(y); }
inline __nv_bfloat16 operator-(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) - float(y); }
inline __nv_bfloat16 operator*(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) * float(y); }
inline __nv_bfloat16 operator/(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) / float(y); }
inline __nv_bfloat16 operator-(__nv_bfloat16 x) { return -float(x); }
inline bool operator==(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) == float(y); }
inline bool operator!=(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) != float(y); }
inline bool operator<(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) < float(y); }
inline bool operator>(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) > float(y); }
inline bool operator<=(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) <= float(y); }
inline bool operator>=(__nv_bfloat16 x, __nv_bfloat16 y) { return float(x) >= float(y); }

inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }
inline __nv_bfloat16 __double2bfloat16(double x) { return x; }
inline float __bfloat162float(__nv_bfloat16 x) { return x; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline short __bfloat16_as_short(__nv_bfloat16 x) { return short(x.bits); }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short x) { return __nv_bfloat16_raw{x}; }
inline __nv_bfloat16 __short_as_bfloat16(short x) { return __nv_bfloat16_raw{(unsigned short)x}; }
inline __nv_bfloat162 __float2bfloat162_rn(float x) { return {x, x}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {x, y}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 v) { return {v.x, v.y}; }
inline float2 __bfloat1622float2(__nv_bfloat162 v) { return {float(v.x), float(v.y)}; }
inline __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 x) { return {x, x}; }
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline __nv_bfloat162 make_bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline float __low2float(__nv_bfloat162 v) { return v.x; }
inline float __high2float(__nv_bfloat162 v) { return v.y; }
inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 v) { return v.x; }
inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 v) { return v.y; }

inline __nv_bfloat16 __hadd(__nv_bfloat16 x, __nv_bfloat16 y) { return x + y; }
inline __nv_bfloat16 __hsub(__nv_bfloat16 x, __nv_bfloat16 y) { return x - y; }
inline __nv_bfloat16 __hmul(__nv_bfloat16 x, __nv_bfloat16 y) { return x * y; }
inline __nv_bfloat16 __hdiv(__nv_bfloat16 x, __nv_bfloat16 y) { return x / y; }
inline __nv_bfloat16 __hneg(__nv_bfloat16 x) { return -x; }
inline __nv_bfloat16 __hfma(__nv_bfloat16 x, __nv_bfloat16 y, __nv_bfloat16 z) {
  return __builtin_fmaf(x, y, z);
}
inline __nv_bfloat16 __hmax(__nv_bfloat16 x, __nv_bfloat16 y) { return ::fmaxf(x, y); }
inline __nv_bfloat16 __hmin(__nv_bfloat16 x, __nv_bfloat16 y) { return ::fminf(x, y); }
inline bool __hisnan(__nv_bfloat16 x) { return (x.bits & 0x7fff) > 0x7f80; }
inline __nv_bfloat162 __hadd2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x + b.x, a.y + b.y}; }
inline __nv_bfloat162 __hmul2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x * b.x, a.y * b.y}; }
inline __nv_bfloat162 __hfma2(__nv_bfloat162 a, __nv_bfloat162 b, __nv_bfloat162 c) {
  return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
