// Probes of the instructions that kernels/*_sm90a.cu use; dev.remask.bundle.Calibration runs them.
#include <cuda_bf16.h>

#include "../include/ptx_sm90a.h"
#include "probe.h"

namespace remask {
namespace {

constexpr int kGroup = 128;
constexpr unsigned kStoreWords = 512;

// Where a probe of wgmma has its operands: 16 KB of A, 64 KB of B, both full of small numbers.
constexpr unsigned kAWords = 4096;
constexpr unsigned kBWords = 16384;

extern __shared__ __align__(1024) unsigned calibrate_sm90a_shared[];

// Probes of copies have their barrier first and the data after it, at 1024 bytes.
constexpr unsigned kDataAt = 256;

// Rounds of one instruction m64nNk16 on the same memory, operands one step of k (32 bytes of a
// K-major row) apart, as kernels walk them.
template <int kN, bool kTransB>
__device__ __forceinline__ void wgmma_from_shared(unsigned* out, unsigned a_leading,
                                                  unsigned a_stride, unsigned b_leading,
                                                  unsigned b_stride, unsigned b_step,
                                                  ptx::Swizzle swizzle, int rounds) {
  unsigned* words = calibrate_sm90a_shared;
  fill(words, kAWords + kBWords, Filling::kPairs, 7);
  ptx::fence_proxy_async();
  __syncthreads();
  const ptx::SharedAddress a = ptx::shared_address(words);
  const ptx::SharedAddress b = ptx::shared_address(words + kAWords);
  for (int round = 0; round < rounds; round++) {
    float d[kN / 2];
    for (int i = 0; i < kN / 2; i++) d[i] = static_cast<float>(i);
    ptx::wgmma_fence(d);
    ptx::wgmma<kN, kTransB>(d, ptx::smem_descriptor(a + round * 32, a_leading, a_stride, swizzle),
                            ptx::smem_descriptor(b + round * b_step, b_leading, b_stride, swizzle),
                            round % 2 == 0);
    ptx::wgmma_commit();
    ptx::wgmma_wait<0>(d);
    for (int i = 0; i < kN / 2; i++) {
      out[(round * kGroup + threadIdx.x) * (kN / 2) + i] = __float_as_uint(d[i]);
    }
  }
}

// out[4][128][kN / 2]: A in registers, B in shared memory, `step` bytes further in each round.
template <int kN, bool kTransB>
__device__ __forceinline__ void wgmma_from_registers(unsigned* out, unsigned leading, int step) {
  unsigned* words = calibrate_sm90a_shared;
  fill(words, kBWords, Filling::kPairs, 11);
  ptx::fence_proxy_async();
  __syncthreads();
  const ptx::SharedAddress b = ptx::shared_address(words);
  for (int round = 0; round < 4; round++) {
    float d[kN / 2];
    unsigned a[4];
    for (int i = 0; i < kN / 2; i++) d[i] = 0;
    for (unsigned i = 0; i < 4; i++) a[i] = small_pair(threadIdx.x * 4 + i, 20 + round);
    ptx::wgmma_fence(d);
    ptx::wgmma<kN, kTransB>(
        d, a, ptx::smem_descriptor(b + round * step, leading, 1024, ptx::Swizzle::k128), false);
    ptx::wgmma_commit();
    ptx::wgmma_wait<0>(d);
    for (int i = 0; i < kN / 2; i++) {
      out[(round * kGroup + threadIdx.x) * (kN / 2) + i] = __float_as_uint(d[i]);
    }
  }
}

template <int kRank>
__device__ __forceinline__ void load_box(unsigned* out, const ptx::TensorMap& map, int at0, int at1,
                                         int at2, int at3, int at4, int bytes) {
  unsigned* words = calibrate_sm90a_shared + kDataAt;
  fill(words, bytes / 4, Filling::kPoison, 0);
  const ptx::SharedAddress barrier = ptx::shared_address(calibrate_sm90a_shared);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(barrier, 1);
    ptx::fence_mbarrier_init();
  }
  ptx::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    const int all[5] = {at0, at1, at2, at3, at4};
    int at[kRank];
    for (int i = 0; i < kRank; i++) at[i] = all[i];
    ptx::mbarrier_arrive_expect_tx(barrier, bytes);
    ptx::tma_load<kRank>(ptx::shared_address(words), map, at, barrier);
  }
  ptx::mbarrier_wait(barrier, 0);
  dump(out, words, bytes / 4);
}

}  // namespace
}  // namespace remask

using namespace remask;

// out[2][512]: shared memory after stmatrix x4 and x4.trans, rows in an order of the lanes' own.
extern "C" __global__ void __launch_bounds__(32) calibrate_stmatrix_sm90a(unsigned* out) {
  unsigned* words = calibrate_sm90a_shared;
  for (int trans = 0; trans < 2; trans++) {
    fill(words, kStoreWords, Filling::kPoison, 0);
    // An odd factor: no two lanes have the same row.
    const ptx::SharedAddress row = ptx::shared_address(words + 4 * (threadIdx.x * 37 % 128));
    unsigned r[4];
    for (unsigned i = 0; i < 4; i++) r[i] = mixed(threadIdx.x * 4 + i, trans);
    if (trans == 0) {
      ptx::stmatrix_x4(row, r);
    } else {
      ptx::stmatrix_x4_trans(row, r);
    }
    dump(out + trans * kStoreWords, words, kStoreWords);
    __syncthreads();
  }
}

// wgmma with both operands in shared memory; out[rounds][128][N / 2] accumulators. Rows of a span
// (K-major): 8 of them are a core matrix, whose successor is `stride` away.
extern "C" __global__ void __launch_bounds__(kGroup) calibrate_wgmma_n64_k128_sm90a(unsigned* out) {
  wgmma_from_shared<64, false>(out, 16, 1024, 16, 1024, 32, ptx::Swizzle::k128, 4);
}
extern "C" __global__ void __launch_bounds__(kGroup) calibrate_wgmma_n64_k64_sm90a(unsigned* out) {
  wgmma_from_shared<64, false>(out, 16, 512, 16, 512, 32, ptx::Swizzle::k64, 2);
}
extern "C" __global__ void __launch_bounds__(kGroup) calibrate_wgmma_n64_k32_sm90a(unsigned* out) {
  wgmma_from_shared<64, false>(out, 16, 256, 16, 256, 32, ptx::Swizzle::k32, 1);
}
// Without a swizzle a core matrix is 8 rows of 16 bytes: leading to the next along k, stride to the
// next along the rows.
extern "C" __global__ void __launch_bounds__(kGroup) calibrate_wgmma_n64_none_sm90a(unsigned* out) {
  wgmma_from_shared<64, false>(out, 128, 256, 128, 256, 32, ptx::Swizzle::kNone, 1);
}
extern "C" __global__ void __launch_bounds__(kGroup) calibrate_wgmma_n128_sm90a(unsigned* out) {
  wgmma_from_shared<128, false>(out, 16, 1024, 16, 1024, 32, ptx::Swizzle::k128, 4);
}
extern "C" __global__ void __launch_bounds__(kGroup) calibrate_wgmma_n256_sm90a(unsigned* out) {
  wgmma_from_shared<256, false>(out, 16, 1024, 16, 1024, 32, ptx::Swizzle::k128, 2);
}
// B MN-major: [k][n] in memory, 64 columns a span; 16 rows of k are 2048 bytes further.
extern "C" __global__ void __launch_bounds__(kGroup)
    calibrate_wgmma_n64_trans_sm90a(unsigned* out) {
  wgmma_from_shared<64, true>(out, 16, 1024, 8192, 1024, 2048, ptx::Swizzle::k128, 4);
}
extern "C" __global__ void __launch_bounds__(kGroup)
    calibrate_wgmma_n128_trans_sm90a(unsigned* out) {
  wgmma_from_shared<128, true>(out, 16, 1024, 8192, 1024, 2048, ptx::Swizzle::k128, 4);
}

extern "C" __global__ void __launch_bounds__(kGroup) calibrate_wgmma_n176_sm90a(unsigned* out) {
  wgmma_from_shared<176, false>(out, 16, 1024, 16, 1024, 32, ptx::Swizzle::k128, 4);
}
extern "C" __global__ void __launch_bounds__(kGroup) calibrate_wgmma_n192_sm90a(unsigned* out) {
  wgmma_from_shared<192, false>(out, 16, 1024, 16, 1024, 32, ptx::Swizzle::k128, 4);
}

// A in registers: K-major B as Q K^T would have it, MN-major as P V has.
extern "C" __global__ void __launch_bounds__(kGroup)
    calibrate_wgmma_registers_sm90a(unsigned* out) {
  wgmma_from_registers<64, false>(out, 16, 32);
}
extern "C" __global__ void __launch_bounds__(kGroup)
    calibrate_wgmma_registers_n64_trans_sm90a(unsigned* out) {
  wgmma_from_registers<64, true>(out, 8192, 2048);
}
extern "C" __global__ void __launch_bounds__(kGroup)
    calibrate_wgmma_registers_n128_trans_sm90a(unsigned* out) {
  wgmma_from_registers<128, true>(out, 8192, 2048);
}

// Boxes: shared memory after one load at the given coordinates, out[bytes / 4].
extern "C" __global__ void __launch_bounds__(32)
    calibrate_load1_sm90a(const __grid_constant__ ptx::TensorMap map, unsigned* out, int at0,
                          int at1, int at2, int at3, int at4, int bytes) {
  load_box<1>(out, map, at0, at1, at2, at3, at4, bytes);
}
extern "C" __global__ void __launch_bounds__(32)
    calibrate_load2_sm90a(const __grid_constant__ ptx::TensorMap map, unsigned* out, int at0,
                          int at1, int at2, int at3, int at4, int bytes) {
  load_box<2>(out, map, at0, at1, at2, at3, at4, bytes);
}
extern "C" __global__ void __launch_bounds__(32)
    calibrate_load3_sm90a(const __grid_constant__ ptx::TensorMap map, unsigned* out, int at0,
                          int at1, int at2, int at3, int at4, int bytes) {
  load_box<3>(out, map, at0, at1, at2, at3, at4, bytes);
}
extern "C" __global__ void __launch_bounds__(32)
    calibrate_load4_sm90a(const __grid_constant__ ptx::TensorMap map, unsigned* out, int at0,
                          int at1, int at2, int at3, int at4, int bytes) {
  load_box<4>(out, map, at0, at1, at2, at3, at4, bytes);
}
extern "C" __global__ void __launch_bounds__(32)
    calibrate_load5_sm90a(const __grid_constant__ ptx::TensorMap map, unsigned* out, int at0,
                          int at1, int at2, int at3, int at4, int bytes) {
  load_box<5>(out, map, at0, at1, at2, at3, at4, bytes);
}

// A box stored from shared memory of index words; what it leaves is read by the host.
extern "C" __global__ void __launch_bounds__(32)
    calibrate_store_sm90a(const __grid_constant__ ptx::TensorMap map, int at0, int at1, int bytes) {
  unsigned* words = calibrate_sm90a_shared;
  fill(words, bytes / 4, Filling::kIndex, 0);
  ptx::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    const int at[2] = {at0, at1};
    ptx::tma_store<2>(map, at, ptx::shared_address(words));
    ptx::bulk_commit();
    ptx::bulk_wait<0>();
  }
}

// A box that the first CTA of a cluster loads for both; out[2][bytes / 4].
extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(32)
    calibrate_multicast_sm90a(const __grid_constant__ ptx::TensorMap map, unsigned* out, int at0,
                              int at1, int bytes) {
  unsigned* words = calibrate_sm90a_shared + kDataAt;
  fill(words, bytes / 4, Filling::kPoison, 0);
  const ptx::SharedAddress barrier = ptx::shared_address(calibrate_sm90a_shared);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(barrier, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(barrier, bytes);
  }
  ptx::fence_proxy_async();
  __syncwarp();
  ptx::cluster_arrive();
  ptx::cluster_wait();
  if (ptx::cluster_rank() == 0 && threadIdx.x == 0) {
    const int at[2] = {at0, at1};
    ptx::tma_load_multicast<2>(ptx::shared_address(words), map, at, barrier, 3);
  }
  __syncwarp();
  ptx::mbarrier_wait(barrier, 0);
  dump(out + ptx::cluster_rank() * (bytes / 4), words, bytes / 4);
  __syncwarp();
  ptx::cluster_arrive();
  ptx::cluster_wait();
}

// in, moved through shared memory by the bulk copies without a tensor map; out[256].
extern "C" __global__ void __launch_bounds__(32)
    calibrate_bulk_sm90a(unsigned* out, const unsigned* in) {
  unsigned* words = calibrate_sm90a_shared + kDataAt;
  fill(words, 256, Filling::kPoison, 0);
  const ptx::SharedAddress barrier = ptx::shared_address(calibrate_sm90a_shared);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(barrier, 1);
    ptx::fence_mbarrier_init();
  }
  ptx::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::mbarrier_arrive_expect_tx(barrier, 512);
    ptx::bulk_load(ptx::shared_address(words + 64), in, 512, barrier);
  }
  ptx::mbarrier_wait(barrier, 0);
  __syncthreads();
  words[threadIdx.x] += 1;  // beside what was loaded
  ptx::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::bulk_store(out, ptx::shared_address(words), 1024);
    ptx::bulk_commit();
    ptx::bulk_wait<0>();
  }
}
