// Vector access to global and shared memory: N neighbouring elements of T as one load or store of
// at most 16 bytes, widened to f32 on the way in and rounded to nearest even on the way out.
//
// Who calls these has made sure that the address is aligned for N elements (aligned<N>, and a row
// stride that is a multiple of N); otherwise N = 1 is always right, and still coalesced.
#pragma once

#include <cuda_bf16.h>

namespace remask {

using bf16 = __nv_bfloat16;

constexpr int kVectorBytes = 16;  // the widest load of one thread

// Elements of T in one full-width load: 8 bf16 or 4 f32.
template <typename T>
constexpr int kVectorLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <typename T, int N>
struct alignas(sizeof(T) * N < kVectorBytes ? sizeof(T) * N : kVectorBytes) Lanes {
  T lane[N];
};

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }

template <typename T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float x) {
  return __float2bfloat16(x);
}

template <int N, typename T>
__device__ __forceinline__ bool aligned(const T* address) {
  return reinterpret_cast<unsigned long long>(address) % alignof(Lanes<T, N>) == 0;
}

// The elements as they lie in memory: for loads that are to be on their way before they are used.
template <int N, typename T>
__device__ __forceinline__ Lanes<T, N> fetch(const T* address) {
  return *reinterpret_cast<const Lanes<T, N>*>(address);
}

template <int N, typename T>
__device__ __forceinline__ void widen(float (&out)[N], const Lanes<T, N>& in) {
#pragma unroll
  for (int i = 0; i < N; ++i) out[i] = to_float(in.lane[i]);
}

template <int N, typename T>
__device__ __forceinline__ void load(float (&out)[N], const T* address) {
  widen<N, T>(out, fetch<N>(address));
}

template <int N, typename T>
__device__ __forceinline__ void store(T* address, const float (&in)[N]) {
  Lanes<T, N> out;
#pragma unroll
  for (int i = 0; i < N; ++i) out.lane[i] = from_float<T>(in[i]);
  *reinterpret_cast<Lanes<T, N>*>(address) = out;
}

}  // namespace remask
