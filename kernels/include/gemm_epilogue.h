// What the sm_80 GEMMs do with their sums: which row of w a column of a tile stands for, and where
// the column's sums go.
//
// kPairs = false: column c of the result is row c of w; put() gets N neighbouring columns.
// kPairs = true: two rows of w belong together (gate and up; the two elements that RoPE turns).
// Columns 16b to 16b + 7 of a tile are the first rows of 8 pairs, 16b + 8 to 16b + 15 the second
// ones, so that both sums of a pair end in one thread; w stays as it is. put() gets N neighbouring
// pairs.
//
// Expressions that a compiler might contract in two ways say fmaf: a row's bits must not depend on
// the kernel that holds it.
#pragma once

#include "lanes.h"

namespace remask {

// out[m,n] = sums, rounded to Y.
template <typename Y>
struct StoreSums {
  static constexpr bool kPairs = false;
  Y* out;
  int n;

  __device__ __forceinline__ int count() const { return n; }
  __device__ __forceinline__ int weight_row(int column) const { return column; }
  __device__ __forceinline__ bool vectors() const { return aligned<2>(out) && n % 2 == 0; }
  template <int N>
  __device__ __forceinline__ void put(int row, int column, const float (&x)[N]) const {
    store<N>(out + static_cast<size_t>(row) * n + column, x);
  }
};

// residual[m,n] += sums: the residual stream is f32, and the sums are not rounded on their way.
struct AddToResidual {
  static constexpr bool kPairs = false;
  float* residual;
  int n;

  __device__ __forceinline__ int count() const { return n; }
  __device__ __forceinline__ int weight_row(int column) const { return column; }
  __device__ __forceinline__ bool vectors() const { return aligned<2>(residual) && n % 2 == 0; }
  template <int N>
  __device__ __forceinline__ void put(int row, int column, const float (&x)[N]) const {
    float* target = residual + static_cast<size_t>(row) * n + column;
    float y[N];
    load<N>(y, target);
#pragma unroll
    for (int e = 0; e < N; ++e) y[e] += x[e];
    store<N>(target, y);
  }
};

// out[m,width] = silu(gate) * up; rows 0 to width - 1 of w are gates, the next `width` ups.
struct GateSums {
  static constexpr bool kPairs = true;
  bf16* out;
  int width;

  __device__ __forceinline__ int count() const { return width; }
  __device__ __forceinline__ int weight_row(int pair, bool second) const {
    return second ? pair + width : pair;
  }
  __device__ __forceinline__ bool vectors() const { return aligned<2>(out) && width % 2 == 0; }
  template <int N>
  __device__ __forceinline__ void put(int row, int pair, const float (&gate)[N],
                                      const float (&up)[N]) const {
    float y[N];
#pragma unroll
    for (int e = 0; e < N; ++e) y[e] = gate[e] / (1.0f + expf(-gate[e])) * up[e];
    store<N>(out + static_cast<size_t>(row) * width + pair, y);
  }
};

// Splits QKV rows into q, k and v, and turns the heads of q and k: element i of a head's first half
// with element i of its second, by the angle of (position, i). Rows of q are q_stride apart, rows
// of k and v kv_stride; row r of k and v goes to row kv_rows[r] (r where kv_rows is null): a cache.
struct RotateSums {
  static constexpr bool kPairs = true;
  bf16* q;
  bf16* k;
  bf16* v;
  const float* cos_sin;  // f32[P, head_dim / 2, 2]
  const int* positions;
  const int* kv_rows;
  int heads;
  int kv_heads;
  int head_dim;
  int q_stride;
  int kv_stride;

  __device__ __forceinline__ int count() const { return (heads + 2 * kv_heads) * (head_dim / 2); }
  __device__ __forceinline__ int weight_row(int pair, bool second) const {
    const int half = head_dim / 2;
    return pair / half * head_dim + pair % half + (second ? half : 0);
  }
  __device__ __forceinline__ bool vectors() const {
    return head_dim % 4 == 0 && aligned<4>(cos_sin) && aligned<2>(q) && aligned<2>(k) &&
           aligned<2>(v) && q_stride % 2 == 0 && kv_stride % 2 == 0;
  }
  template <int N>
  __device__ __forceinline__ void put(int row, int pair, const float (&a)[N],
                                      const float (&b)[N]) const {
    const int half = head_dim / 2;
    const int i = pair % half;
    int head = pair / half;
    bf16* target = q + static_cast<size_t>(row) * q_stride;
    const bool turns = head < heads + kv_heads;
    if (head >= heads) {
      const int kv_row = kv_rows == nullptr ? row : kv_rows[row];
      target = (turns ? k : v) + static_cast<size_t>(kv_row) * kv_stride;
      head -= turns ? heads : heads + kv_heads;
    }
    target += head * head_dim + i;
    if (!turns) {
      store<N>(target, a);
      store<N>(target + half, b);
      return;
    }
    float turn[2 * N], first[N], second[N];
    load<2 * N>(turn, cos_sin + static_cast<size_t>(positions[row]) * head_dim + 2 * i);
#pragma unroll
    for (int e = 0; e < N; ++e) {
      const float cosine = turn[2 * e];
      const float sine = turn[2 * e + 1];
      first[e] = fmaf(a[e], cosine, -(b[e] * sine));
      second[e] = fmaf(b[e], cosine, a[e] * sine);
    }
    store<N>(target, first);
    store<N>(target + half, second);
  }
};

}  // namespace remask
