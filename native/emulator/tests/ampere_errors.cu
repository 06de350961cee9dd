// Kernels that break a rule of sm_80's instructions each; ampere_test.cpp says how that must be
// reported or seen.
#include <ptx.h>

using namespace remask::ptx;

extern "C" __global__ void lanes_at_different_mma(float* out) {
  float d[4] = {};
  const unsigned a[4] = {};
  if (threadIdx.x < 16) {
    mma_m16n8k16(d, a, 0, 0);
  } else {
    mma_m16n8k16(d, a, 0, 0);
  }
  out[threadIdx.x] = d[0];
}

extern "C" __global__ void half_a_warp_loads(unsigned* out) {
  __shared__ __align__(16) unsigned tile[128];
  unsigned r[4];
  if (threadIdx.x < 16) ldmatrix_x4(r, shared_address(tile) + threadIdx.x * 16);
  out[threadIdx.x] = tile[0];
}

extern "C" __global__ void misaligned_row(unsigned* out) {
  __shared__ __align__(16) unsigned tile[256];
  unsigned r[4];
  ldmatrix_x4(r, shared_address(tile) + threadIdx.x * 16 + (threadIdx.x == 5 ? 8 : 0));
  out[threadIdx.x] = r[0];
}

extern "C" __global__ void row_outside(unsigned* out) {
  extern __shared__ __align__(16) unsigned dynamic_tile[];
  unsigned r[4];
  ldmatrix_x4(r, shared_address(dynamic_tile) + threadIdx.x * 16);  // launched with 256 bytes
  out[threadIdx.x] = r[0];
}

extern "C" __global__ void misaligned_copy(const char* in) {
  __shared__ __align__(16) char tile[1024];
  cp_async_16(shared_address(tile) + threadIdx.x * 16, in + threadIdx.x * 16 + 4, true);
  cp_async_commit();
  cp_async_wait<0>();
}

// kPending is one too large: the last stage may still be on its way.
extern "C" __global__ void waits_for_too_little(float* out, const float* in) {
  __shared__ __align__(16) float tile[2][128];
  for (int stage = 0; stage < 2; stage++) {
    cp_async_16(shared_address(&tile[stage][threadIdx.x * 4]), in + stage * 128 + threadIdx.x * 4,
                true);
    cp_async_commit();
  }
  cp_async_wait<1>();
  __syncthreads();
  for (int i = 0; i < 4; i++) out[threadIdx.x * 4 + i] = tile[1][threadIdx.x * 4 + i];
}

// Nobody told the others that the wait is over.
extern "C" __global__ void reads_without_barrier(float* out, const float* in) {
  __shared__ __align__(16) float tile[256];
  cp_async_16(shared_address(&tile[threadIdx.x * 4]), in + threadIdx.x * 4, true);
  cp_async_commit();
  if (threadIdx.x >= 32) __syncwarp();
  cp_async_wait<0>();
  for (int i = 0; i < 4; i++) out[threadIdx.x * 4 + i] = tile[255 - threadIdx.x * 4 - i];
}

// The source is written while the copy may be under way.
extern "C" __global__ void source_changes(float* out, float* in) {
  __shared__ __align__(16) float tile[128];
  cp_async_16(shared_address(&tile[threadIdx.x * 4]), in + threadIdx.x * 4, true);
  cp_async_commit();
  in[threadIdx.x * 4] = -1;
  cp_async_wait<0>();
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x * 4];
}

extern "C" __global__ void no_such_barrier() { barrier_sync(16, 32); }

extern "C" __global__ void barrier_of_33() { barrier_sync(1, 33); }

extern "C" __global__ void counts_differ() { barrier_sync(1, threadIdx.x < 32 ? 64 : 32); }

extern "C" __global__ void arrives_twice() {
  if (threadIdx.x < 32) {
    barrier_arrive(2, 64);
    barrier_arrive(2, 64);
  } else {
    barrier_sync(2, 64);
  }
}

extern "C" __global__ void half_warps_arrive() {
  if (threadIdx.x % 32 < 16) barrier_sync(3, 32);
}

extern "C" __global__ void warp_splits_at_barrier() {
  if (threadIdx.x % 2 == 0) {
    barrier_sync(4, 64);
  } else {
    barrier_sync(4, 64);
  }
}

extern "C" __global__ void one_warp_is_missing() {
  if (threadIdx.x < 64) barrier_sync(5, 96);
}

// --- accesses -----------------------------------------------------------------------------------

extern "C" __global__ void reads_past_the_end(float* out, const float* in, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i < n ? i : 0] = in[i];
}

extern "C" __global__ void writes_before_the_begin(float* out) { out[int(threadIdx.x) - 3] = 1.0f; }

extern "C" __global__ void follows_nothing(float* out, float* const* table) {
  out[threadIdx.x] = *table[threadIdx.x];
}

extern "C" __global__ void copies_past_the_end(const char* in) {
  __shared__ __align__(16) char stage[1024];
  cp_async_16(shared_address(stage) + threadIdx.x * 16, in + threadIdx.x * 16, true);
  cp_async_commit();
  cp_async_wait<0>();
}

extern "C" __global__ void leaves_dynamic_shared(float* out, int at) {
  extern __shared__ float dynamic_floats[];
  out[threadIdx.x] = dynamic_floats[threadIdx.x + at];
}

extern "C" __global__ void leaves_static_shared(float* out, int at) {
  __shared__ float first[33], second[40];
  first[threadIdx.x] = second[threadIdx.x] = 1;
  __syncwarp();
  out[threadIdx.x] = second[threadIdx.x + at] + first[threadIdx.x + at];
}
