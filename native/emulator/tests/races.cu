// Kernels with and without a race; race_test.cpp says which is which.
#include <ptx_sm90a.h>

using namespace remask::ptx;

namespace {

template <bool kBarrier>
__device__ void reverse(int* x) {
  __shared__ int held[128];
  held[threadIdx.x] = x[threadIdx.x];
  if (kBarrier) __syncthreads();
  x[threadIdx.x] = held[127 - threadIdx.x];
}

template <bool kBarrier>
__device__ void stages(int* x, int rounds) {
  __shared__ int held[128];
  for (int i = 0; i < rounds; i++) {
    held[threadIdx.x] = i;
    __syncthreads();
    x[threadIdx.x] += held[127 - threadIdx.x];
    if (kBarrier) __syncthreads();
  }
}

template <bool kWait>
__device__ void copy(int* out, const int* in) {
  __shared__ __align__(16) int held[512];
  cp_async_16(shared_address(&held[threadIdx.x * 4]), in + threadIdx.x * 4, true);
  cp_async_commit();
  if (kWait) cp_async_wait<0>();
  __syncthreads();
  out[threadIdx.x] = held[511 - threadIdx.x * 4];
  if (!kWait) cp_async_wait<0>();
}

template <bool kEmpty>
__device__ void hand_over(int* out, int rounds) {
  __shared__ int slot[32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int i = 0; i < rounds; i++) {
    if (warp == 0) {
      if (kEmpty && i > 0) barrier_sync(2, 64);
      slot[lane] = i;
      barrier_sync(1, 64);
    } else {
      barrier_sync(1, 64);
      out[i * 32 + lane] = slot[31 - lane];
      if (kEmpty && i + 1 < rounds) barrier_arrive(2, 64);
    }
  }
}

__device__ void ticket(unsigned* parts, unsigned* count, unsigned* sum) {
  parts[blockIdx.x] = blockIdx.x + 1;
  if (atomic_add_acq_rel(count, 1) != gridDim.x - 1) return;
  for (unsigned i = 0; i < gridDim.x; i++) *sum += parts[i];
}

template <bool kSync>
__device__ void lanes(int* out) {
  __shared__ int held[32];
  held[threadIdx.x] = threadIdx.x;
  if (kSync) {
    __syncwarp();
  } else {
    out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);  // orders no memory
  }
  out[threadIdx.x] = held[threadIdx.x ^ 1];
}

// One thread has 2 KB copied in, all read them, then it copies them out again from where they lie.
template <bool kWait>
__device__ void bulk(int* out, const int* in) {
  __shared__ __align__(16) int held[512];
  __shared__ unsigned long long ready;
  const SharedAddress barrier = shared_address(&ready), data = shared_address(held);
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    fence_mbarrier_init();
    mbarrier_arrive_expect_tx(barrier, sizeof(held));
    bulk_load(data, in, sizeof(held), barrier);
  }
  __syncthreads();
  if (kWait) mbarrier_wait(barrier, 0);
  const int mine = held[511 - threadIdx.x * 4];
  if (!kWait) mbarrier_wait(barrier, 0);
  __syncthreads();
  if (threadIdx.x == 0) {
    bulk_store(out, data, 2048);
    bulk_commit();
    if (kWait) bulk_wait<0>();
    out[3] = 5;
    if (!kWait) bulk_wait<0>();
  }
  __syncthreads();
  out[threadIdx.x] = mine;
}

// wgmma reads two matrices that its threads have written; one of them may write too early again.
template <bool kWait>
__device__ void matrices(int* out) {
  extern __shared__ __align__(1024) unsigned char smem[];
  int* words = reinterpret_cast<int*>(smem);
  for (int i = threadIdx.x; i < 4096; i += 128) words[i] = 0;
  fence_proxy_async();
  __syncthreads();
  float d[32];
  const SharedAddress at = shared_address(smem);
  wgmma_fence(d);
  wgmma<64>(d, smem_descriptor(at, 16, 1024, Swizzle::k128),
            smem_descriptor(at + 8192, 16, 1024, Swizzle::k128), false);
  wgmma_commit();
  if (kWait) wgmma_wait<0>(d);
  if (kWait) __syncthreads();
  if (threadIdx.x == 77) words[256] = 0;
  if (!kWait) wgmma_wait<0>(d);
  out[threadIdx.x] = int(d[0]);
}

}  // namespace

extern "C" __global__ void right_reverse(int* x, int) { reverse<true>(x); }
extern "C" __global__ void racy_reverse(int* x, int) { reverse<false>(x); }
extern "C" __global__ void right_stages(int* x, int rounds) { stages<true>(x, rounds); }
extern "C" __global__ void racy_stages(int* x, int rounds) { stages<false>(x, rounds); }
extern "C" __global__ void right_copy(int* x, int) { copy<true>(x, x + 128); }
extern "C" __global__ void racy_copy(int* x, int) { copy<false>(x, x + 128); }
extern "C" __global__ void right_bulk(int* x, int) { bulk<true>(x, x + 512); }
extern "C" __global__ void racy_bulk(int* x, int) { bulk<false>(x, x + 512); }
extern "C" __global__ void right_matrices(int* x, int) { matrices<true>(x); }
extern "C" __global__ void racy_matrices(int* x, int) { matrices<false>(x); }
extern "C" __global__ void right_hand_over(int* x, int rounds) { hand_over<true>(x, rounds); }
extern "C" __global__ void racy_hand_over(int* x, int rounds) { hand_over<false>(x, rounds); }
extern "C" __global__ void right_lanes(int* x, int) { lanes<true>(x); }
extern "C" __global__ void racy_lanes(int* x, int) { lanes<false>(x); }
extern "C" __global__ void right_ticket(int* x, int) {
  unsigned* words = reinterpret_cast<unsigned*>(x);
  ticket(words + 2, words, words + 1);
}
