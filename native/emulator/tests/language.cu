// Small kernels, each about one part of the language; emulator_test.cpp says what they must give.
#include <cuda_bf16.h>

// Reverses each block's part of x through shared memory.
extern "C" __global__ void __launch_bounds__(1024) reverse(int* x) {
  __shared__ int tile[1024];
  int* part = x + blockIdx.x * blockDim.x;
  tile[threadIdx.x] = part[threadIdx.x];
  __syncthreads();
  part[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

// The same with the barrier forgotten.
extern "C" __global__ void reverse_without_barrier(int* x) {
  __shared__ int tile[1024];
  tile[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

// Neighbours exchange through shared memory, with the barrier of the warp forgotten.
extern "C" __global__ void exchange_without_syncwarp(int* x) {
  __shared__ int slots[32];
  slots[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = slots[threadIdx.x ^ 1];
}

// A tree in dynamic shared memory: a barrier per level, many barriers a thread.
namespace remask {
namespace {
template <typename T>
__device__ __forceinline__ T tree_sum(T x) {
  extern __shared__ T tree[];
  tree[threadIdx.x] = x;
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) tree[threadIdx.x] += tree[threadIdx.x + half];
  }
  return tree[0];  // of thread 0 only
}
}  // namespace
}  // namespace remask
extern "C" __global__ void sum_in_tree(float* sums, const float* x) {
  float sum = remask::tree_sum(x[blockIdx.x * blockDim.x + threadIdx.x]);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// Each thread's answer of each shuffle, 32 * kShuffles ints a warp.
extern "C" __global__ void shuffles(int* out) {
  const int lane = threadIdx.x % 32;
  int* mine = out + threadIdx.x * 8;
  mine[0] = __shfl_sync(0xffffffffu, lane, 5);
  mine[1] = __shfl_sync(0xffffffffu, lane, lane + 1, 8);
  mine[2] = __shfl_up_sync(0xffffffffu, lane, 3);
  mine[3] = __shfl_down_sync(0xffffffffu, lane, 3);
  mine[4] = __shfl_xor_sync(0xffffffffu, lane, 7);
  mine[5] = __shfl_down_sync(0xffffffffu, lane, 1, 16);
  mine[6] = __shfl_xor_sync(0xffffffffu, lane, 16, 16);
  mine[7] = (int)__shfl_up_sync(0xffffffffu, (double)lane, 1, 4);
}

extern "C" __global__ void votes(unsigned* out) {
  const int lane = threadIdx.x % 32;
  unsigned* mine = out + threadIdx.x * 8;
  mine[0] = __ballot_sync(0xffffffffu, lane % 3 == 0);
  mine[1] = __any_sync(0xffffffffu, lane == 17);
  mine[2] = __all_sync(0xffffffffu, lane < 31);
  mine[3] = __match_any_sync(0xffffffffu, lane / 4);
  int same;
  mine[4] = __match_all_sync(0xffffffffu, 7.0, &same);
  mine[5] = same;
  mine[6] = __match_all_sync(0xffffffffu, lane, &same);
  mine[7] = __syncthreads_count(lane < 5) * 100 + __syncthreads_and(lane >= 0) * 10 +
            __syncthreads_or(threadIdx.x == 40);
}

extern "C" __global__ void reductions(int* out) {
  const int lane = threadIdx.x % 32;
  int* mine = out + threadIdx.x * 8;
  mine[0] = __reduce_add_sync(0xffffffffu, lane - 20);
  mine[1] = __reduce_min_sync(0xffffffffu, lane - 20);
  mine[2] = __reduce_max_sync(0xffffffffu, lane - 20);
  mine[3] = (int)__reduce_min_sync(0xffffffffu, (unsigned)(lane - 20));
  mine[4] = (int)__reduce_max_sync(0xffffffffu, (unsigned)(lane - 20));
  mine[5] = (int)__reduce_and_sync(0xffffffffu, lane | 0x30u);
  mine[6] = (int)__reduce_or_sync(0xffffffffu, 1u << lane);
  mine[7] = (int)__reduce_xor_sync(0xffffffffu, (unsigned)lane + 1);
}

// Lanes of one warp go different ways, and each group has collectives of its own.
extern "C" __global__ void divergence(int* out) {
  const int lane = threadIdx.x;
  int sum = lane;
  if (lane % 2 == 0) {
    for (int offset = 16; offset > 1; offset /= 2) {
      sum += __shfl_xor_sync(0x55555555u, sum, offset);
    }
  } else if (lane % 4 == 1) {
    sum = __popc(__ballot_sync(0x22222222u, lane > 16));
  } else {
    sum = __shfl_sync(0x88888888u, lane, 3);
  }
  __syncwarp();
  out[lane] = sum + 1000 * (int)__reduce_max_sync(0xffffffffu, (unsigned)lane);
}

// Warps that leave early, wholly, do not disturb the collectives of the others.
extern "C" __global__ void some_warps_leave(int* out, int keep) {
  if (threadIdx.x / 32 >= keep) return;
  out[threadIdx.x] = __reduce_add_sync(0xffffffffu, 1);
}

extern "C" __global__ void histogram(unsigned* bins, unsigned long long* total, float* sum,
                                     int* smallest, int* largest, unsigned* flags) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(&bins[i * 7 % 13], 1u);
  atomicAdd(total, (unsigned long long)i);
  atomicAdd(sum, 1.0f);
  atomicMin(smallest, (int)i - 100);
  atomicMax(largest, (int)i);
  atomicOr(flags, 1u << i % 32);
}

// The block that finishes last adds up what the others wrote.
extern "C" __global__ void last_block_sums(int* parts, unsigned* tickets, int* result) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = blockIdx.x + 1;
    __threadfence();
    last = atomicAdd(tickets, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    int sum = 0;
    for (unsigned i = 0; i < gridDim.x; i++) sum += atomicAdd(&parts[i], 0);
    *result = sum;
  }
}

// Threads of one warp take turns at a lock, each spinning until it is free.
extern "C" __global__ void spin_lock(int* lock, int* count) {
  while (atomicCAS(lock, 0, 1) != 0) {
  }
  (*count)++;
  atomicExch(lock, 0);
}

// Shared memory nobody wrote, as floats and as bf16. (A compiler may take an array that no line
// writes for zeros; so there is such a line.)
extern "C" __global__ void unwritten(float* out, bool write) {
  __shared__ float fixed[64];
  __shared__ __nv_bfloat16 small[64];
  if (write) fixed[threadIdx.x] = small[threadIdx.x] = 0.0f;
  extern __shared__ double dynamic[];
  out[threadIdx.x * 3] = fixed[threadIdx.x];
  out[threadIdx.x * 3 + 1] = __bfloat162float(small[threadIdx.x]);
  out[threadIdx.x * 3 + 2] = (float)dynamic[threadIdx.x];
}

// Which thread came first: the scheduler's choice, made visible.
extern "C" __global__ void arrival_order(int* order, int* next) {
  order[blockIdx.x * blockDim.x + atomicAdd(&next[blockIdx.x], 1)] = threadIdx.x;
  __syncthreads();
}

extern "C" __global__ void indices(int* out) {
  const int rank = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  out[block * (blockDim.x * blockDim.y * blockDim.z) + rank] = block * 1000 + rank;
}

struct Shape {
  int rows, columns;
  unsigned long long seed;
};
extern "C" __global__ void parameters(char* out, float x, Shape shape, short last) {
  if (threadIdx.x == 0 && blockIdx.x == 0) {
    out[0] = x == 1.5f && shape.rows == 3 && shape.columns == 4 && shape.seed == 1ull << 40 &&
             last == -2;
  }
}

// bf16 rounding, NaN, infinities and pairs.
extern "C" __global__ void rounds(unsigned short* out, const float* x) {
  out[threadIdx.x] = __bfloat16_as_ushort(__float2bfloat16_rn(x[threadIdx.x]));
}

// Integer intrinsics on one thread.
extern "C" __global__ void intrinsics(unsigned* out) {
  out[0] = __umulhi(0xffffffffu, 0xfffffffeu);
  out[1] = (unsigned)__clz(1);
  out[2] = __brev(0x80000001u);
  out[3] = __byte_perm(0x33221100u, 0x77665544u, 0x7610u);
  out[4] = __funnelshift_l(0x80000000u, 1u, 1);
  out[5] = __float_as_uint(__uint_as_float(0x3f800001u));
  out[6] = (unsigned)__float2int_rn(2.5f);
  out[7] = (unsigned)__float2int_rz(-1e20f);
  out[8] = (unsigned)(__popc(0xf0f0u) + __ffs(8));
  out[9] = (unsigned)min(-3, max(2, 7));
  out[10] = (unsigned)__dp4a((int)0x80ff7f01u, (int)0x7f80027fu, 5);
}

// For the cost of a switch: nothing but barriers.
extern "C" __global__ void only_barriers(int rounds) {
  for (int i = 0; i < rounds; i++) __syncthreads();
}
extern "C" __global__ void only_shuffles(int* out, int rounds) {
  int x = threadIdx.x;
  for (int i = 0; i < rounds; i++) x = __shfl_xor_sync(0xffffffffu, x, 1);
  out[threadIdx.x] = x;
}
extern "C" __global__ void nothing() {}
