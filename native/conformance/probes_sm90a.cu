// One kernel per wrapper of ptx_sm90a.h: see probes_sm80.cu.
#include "../../kernels/include/ptx_sm90a.h"

using namespace remask::ptx;

template <int kCount>
struct Floats {
  float lane[kCount];
};
struct Words {
  unsigned lane[4];
};
struct Place {
  int at[5];
};

// A wgmma of width n; the accumulators are the first parameter behind the output.
#define PROBE_WGMMA(n)                                                                          \
  __global__ void probe_wgmma__ss##n(Floats<n / 2>* out, Floats<n / 2> d, unsigned long long a, \
                                     unsigned long long b) {                                    \
    wgmma<n>(d.lane, a, b, true);                                                               \
    *out = d;                                                                                   \
  }                                                                                             \
  __global__ void probe_wgmma__ss##n##_trans(Floats<n / 2>* out, Floats<n / 2> d,               \
                                             unsigned long long a, unsigned long long b) {      \
    wgmma<n, true>(d.lane, a, b, true);                                                         \
    *out = d;                                                                                   \
  }                                                                                             \
  __global__ void probe_wgmma__rs##n(Floats<n / 2>* out, Floats<n / 2> d, Words a,              \
                                     unsigned long long b) {                                    \
    wgmma<n>(d.lane, a.lane, b, true);                                                          \
    *out = d;                                                                                   \
  }                                                                                             \
  __global__ void probe_wgmma__rs##n##_trans(Floats<n / 2>* out, Floats<n / 2> d, Words a,      \
                                             unsigned long long b) {                            \
    wgmma<n, true>(d.lane, a.lane, b, true);                                                    \
    *out = d;                                                                                   \
  }

// TMA of a rank: the box's place comes as five integers.
#define PROBE_TMA(rank)                                                                          \
  __global__ void probe_tma_load__##rank##d(unsigned to, const __grid_constant__ TensorMap map,  \
                                            Place place, unsigned barrier) {                     \
    int at[rank];                                                                                \
    for (int i = 0; i < rank; ++i) at[i] = place.at[i];                                          \
    tma_load<rank>(to, map, at, barrier);                                                        \
  }                                                                                              \
  __global__ void probe_tma_load__##rank##d_policy(                                              \
      unsigned to, const __grid_constant__ TensorMap map, Place place, unsigned barrier,         \
      CachePolicy policy) {                                                                      \
    int at[rank];                                                                                \
    for (int i = 0; i < rank; ++i) at[i] = place.at[i];                                          \
    tma_load<rank>(to, map, at, barrier, policy);                                                \
  }                                                                                              \
  __global__ void probe_tma_load_multicast__##rank##d(                                           \
      unsigned to, const __grid_constant__ TensorMap map, Place place, unsigned barrier,         \
      unsigned short cta_mask) {                                                                 \
    int at[rank];                                                                                \
    for (int i = 0; i < rank; ++i) at[i] = place.at[i];                                          \
    tma_load_multicast<rank>(to, map, at, barrier, cta_mask);                                    \
  }                                                                                              \
  __global__ void probe_tma_store__##rank##d(const __grid_constant__ TensorMap map, Place place, \
                                             unsigned from) {                                    \
    int at[rank];                                                                                \
    for (int i = 0; i < rank; ++i) at[i] = place.at[i];                                          \
    tma_store<rank>(map, at, from);                                                              \
  }

extern "C" {

__global__ void probe_mbarrier_init(unsigned barrier, unsigned count) {
  mbarrier_init(barrier, count);
}

__global__ void probe_fence_mbarrier_init() { fence_mbarrier_init(); }

__global__ void probe_mbarrier_arrive(unsigned barrier) { mbarrier_arrive(barrier); }

__global__ void probe_mbarrier_arrive_cluster(unsigned mapped) { mbarrier_arrive_cluster(mapped); }

__global__ void probe_mbarrier_arrive_expect_tx(unsigned barrier, unsigned bytes) {
  mbarrier_arrive_expect_tx(barrier, bytes);
}

__global__ void probe_mbarrier_wait(unsigned barrier, unsigned parity) {
  mbarrier_wait(barrier, parity);
}

__global__ void probe_fence_proxy_async() { fence_proxy_async(); }

PROBE_TMA(1)
PROBE_TMA(2)
PROBE_TMA(3)
PROBE_TMA(4)
PROBE_TMA(5)

__global__ void probe_bulk_load(unsigned to, const void* from, unsigned bytes, unsigned barrier) {
  bulk_load(to, from, bytes, barrier);
}

__global__ void probe_bulk_store(void* to, unsigned from, unsigned bytes) {
  bulk_store(to, from, bytes);
}

__global__ void probe_bulk_commit() { bulk_commit(); }

__global__ void probe_bulk_wait() { bulk_wait<3>(); }

__global__ void probe_bulk_wait_read() { bulk_wait_read<1>(); }

__global__ void probe_prefetch_tensor_map(const __grid_constant__ TensorMap map) {
  prefetch_tensor_map(map);
}

__global__ void probe_wgmma_fence() { wgmma_fence(); }

__global__ void probe_wgmma_commit() { wgmma_commit(); }

__global__ void probe_wgmma_wait() { wgmma_wait<2>(); }

PROBE_WGMMA(64)
PROBE_WGMMA(96)
PROBE_WGMMA(128)
PROBE_WGMMA(176)
PROBE_WGMMA(192)
PROBE_WGMMA(256)

__global__ void probe_setmaxnreg_inc() { setmaxnreg_inc<240>(); }

__global__ void probe_setmaxnreg_dec() { setmaxnreg_dec<24>(); }

__global__ void probe_elect_one(int* out) { *out = elect_one(); }

__global__ void probe_cluster_rank(unsigned* out) { *out = cluster_rank(); }

__global__ void probe_cluster_arrive() { cluster_arrive(); }

__global__ void probe_cluster_wait() { cluster_wait(); }

__global__ void probe_map_to_rank(unsigned* out, unsigned at, unsigned rank) {
  *out = map_to_rank(at, rank);
}

__global__ void probe_stmatrix_x4(unsigned row, Words r) { stmatrix_x4(row, r.lane); }

__global__ void probe_stmatrix_x4_trans(unsigned row, Words r) { stmatrix_x4_trans(row, r.lane); }

__global__ void probe_griddepcontrol_wait() { griddepcontrol_wait(); }

__global__ void probe_griddepcontrol_launch_dependents() { griddepcontrol_launch_dependents(); }

}  // extern "C"
