// Models of the PTX of sm_90a, as kernels/include/ptx_sm90a.h calls them: what each instruction
// does, and every rule of its use that can be checked. models_hopper_*.cpp say how. Shared
// addresses are those of ptx.h.
#pragma once

#include "cluster.h"
#include "thread.h"

namespace remask::emulator {

// mbarrier
void mbarrier_init(unsigned barrier, unsigned count, const Site& site);
void fence_mbarrier_init(const Site& site);
void mbarrier_arrive(unsigned barrier, const Site& site);
void mbarrier_arrive_cluster(unsigned mapped, const Site& site);
void mbarrier_arrive_expect_tx(unsigned barrier, unsigned bytes, const Site& site);
void mbarrier_wait(unsigned barrier, unsigned parity, const Site& site);
void fence_proxy_async(const Site& site);

// TMA and bulk copies; `map` is a RemaskTensorMap (native/driver/tensor_map.h).
void tma_load(unsigned to, const void* map, const int* at, int rank, unsigned barrier,
              const Site& site);
void tma_load_multicast(unsigned to, const void* map, const int* at, int rank, unsigned barrier,
                        unsigned short cta_mask, const Site& site);
void tma_store(const void* map, const int* at, int rank, unsigned from, const Site& site);
void bulk_load(unsigned to, const void* from, unsigned bytes, unsigned barrier, const Site& site);
void bulk_store(void* to, unsigned from, unsigned bytes, const Site& site);
void bulk_commit(const Site& site);
void bulk_wait(int pending, bool read, const Site& site);
void prefetch_tensor_map(const void* map, const Site& site);

// wgmma m64nNk16, bf16 inputs, f32 accumulators: A through a descriptor, or four registers.
void wgmma_fence(const Site& site);
void wgmma_commit(const Site& site);
void wgmma_wait(int pending, const Site& site);
void wgmma(float* d, int n, bool trans_b, unsigned long long a, unsigned long long b,
           bool accumulate, const Site& site);
void wgmma(float* d, int n, bool trans_b, const unsigned* a, unsigned long long b, bool accumulate,
           const Site& site);

// Warps and grids
void setmaxnreg(int registers, bool increase, const Site& site);
bool elect_one(const Site& site);
void stmatrix_x4(unsigned row, const unsigned* r, bool transposed, const Site& site);
void griddepcontrol_wait(const Site& site);
void griddepcontrol_launch_dependents(const Site& site);

}  // namespace remask::emulator
