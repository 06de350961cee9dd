// Instructions of sm_90a, used rightly; hopper_test.cpp knows what they compute. `mistake` 0 is the
// right kernel, other values leave something out or get it wrong: see Mistake.
#include <cuda_bf16.h>
#include <ptx_sm90a.h>

#include "hopper_mistakes.h"

using namespace remask::ptx;

namespace {

constexpr int kM = 64;
constexpr int kStages = 2;
constexpr int kProducer = 128;  // the thread that issues loads

struct Gemm {
  int span;   // of the swizzle in bytes; 0: none
  int steps;  // stages' worth of K
  int lda;    // elements, for A from registers
  int mistake;
};

__device__ Swizzle swizzle_of(int span) {
  return span == 128  ? Swizzle::k128
         : span == 64 ? Swizzle::k64
         : span == 32 ? Swizzle::k32
                      : Swizzle::kNone;
}

// One 64 x kN tile of C = A·B for a block of 128 consumers and a producer warp: C f32 [M][N],
// A bf16 [M][K]; B bf16 [N][K], or with kTransB [K][N].
template <int kN, bool kTransB, bool kRegisters>
__device__ void gemm(const TensorMap& map_a, const TensorMap& map_b, const TensorMap& map_c,
                     const unsigned short* a, const Gemm& it) {
  extern __shared__ __align__(1024) unsigned char smem[];
  __shared__ unsigned long long full[kStages], empty[kStages];
  const SharedAddress base = shared_address(smem);
  const SharedAddress full_at = shared_address(full), empty_at = shared_address(empty);
  const int span = it.span, mistake = it.mistake;
  const int stage_k = span == 0 ? 16 : span / 2;
  const int inner = span == 0 ? 8 : span / 2;  // elements of a box's rows
  const unsigned a_bytes = kM * stage_k * 2, b_bytes = kN * stage_k * 2;
  const unsigned stage_bytes = a_bytes + b_bytes;
  const SharedAddress staging = base + kStages * stage_bytes;
  const int row = blockIdx.y * kM, column = blockIdx.x * kN;

  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; s++) {
      mbarrier_init(full_at + 8 * s, 1);
      mbarrier_init(empty_at + 8 * s, 4);
    }
    if (mistake != kNoInitFence) fence_mbarrier_init();
  }
  __syncthreads();

  if (threadIdx.x >= kProducer) {
    if (threadIdx.x > kProducer) return;
    for (int j = 0; j < it.steps; j++) {
      const int s = j % kStages;
      mbarrier_wait(empty_at + 8 * s, (j / kStages & 1) ^ 1);
      const SharedAddress stage = base + s * stage_bytes, barrier = full_at + 8 * s;
      unsigned bytes = (kRegisters ? 0 : a_bytes) + b_bytes;
      if (mistake == kExpectsTooFew) bytes -= b_bytes / 2;
      if (mistake == kExpectsTooMany) bytes += 16;
      mbarrier_arrive_expect_tx(barrier, bytes);
      if (!kRegisters) {
        for (int k = 0; k < stage_k; k += inner) {
          const unsigned off = mistake == kMisalignedBox ? 64 : 0;
          tma_load(stage + k / inner * (kM * 16) + off, map_a, {j * stage_k + k, row}, barrier);
        }
      }
      if (kTransB) {
        for (int n = 0; n < kN; n += inner) {
          tma_load(stage + a_bytes + n * stage_k * 2, map_b, {column + n, j * stage_k}, barrier,
                   evict_first_policy());
        }
      } else {
        for (int k = 0; k < stage_k; k += inner) {
          tma_load(stage + a_bytes + k / inner * (kN * 16), map_b, {j * stage_k + k, column},
                   barrier);
        }
      }
    }
    return;
  }

  const unsigned t = threadIdx.x;
  const int my_row = t / 32 * 16 + t % 32 / 4, my_column = 2 * (t % 4);
  float d[kN / 2];
  for (int j = 0; j < it.steps; j++) {
    const int s = j % kStages;
    const SharedAddress stage = base + s * stage_bytes;
    if (mistake != kNoFullWait) mbarrier_wait(full_at + 8 * s, j / kStages & 1);
    unsigned fragments[4][4];
    if (kRegisters) {
      for (int k = 0; k < stage_k; k += 16) {
        for (int r = 0; r < 4; r++) {
          fragments[k / 16][r] =
              *reinterpret_cast<const unsigned*>(a + (row + my_row + 8 * (r % 2)) * it.lda +
                                                 j * stage_k + k + my_column + 8 * (r / 2));
        }
      }
    }
    if (mistake != kNoWgmmaFence) wgmma_fence(d);
    if (mistake == kAccumulatorsAfterFence && t == 77 && j > 0) d[5] += 1.0f;
    if (mistake == kFragmentAfterFence && t == 77 && j > 0) fragments[0][1] ^= 1;
    for (int k = 0; k < stage_k; k += 16) {
      unsigned stride = span == 0 ? 128 : 8 * span;
      if (mistake == kWrongStride) stride /= 2;
      const SharedAddress a_at = stage + (span == 0 ? 0 : 2 * k);
      SharedAddress b_at = stage + a_bytes;
      unsigned leading, b_stride = stride;
      if (kTransB) {
        b_at += span == 0 ? 0 : k * span;
        leading = span == 0 ? 128 : stage_k * span;
        if (span == 0) b_stride = stage_k * 16;
      } else {
        b_at += span == 0 ? 0 : 2 * k;
        leading = kN * 16;
      }
      if (mistake == kOutsideDescriptor) b_at += 200 * 1024;
      if (mistake == kDescriptorsDiffer && t == 100) b_at += 32;
      if (mistake == kWarpLeaves && t >= 96) continue;
      const unsigned long long b_matrix =
          smem_descriptor(b_at, leading, b_stride, swizzle_of(span));
      const bool accumulate = j > 0 || k > 0;
      if constexpr (kRegisters) {
        wgmma<kN, kTransB>(d, fragments[k / 16], b_matrix, accumulate);
      } else {
        wgmma<kN, kTransB>(d, smem_descriptor(a_at, kM * 16, stride, swizzle_of(span)), b_matrix,
                           accumulate);
      }
    }
    wgmma_commit();
    if (mistake == kAccumulatorsInFlight && t == 3) d[0] = 0.0f;
    if (mistake != kEarlyRelease && mistake != kNoWgmmaWait) wgmma_wait<0>(d);
    if (t % 32 == 0) mbarrier_arrive(empty_at + 8 * s);
    if (mistake == kArrivesTwice && t == 0) mbarrier_arrive(empty_at + 8 * s);
    if (mistake == kEarlyRelease) wgmma_wait<0>(d);
  }

  float* tile = reinterpret_cast<float*>(smem + kStages * stage_bytes);
  for (int i = 0; i < kN / 2; i++) {
    tile[(my_row + 8 * (i / 2 % 2)) * kN + my_column + 8 * (i / 4) + i % 2] = d[i];
  }
  if (mistake == kNoWgmmaWait) wgmma_wait<0>(d);
  if (mistake != kNoProxyFence) fence_proxy_async();
  barrier_sync(1, 128);
  if (t == 0) {
    tma_store(map_c, {column, row}, staging);
    if (mistake == kUncommitted) return;
    bulk_commit();
    if (mistake == kSourceReused) tile[3] = 7.0f;
    bulk_wait_read<0>();
    if (mistake == kNotAMap) prefetch_tensor_map(reinterpret_cast<const TensorMap*>(smem)[0]);
  }
}

}  // namespace

#define GEMM_PARAMETERS                                                             \
  const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b, \
      const __grid_constant__ TensorMap map_c, const unsigned short *a, Gemm it
extern "C" __global__ void __launch_bounds__(160) gemm_n64(GEMM_PARAMETERS) {
  gemm<64, false, false>(map_a, map_b, map_c, a, it);
}
extern "C" __global__ void __launch_bounds__(160) gemm_n96(GEMM_PARAMETERS) {
  gemm<96, false, false>(map_a, map_b, map_c, a, it);
}
extern "C" __global__ void __launch_bounds__(160) gemm_n256(GEMM_PARAMETERS) {
  gemm<256, false, false>(map_a, map_b, map_c, a, it);
}
extern "C" __global__ void __launch_bounds__(160) gemm_trans_n64(GEMM_PARAMETERS) {
  gemm<64, true, false>(map_a, map_b, map_c, a, it);
}
extern "C" __global__ void __launch_bounds__(160) gemm_trans_n192(GEMM_PARAMETERS) {
  gemm<192, true, false>(map_a, map_b, map_c, a, it);
}
extern "C" __global__ void __launch_bounds__(160) gemm_registers_n128(GEMM_PARAMETERS) {
  gemm<128, false, true>(map_a, map_b, map_c, a, it);
}
extern "C" __global__ void __launch_bounds__(160) gemm_registers_trans_n128(GEMM_PARAMETERS) {
  gemm<128, true, true>(map_a, map_b, map_c, a, it);
}
#undef GEMM_PARAMETERS

// Each CTA of a cluster of 2 loads half of a tile of 32 x 64 for both, then every thread copies
// what it finds; then the tile goes back to global memory through a bulk store.
extern "C" __global__ void __cluster_dims__(2) __launch_bounds__(64)
    multicast(const __grid_constant__ TensorMap map, unsigned short* out, int rounds, int mistake) {
  extern __shared__ __align__(1024) unsigned char smem[];
  __shared__ unsigned long long full, empty;
  const SharedAddress base = shared_address(smem);
  const SharedAddress full_at = shared_address(&full), empty_at = shared_address(&empty);
  const unsigned rank = cluster_rank();
  constexpr unsigned kHalf = 16 * 128, kBytes = 2 * kHalf;
  if (threadIdx.x == 0) {
    mbarrier_init(full_at, 1);
    mbarrier_init(empty_at, 2 * 64);
    fence_mbarrier_init();
  }
  cluster_arrive();
  cluster_wait();
  for (int round = 0; round < rounds; round++) {
    if (threadIdx.x == 0) {
      mbarrier_wait(empty_at, (round & 1) ^ 1);
      mbarrier_arrive_expect_tx(full_at, kBytes);
      const unsigned short mask = mistake == kMaskTooWide ? 7 : 3;
      tma_load_multicast(base + rank * kHalf, map, {0, round * 32 + int(rank) * 16}, full_at, mask);
    }
    mbarrier_wait(full_at, round & 1);
    if (round == rounds - 1) break;
    const unsigned short* tile = reinterpret_cast<const unsigned short*>(smem);
    for (int i = threadIdx.x; i < 32 * 64; i += 64) {
      out[(round * 2 + blockIdx.x) * 32 * 64 + i] = tile[i];
    }
    for (unsigned other = 0; other < 2; other++) {
      if (mistake == kReleasesOwnOnly && other != rank) continue;
      mbarrier_arrive_cluster(map_to_rank(empty_at, other));
      if (mistake == kReleasesOwnOnly) mbarrier_arrive(empty_at);
    }
  }
  if (threadIdx.x == 0) {
    bulk_store(out + ((rounds - 1) * 2 + blockIdx.x) * 32 * 64, base, kBytes);
    bulk_commit();
    bulk_wait<0>();
  }
  if (mistake == kClusterExits) return;
  cluster_arrive();
  cluster_wait();
}

// A box of a tensor to shared memory, from there as it lies to `raw`, and by TMA to another tensor.
struct BoxAt {
  int at[5];
  int rank, bytes;
};
template <int kRank>
__device__ void copy_box(const TensorMap& from, const TensorMap& to, const BoxAt& it,
                         SharedAddress data, SharedAddress barrier) {
  int at[kRank];
  for (int d = 0; d < kRank; d++) at[d] = it.at[d];
  prefetch_tensor_map(from);
  mbarrier_arrive_expect_tx(barrier, it.bytes);
  tma_load(data, from, at, barrier);
  mbarrier_wait(barrier, 0);
  tma_store(to, at, data);
  bulk_commit();
  bulk_wait<0>();
}
extern "C" __global__ void __launch_bounds__(32)
    box(const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to,
        unsigned char* raw, BoxAt it) {
  extern __shared__ __align__(1024) unsigned char smem[];
  __shared__ unsigned long long ready;
  const SharedAddress data = shared_address(smem), barrier = shared_address(&ready);
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    fence_mbarrier_init();
    if (it.rank == 1) copy_box<1>(from, to, it, data, barrier);
    if (it.rank == 2) copy_box<2>(from, to, it, data, barrier);
    if (it.rank == 3) copy_box<3>(from, to, it, data, barrier);
    if (it.rank == 4) copy_box<4>(from, to, it, data, barrier);
    if (it.rank == 5) copy_box<5>(from, to, it, data, barrier);
  }
  __syncwarp();
  mbarrier_wait(barrier, 0);
  for (int i = threadIdx.x; i < it.bytes; i += 32) raw[i] = smem[i];
}

// A 16 x 16 bf16 tile per warp by stmatrix, plain or transposed, then by TMA to out [16][16 *
// warps].
extern "C" __global__ void __launch_bounds__(64)
    store_matrices(const __grid_constant__ TensorMap out, int transposed, int mistake) {
  extern __shared__ __align__(1024) unsigned char smem[];
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const SharedAddress tile = shared_address(smem) + warp * 512;
  // Element (row, column) of the fragment's matrices is row * 16 + column.
  unsigned r[4];
  for (unsigned j = 0; j < 4; j++) {
    const unsigned row = j % 2 * 8 + lane / 4, column = j / 2 * 8 + 2 * (lane % 4);
    const unsigned low = __bfloat16_as_ushort(__float2bfloat16_rn(float(row * 16 + column)));
    const unsigned high = __bfloat16_as_ushort(__float2bfloat16_rn(float(row * 16 + column + 1)));
    r[j] = low | high << 16;
  }
  // Matrix j = lane / 8 goes to rows j % 2 * 8 and columns j / 2 * 8; transposed, the other way.
  const unsigned j = lane / 8;
  const unsigned down = transposed ? j / 2 : j % 2, right = transposed ? j % 2 : j / 2;
  const SharedAddress at = tile + (down * 8 + lane % 8) * 32 + right * 16;
  if (transposed) {
    stmatrix_x4_trans(at, r);
  } else {
    stmatrix_x4(at, r);
  }
  if (mistake != kNoProxyFence) fence_proxy_async();
  __syncwarp();
  if (elect_one()) {
    tma_store(out, {int(warp) * 16, 0}, tile);
    bulk_commit();
    bulk_wait_read<0>();
  }
}

// Registers move from a producer's warpgroup to two consumers'.
extern "C" __global__ void __launch_bounds__(384, 1) registers(int* out, int mistake) {
  if (threadIdx.x >= 256) {
    if (mistake == kWarpKeepsRegisters && threadIdx.x >= 352) return;
    if (mistake != kNobodyReleases) setmaxnreg_dec<24>();
    if (mistake == kReleasesTooMany) setmaxnreg_dec<32>();
  } else if (mistake == kWantsTooMany) {
    setmaxnreg_inc<248>();
  } else if (mistake == kWarpgroupDiffers && threadIdx.x < 32) {
    setmaxnreg_inc<232>();
  } else {
    setmaxnreg_inc<240>();
  }
  out[threadIdx.x] = 1;
}

// The lane that elect_one() names, twice, per warp.
extern "C" __global__ void __launch_bounds__(256) elected(int* out) {
  if (elect_one()) out[threadIdx.x / 32 * 2] = threadIdx.x % 32;
  if (elect_one()) out[threadIdx.x / 32 * 2 + 1] = threadIdx.x % 32;
}

// One thread, one mbarrier, one mistake.
extern "C" __global__ void __launch_bounds__(32) barrier_mistakes(const float* in, int mistake) {
  extern __shared__ __align__(1024) unsigned char smem[];
  const SharedAddress at = shared_address(smem), data = at + 1024;
  if (threadIdx.x != 0) return;
  if (mistake == kMisalignedBarrier) mbarrier_init(at + 4, 1);
  if (mistake == kCountsNothing) mbarrier_init(at, 0);
  if (mistake == kNoInit) mbarrier_arrive(at);
  mbarrier_init(at, 2);
  if (mistake == kInitTwice) mbarrier_init(at, 2);
  fence_mbarrier_init();
  if (mistake == kOverwrittenBarrier) *reinterpret_cast<int*>(smem) = 0;
  if (mistake == kWaitsForEver) mbarrier_wait(at, 0);
  if (mistake == kParityIsPhase) mbarrier_wait(at, 2);
  mbarrier_arrive(at);
  mbarrier_arrive(at);
  if (mistake == kNobodyWaited) mbarrier_arrive(at);
  mbarrier_wait(at, 0);
  mbarrier_arrive_expect_tx(at, 256);
  bulk_load(data, in, mistake == kOddBytes ? 200 : 256, at);
  if (mistake == kExitsInFlight) return;
  if (mistake == kLoadsOverlap) bulk_load(data + 128, in, 256, at);
  mbarrier_arrive(at);
  if (mistake == kArrivalTooMany) mbarrier_arrive(at);
  mbarrier_wait(at, 1);
}

// wgmma of a block that has no warpgroup.
extern "C" __global__ void __launch_bounds__(96) no_warpgroup() { wgmma_fence(); }
