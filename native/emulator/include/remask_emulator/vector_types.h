// CUDA's vector types and their make_ functions, with CUDA's alignments.
#pragma once

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define REMASK_VECTOR_TYPES(type, base, align2, align4)                          \
  struct type##1 {                                                               \
    base x;                                                                      \
  };                                                                             \
  struct alignas(align2) type##2 {                                               \
    base x, y;                                                                   \
  };                                                                             \
  struct type##3 {                                                               \
    base x, y, z;                                                                \
  };                                                                             \
  struct alignas(align4) type##4 {                                               \
    base x, y, z, w;                                                             \
  };                                                                             \
  constexpr type##1 make_##type##1(base x) { return {x}; }                       \
  constexpr type##2 make_##type##2(base x, base y) { return {x, y}; }            \
  constexpr type##3 make_##type##3(base x, base y, base z) { return {x, y, z}; } \
  constexpr type##4 make_##type##4(base x, base y, base z, base w) { return {x, y, z, w}; }

REMASK_VECTOR_TYPES(char, signed char, 2, 4)
REMASK_VECTOR_TYPES(uchar, unsigned char, 2, 4)
REMASK_VECTOR_TYPES(short, short, 4, 8)
REMASK_VECTOR_TYPES(ushort, unsigned short, 4, 8)
REMASK_VECTOR_TYPES(int, int, 8, 16)
REMASK_VECTOR_TYPES(uint, unsigned, 8, 16)
REMASK_VECTOR_TYPES(longlong, long long, 16, 16)
REMASK_VECTOR_TYPES(ulonglong, unsigned long long, 16, 16)
REMASK_VECTOR_TYPES(float, float, 8, 16)
REMASK_VECTOR_TYPES(double, double, 16, 16)
#undef REMASK_VECTOR_TYPES
