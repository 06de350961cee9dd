// Kernels that break a rule each; emulator_test.cpp says how that must be reported.
#include <cuda_bf16.h>

extern "C" __global__ void barrier_after_exit(int) {
  if (threadIdx.x >= 32) return;
  __syncthreads();
}

extern "C" __global__ void barrier_in_one_branch(int* out) {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
  }
}

extern "C" __global__ void two_barriers_meet(int* out) {
  if (threadIdx.x < 32) {
    out[threadIdx.x] = 1;
    __syncthreads();
  } else {
    out[threadIdx.x] = 2;
    __syncthreads();
  }
}

extern "C" __global__ void mask_names_exited_lane(int* out) {
  if (threadIdx.x == 7) return;
  out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
}

extern "C" __global__ void mask_names_absent_lane(int* out) {
  out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);  // launched with 20 threads
}

extern "C" __global__ void caller_not_in_mask(int* out) {
  out[threadIdx.x] = __any_sync(0x0000ffffu, 1);
}

extern "C" __global__ void masks_differ(int* out) {
  out[threadIdx.x] = __any_sync(threadIdx.x % 31 == 0 ? 0xffffffffu : 0x7fffffffu, 1);
}

extern "C" __global__ void collectives_differ(int* out) {
  out[threadIdx.x] =
      threadIdx.x == 3 ? __any_sync(0xffffffffu, 1) : __reduce_add_sync(0xffffffffu, 1);
}

extern "C" __global__ void waits_for_each_other(int* out) {
  // Lanes 0 and 1 wait for lane 2, which waits for lane 3, which waits at a barrier.
  if (threadIdx.x < 2) out[0] = __any_sync(0x7u, 1);
  if (threadIdx.x == 2) out[1] = __any_sync(0xcu, 1);
  __syncthreads();
}

extern "C" __global__ void writes_past_shared(int past) {
  extern __shared__ int words[];
  words[threadIdx.x] = 1;
  if (threadIdx.x == 0) reinterpret_cast<char*>(words)[blockDim.x * 4 + past] = 1;
}

extern "C" __global__ void traps(int block) {
  if (blockIdx.x == block && threadIdx.x == 33) __trap();
}

extern "C" __global__ void misaligned_load(float* x) {
  x[0] = __ldg(reinterpret_cast<const float4*>(x + 1)).x;
}

extern "C" __global__ void __launch_bounds__(64) at_most_64(int) {}

extern "C" __global__ void sets_condition(unsigned long long handle, unsigned value) {
  if (threadIdx.x == 5) cudaGraphSetConditional(handle, value);
}
