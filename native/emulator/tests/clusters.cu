// Clusters of blocks, used rightly and wrongly; cluster_test.cpp says what must come of it.
#include <ptx_sm90a.h>

using namespace remask::ptx;

extern "C" __global__ void __cluster_dims__(2, 2) ranks(unsigned* out) {
  if (threadIdx.x == 0) out[blockIdx.y * gridDim.x + blockIdx.x] = cluster_rank();
}

// Blocks pass a token around by the cluster's barrier, each in a phase of its own.
extern "C" __global__ void __cluster_dims__(4) __launch_bounds__(64)
    take_turns(int* out, int count) {
  for (int i = 0; i < count; i++) {
    if (unsigned(i) % 4 == cluster_rank()) {
      const int before = i == 0 ? 0 : out[i - 1];
      if (threadIdx.x == 0) out[i] = before + 1;
    }
    cluster_arrive();
    cluster_wait();
  }
}

extern "C" __global__ void __cluster_dims__(2) some_exit(int* out) {
  if (threadIdx.x >= 32) return;  // the barrier counts those that have not exited
  cluster_arrive();
  cluster_wait();
  out[blockIdx.x * 32 + threadIdx.x] = 1;
}

extern "C" __global__ void __cluster_dims__(2) arrives_twice_at_cluster() {
  cluster_arrive();
  if (cluster_rank() == 1) cluster_arrive();
  cluster_wait();
}

extern "C" __global__ void __cluster_dims__(2) waits_without_arrival() { cluster_wait(); }

// Block 1 waits for a warp that it does not have, block 0 for block 1.
extern "C" __global__ void __cluster_dims__(2) waits_for_the_other() {
  if (cluster_rank() == 1 && threadIdx.x < 32) barrier_sync(1, 64);
  cluster_arrive();
  cluster_wait();
}

extern "C" __global__ void __cluster_dims__(2) maps_to_nobody(unsigned* out) {
  __shared__ unsigned held[32];
  out[threadIdx.x] = map_to_rank(shared_address(&held[threadIdx.x]), 2);
}

// The blocks see different addresses of the same variable.
extern "C" __global__ void __cluster_dims__(2) maps(unsigned* out) {
  __shared__ unsigned held[32];
  const SharedAddress own = shared_address(&held[threadIdx.x]);
  const unsigned rank = cluster_rank();
  out[blockIdx.x * 32 + threadIdx.x] = map_to_rank(own, rank) == own &&
                                       map_to_rank(own, 1 - rank) == (own ^ 1u << 24) &&
                                       map_to_rank(map_to_rank(own, 1 - rank), rank) == own;
}

extern "C" __global__ void __cluster_dims__(2) reads_the_other_block(unsigned* out) {
  __shared__ __align__(16) unsigned held[128];
  unsigned r[4];
  ldmatrix_x4(r, map_to_rank(shared_address(held) + threadIdx.x * 16, 1 - cluster_rank()));
  out[threadIdx.x] = r[0];
}
