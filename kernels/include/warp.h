// Reductions over the threads of a warp. The exchange is a butterfly, so every lane ends with the
// same bits, and the order of the additions is fixed: results repeat from run to run.
#pragma once

namespace remask {

constexpr int kWarpThreads = 32;
constexpr unsigned kWholeWarp = 0xffffffffu;

// Sum over groups of kLanes neighbouring lanes.
template <int kLanes>
__device__ __forceinline__ float lanes_sum(float x) {
#pragma unroll
  for (int apart = kLanes / 2; apart > 0; apart /= 2) x += __shfl_xor_sync(kWholeWarp, x, apart);
  return x;
}

// Largest over groups of kLanes neighbouring lanes.
template <int kLanes>
__device__ __forceinline__ float lanes_max(float x) {
#pragma unroll
  for (int apart = kLanes / 2; apart > 0; apart /= 2) {
    x = fmaxf(x, __shfl_xor_sync(kWholeWarp, x, apart));
  }
  return x;
}

}  // namespace remask
