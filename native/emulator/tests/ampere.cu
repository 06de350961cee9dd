// Instructions of sm_80 and clusters, used rightly; ampere_test.cpp knows what they compute.
#include <ptx.h>

using namespace remask::ptx;

namespace {

constexpr int kStages = 3;

// One 16x16 step of a and one 16x8 of b per warp, from row-major shared memory.
template <bool kTransB>
__device__ void multiply(float (&d)[1][2][4], SharedAddress a, SharedAddress b) {
  const unsigned lane = threadIdx.x % 32;
  unsigned ra[1][4], rb[4];
  ldmatrix_x4(ra[0], a + (lane % 16) * 32 + lane / 16 * 16);
  if (kTransB) {  // b is [k][n], 16 x 16
    ldmatrix_x4_trans(rb, b + (lane % 16) * 32 + lane / 16 * 16);
  } else {  // b is [n][k]
    ldmatrix_x4(rb, b + (lane % 8 + lane / 16 * 8) * 32 + lane / 8 % 2 * 16);
  }
  const unsigned fragments[2][2] = {{rb[0], rb[1]}, {rb[2], rb[3]}};
  mma_m16n8k16_tile(d, ra, fragments);
}

template <bool kTransB>
__device__ void product(float* out, const unsigned short* a, const unsigned short* b, int steps) {
  __shared__ __align__(16) unsigned short tile_a[kStages][256], tile_b[kStages][256];
  const int t = threadIdx.x;
  auto fetch = [&](int step) {
    if (step < steps) {
      cp_async_16(shared_address(&tile_a[step % kStages][t * 8]), a + step * 256 + t * 8, true);
      cp_async_16(shared_address(&tile_b[step % kStages][t * 8]), b + step * 256 + t * 8, true,
                  evict_first_policy());
    }
    cp_async_commit();
  };
  float d[1][2][4] = {};
  for (int step = 0; step < kStages - 1; step++) fetch(step);
  for (int step = 0; step < steps; step++) {
    cp_async_wait<kStages - 2>();
    __syncthreads();
    multiply<kTransB>(d, shared_address(tile_a[step % kStages]),
                      shared_address(tile_b[step % kStages]));
    fetch(step + kStages - 1);
  }
  for (int j = 0; j < 2; j++) {
    for (int i = 0; i < 4; i++) {
      out[(t / 4 + i / 2 * 8) * 16 + j * 8 + t % 4 * 2 + i % 2] = d[0][j][i];
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(32)
    product_nk(float* out, const unsigned short* a, const unsigned short* b, int steps) {
  product<false>(out, a, b, steps);
}

extern "C" __global__ void __launch_bounds__(32)
    product_kn(float* out, const unsigned short* a, const unsigned short* b, int steps) {
  product<true>(out, a, b, steps);
}

// The scalar mma and the x2 loads: one step, 16 x 8.
extern "C" __global__ void __launch_bounds__(32)
    single_mma(float* out, const unsigned short* a, const unsigned short* b) {
  __shared__ __align__(16) unsigned short tile_a[256], tile_b[128];
  const unsigned t = threadIdx.x;
  for (int i = 0; i < 8; i++) tile_a[t * 8 + i] = a[t * 8 + i];
  for (int i = 0; i < 4; i++) tile_b[t * 4 + i] = b[t * 4 + i];
  __syncwarp();
  unsigned ra[4], rb[2], rt[2];
  ldmatrix_x4(ra, shared_address(tile_a) + (t % 16) * 32 + t / 16 * 16);
  ldmatrix_x2(rb, shared_address(tile_b) + (t % 8) * 32 + t / 8 % 2 * 16);
  ldmatrix_x2_trans(rt, shared_address(tile_a) + (t % 16) * 32);
  float d[4] = {};
  mma_m16n8k16(d, ra, rb[0], rb[1]);
  mma_m16n8k16(d, ra, rt[0], rt[1]);  // plus a times its own first 8 columns
  for (int i = 0; i < 4; i++) out[(t / 4 + i / 2 * 8) * 8 + t % 4 * 2 + i % 2] = d[i];
}

// Rows beyond `valid` are filled with zeros and never looked at.
extern "C" __global__ void __launch_bounds__(64) zero_fill(int4* out, const int4* in, int valid) {
  __shared__ int4 tile[64];
  const int t = threadIdx.x;
  cp_async_16(shared_address(&tile[t]), t < valid ? in + t : nullptr, t < valid);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  out[t] = tile[63 - t];
}

// Warp 0 produces, warps 1 and 2 consume, over two slots and named barriers alone.
extern "C" __global__ void __launch_bounds__(96) hand_over(int* out, int rounds) {
  __shared__ int slot[2][32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int i = 0; i < rounds; i++) {
    const int full = 1 + i % 2, empty = 3 + i % 2;
    if (warp == 0) {
      if (i >= 2) barrier_sync(empty, 96);
      slot[i % 2][lane] = i * 100 + lane;
      barrier_arrive(full, 96);
    } else {
      barrier_sync(full, 96);
      out[(i * 2 + warp - 1) * 32 + lane] = slot[i % 2][31 - lane];
      if (i + 2 < rounds) barrier_arrive(empty, 96);
    }
  }
}

extern "C" __global__ void __launch_bounds__(128)
    last_one_sums(unsigned* parts, unsigned* ticket, unsigned* sum) {
  __shared__ bool last;
  parts[blockIdx.x * blockDim.x + threadIdx.x] = blockIdx.x + 1;
  __syncthreads();
  if (threadIdx.x == 0) last = atomic_add_acq_rel(ticket, 1) == gridDim.x - 1;
  __syncthreads();
  if (!last) return;
  atomicAdd(sum, parts[threadIdx.x]);
  for (unsigned block = 1; block < gridDim.x; block++) {
    atomicAdd(sum, parts[block * blockDim.x + threadIdx.x]);
  }
}

// A warp's loads of 4 bytes, `stride` words apart; four rows of 8 for ldmatrix, row_bytes apart; a
// copy of 16 bytes to where lane * copy_stride * 16 is.
extern "C" __global__ void __launch_bounds__(32)
    strides(float* out, const float* in, int stride, int row_bytes, int copy_stride) {
  extern __shared__ __align__(1024) float strided[];  // 16 KB
  const int t = threadIdx.x;
  out[t] = strided[t * stride];
  unsigned r[4];
  ldmatrix_x4(r, shared_address(strided) + t * row_bytes);
  out[t] += __uint_as_float(r[0]);
  cp_async_16(shared_address(strided) + t * copy_stride * 16, in + t * 4, true);
  cp_async_commit();
  cp_async_wait<0>();
}
