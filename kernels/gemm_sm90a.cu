// gemm_bf16_<out>_n<tile>_sm90a: out[m,n] = sum over k of a[m,k] * w[n,k], for many rows.
// in a bf16[M,K], w bf16[N,K]; out bf16 or f32 [M,N]; f32 sums; any M and N, K a multiple of 8
// 1 a CTA has a 128 x 256 (or 128 x 128) tile of out, a cluster two of them, one below the other:
// each CTA loads half of the weights' tile and multicasts it to both
// 2 a producer thread fills a ring of 4 (6) stages of 64 columns of k by TMA; two warpgroups
// multiply 64 rows each by wgmma m64n256k16 (n128), one k step in flight
// 3 setmaxnreg moves registers from the producer's warpgroup to theirs
// 4 persistent: a cluster walks over tiles, 2,048 rows of a at a time, so that these and the
// weights in use stay in L2
// 5 the tile leaves through smem and TMA stores, which run under the next tile; where rows of out
// are not multiples of 16 bytes, threads store their elements
// k is summed in order, without a split: a row's bits depend neither on M nor on the tile
// compiled: 384 threads, 168 regs (40 and 232 after setmaxnreg), 224 KB smem, 1 CTA per SM
// floor m=1024 n=k=4096: 34.4 GFLOP / 989 TFLOP/s = 35 us (H100); not measured
#include <cuda_bf16.h>

#include "include/lanes.h"
#include "include/ptx_sm90a.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kCluster = 2;    // CTAs, along m
constexpr int kConsumers = 2;  // warpgroups that multiply
constexpr int kGroupThreads = 128;
constexpr int kGroupWarps = kGroupThreads / kWarpThreads;
constexpr int kThreads = (1 + kConsumers) * kGroupThreads;
constexpr int kGroupRows = 64;  // of a warpgroup: wgmma's m
constexpr int kTileM = kConsumers * kGroupRows;
constexpr int kWgmmaK = 16;

// A row of every box in smem is 128 bytes, the span of the swizzle, whose pattern repeats after 8.
constexpr int kRowBytes = 128;
constexpr int kPieceBytes = 16;
constexpr int kAtomRows = 8;
constexpr int kAtomBytes = kAtomRows * kRowBytes;
constexpr int kTileK = kRowBytes / static_cast<int>(sizeof(bf16));

constexpr int kTileBytesA = kTileM * kRowBytes;
// Of a warpgroup, for chunks of 128 bytes of each of its rows on their way out.
constexpr int kSlots = 2;
constexpr int kSlotBytes = kGroupRows * kRowBytes;
constexpr int kOutBytes = kConsumers * kSlots * kSlotBytes;
constexpr int kRingBytes = 192 * 1024;
constexpr int kSharedLimit = 227 * 1024;

template <int kTileN>
struct Ring {
  static constexpr int kTileBytesW = kTileN * kRowBytes;
  static constexpr int kStageBytes = kTileBytesA + kTileBytesW;
  static constexpr int kStages = kRingBytes / kStageBytes;
  static constexpr int kPartW = kTileN / kCluster;  // rows of w that a CTA loads, for all
  static constexpr int kBarrierBytes = 8;
  // From the start of dynamic smem: stages, slots of the output, full and empty barriers.
  static constexpr int kOut = kStages * kStageBytes;
  static constexpr int kFull = kOut + kOutBytes;
  static constexpr int kEmpty = kFull + kStages * kBarrierBytes;
  static constexpr int kSharedBytes = kEmpty + kStages * kBarrierBytes;
  static_assert(kStageBytes % kAtomBytes == 0 && kPartW % kAtomRows == 0, "swizzle atoms align");
  static_assert(kSharedBytes <= kSharedLimit, "a CTA's shared memory on sm_90");
};

// After setmaxnreg. A CTA has 65,536 registers, the launch gives each thread 168 of them.
constexpr int kProducerRegisters = 40;
constexpr int kConsumerRegisters = 232;
static_assert((kProducerRegisters + kConsumers * kConsumerRegisters) * kGroupThreads <= 65536,
              "what the consumers gain the producer has given");

// 2,048 rows of a (16.8 MB at k = 4096) beside the weights in use: a wave of tiles then is about
// square, and a and w are read from L2 far oftener than from memory.
constexpr int kPairsTogether = 8;

extern __shared__ __align__(kAtomBytes) unsigned char gemm_sm90a_shared[];

// The tile of out that a cluster computes, `row` and `column` of its first CTA's first element.
struct Place {
  int row;
  int column;
};

// The order of tiles: n after n for kPairsTogether pairs of m tiles, these fastest.
template <int kTileN>
struct Tiles {
  int pairs;
  int columns;

  __device__ __forceinline__ Tiles(int m, int n)
      : pairs((m + kCluster * kTileM - 1) / (kCluster * kTileM)),
        columns((n + kTileN - 1) / kTileN) {}
  __device__ __forceinline__ int count() const { return pairs * columns; }
  __device__ __forceinline__ Place place(int tile) const {
    const int band = tile / (kPairsTogether * columns);
    const int first = band * kPairsTogether;
    const int height = min(kPairsTogether, pairs - first);
    const int within = tile - first * columns;
    return {(first + within % height) * (kCluster * kTileM), within / height * kTileN};
  }
};

// Where in the ring a thread is: the stage, and the parity of the phase it waits for there.
template <int kStages>
struct Position {
  int stage = 0;
  unsigned parity = 0;

  __device__ __forceinline__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

template <int kTileN>
__device__ __forceinline__ void produce(const ptx::TensorMap& a_map, const ptx::TensorMap& w_map,
                                        ptx::SharedAddress shared, unsigned rank, int m, int n,
                                        int steps) {
  using R = Ring<kTileN>;
  const Tiles<kTileN> tiles(m, n);
  Position<R::kStages> at;
  for (int tile = blockIdx.x / kCluster; tile < tiles.count(); tile += gridDim.x / kCluster) {
    const Place place = tiles.place(tile);
    const int a_row = place.row + static_cast<int>(rank) * kTileM;
    const int w_row = place.column + static_cast<int>(rank) * R::kPartW;
    for (int step = 0; step < steps; ++step, at.advance()) {
      const ptx::SharedAddress stage = shared + at.stage * R::kStageBytes;
      const ptx::SharedAddress full = shared + R::kFull + at.stage * R::kBarrierBytes;
      // Empty in both CTAs: this one's half of w goes to both. The first round finds the barriers
      // fresh, and these answer for the phase before.
      ptx::mbarrier_wait(shared + R::kEmpty + at.stage * R::kBarrierBytes, at.parity ^ 1);
      // The other half of w may have arrived already: its bytes are counted in this phase, too, as
      // that ends with this arrival at the earliest.
      ptx::mbarrier_arrive_expect_tx(full, R::kStageBytes);
      ptx::tma_load<2>(stage, a_map, {step * kTileK, a_row}, full);
      ptx::tma_load_multicast<2>(stage + kTileBytesA + rank * (R::kPartW * kRowBytes), w_map,
                                 {step * kTileK, w_row}, full, (1 << kCluster) - 1);
    }
  }
}

__device__ __forceinline__ unsigned packed(float x, float y) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(x, y);
  return *reinterpret_cast<const unsigned*>(&both);
}

// How a thread's sums lie in its warpgroup's 64 rows (PTX manual, wgmma's D): of every 8 columns it
// has two neighbours, in row `lane / 4` of its warp's 16 and 8 rows below.
struct Fragment {
  int warp;
  int lane;

  __device__ __forceinline__ int row(int half) const { return 16 * warp + lane / 4 + 8 * half; }
  __device__ __forceinline__ int column(int eight) const { return 8 * eight + 2 * (lane % 4); }
  static constexpr int kPerEight = 4;  // sums of a thread in 8 columns
};

__device__ __forceinline__ int swizzled(int row, int piece) {
  return row * kRowBytes + (piece ^ (row % kAtomRows)) * kPieceBytes;
}

// Columns [64 * chunk, + 64) as bf16 into a slot: 16 columns a stmatrix, no bank conflicts.
template <int kSums>
__device__ __forceinline__ void put_chunk(bf16*, unsigned char* slot, const float (&sums)[kSums],
                                          int chunk, Fragment at) {
  constexpr int kPairs = kTileK / 16;
  const int row = 16 * at.warp + at.lane % 16;
#pragma unroll
  for (int pair = 0; pair < kPairs; ++pair) {
    unsigned matrices[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int from = (chunk * kPairs + pair) * (2 * Fragment::kPerEight) + 2 * i;
      matrices[i] = packed(sums[from], sums[from + 1]);
    }
    ptx::stmatrix_x4(ptx::shared_address(slot + swizzled(row, 2 * pair + at.lane / 16)), matrices);
  }
}

// Columns [32 * chunk, + 32) as f32. Two neighbours are half a piece, so 4 rows of 4 lanes fill the
// banks once if they lie in different quarters of the 128 bytes: by the swizzle rows 0 and 2 do,
// and odd rows take the 8 columns two further on. (Pairs packed into one 64-bit integer made ptxas
// read sums inside the pipeline and serialise the wgmmas: C7511.)
template <int kSums>
__device__ __forceinline__ void put_chunk(float*, unsigned char* slot, const float (&sums)[kSums],
                                          int chunk, Fragment at) {
  constexpr int kEights = 4;
  const bool odd = at.lane / 4 % 2 != 0;
#pragma unroll
  for (int eight = 0; eight < kEights; ++eight) {
    const int even_from = (chunk * kEights + eight) * Fragment::kPerEight;
    const int odd_from = (chunk * kEights + (eight ^ 2)) * Fragment::kPerEight;
    const int column = at.column(odd ? eight ^ 2 : eight);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float2 pair = {odd ? sums[odd_from + 2 * half] : sums[even_from + 2 * half],
                           odd ? sums[odd_from + 2 * half + 1] : sums[even_from + 2 * half + 1]};
      unsigned char* piece = slot + swizzled(at.row(half), column / 4);
      *reinterpret_cast<float2*>(piece + column % 4 * sizeof(float)) = pair;
    }
  }
}

// The warpgroup's 64 x kTileN part through its two slots to out; returns while stores are under
// way.
template <int kTileN, typename Y>
__device__ __forceinline__ void store_by_tma(const ptx::TensorMap& out_map, unsigned char* slots,
                                             const float (&sums)[kTileN / 2], Place place,
                                             int group, Fragment at) {
  constexpr int kChunk = kRowBytes / static_cast<int>(sizeof(Y));
  constexpr int kChunks = kTileN / kChunk;
  static_assert(kChunks % kSlots == 0, "every tile begins in the same slot");
  const bool issues = at.warp == 0 && at.lane == 0;
  const int barrier = 1 + group;
#pragma unroll
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    unsigned char* slot = slots + chunk % kSlots * kSlotBytes;
    if (issues) ptx::bulk_wait_read<kSlots - 1>();  // the store before last has left the slot
    ptx::barrier_sync(barrier, kGroupThreads);
    put_chunk(static_cast<Y*>(nullptr), slot, sums, chunk, at);
    ptx::fence_proxy_async();
    ptx::barrier_sync(barrier, kGroupThreads);
    if (issues) {
      ptx::tma_store<2>(out_map, {place.column + chunk * kChunk, place.row},
                        ptx::shared_address(slot));
      ptx::bulk_commit();
    }
  }
}

// Rows of out that TMA cannot address: element by element.
template <int kTileN, typename Y>
__device__ __forceinline__ void store_plainly(Y* __restrict__ out, const float (&sums)[kTileN / 2],
                                              Place place, int m, int n, Fragment at) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = place.row + at.row(half);
    if (row >= m) continue;
    Y* target = out + static_cast<size_t>(row) * n;
#pragma unroll
    for (int eight = 0; eight < kTileN / 8; ++eight) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = place.column + at.column(eight) + i;
        const float sum = sums[eight * Fragment::kPerEight + 2 * half + i];
        if (column < n) target[column] = from_float<Y>(sum);
      }
    }
  }
}

template <int kTileN, typename Y>
__device__ __forceinline__ void consume(const ptx::TensorMap& out_map, Y* __restrict__ out,
                                        ptx::SharedAddress shared, unsigned rank, int group, int m,
                                        int n, int steps, bool rows_for_tma) {
  using R = Ring<kTileN>;
  const Tiles<kTileN> tiles(m, n);
  const Fragment at{static_cast<int>(threadIdx.x) / kWarpThreads % kGroupWarps,
                    static_cast<int>(threadIdx.x) % kWarpThreads};
  // A warp tells both CTAs' producers that it is done with a stage, as both write into it. Every
  // warp does: its own wait says nothing of the others' part of a wgmma.
  const ptx::SharedAddress empty =
      ptx::map_to_rank(shared + R::kEmpty, static_cast<unsigned>(at.lane) % kCluster);
  const auto release = [&](int stage) {
    if (at.lane < kCluster) ptx::mbarrier_arrive_cluster(empty + stage * R::kBarrierBytes);
  };

  Position<R::kStages> ring;
  for (int tile = blockIdx.x / kCluster; tile < tiles.count(); tile += gridDim.x / kCluster) {
    float sums[kTileN / 2];
    int held = 0;  // the stage that the wgmma in flight reads
    for (int step = 0; step < steps; ++step, ring.advance()) {
      ptx::mbarrier_wait(shared + R::kFull + ring.stage * R::kBarrierBytes, ring.parity);
      const ptx::SharedAddress stage = shared + ring.stage * R::kStageBytes;
      const unsigned long long a = ptx::smem_descriptor(
          stage + group * (kGroupRows * kRowBytes), kPieceBytes, kAtomBytes, ptx::Swizzle::k128);
      const unsigned long long w =
          ptx::smem_descriptor(stage + kTileBytesA, kPieceBytes, kAtomBytes, ptx::Swizzle::k128);
      ptx::wgmma_fence();
#pragma unroll
      for (int i = 0; i < kTileK / kWgmmaK; ++i) {
        // A descriptor counts in units of 16 bytes.
        const int further = i * kWgmmaK * static_cast<int>(sizeof(bf16)) / kPieceBytes;
        ptx::wgmma<kTileN>(sums, a + further, w + further, step > 0 || i > 0);
      }
      ptx::wgmma_commit();
      ptx::wgmma_wait<1>();
      if (step > 0) release(held);
      held = ring.stage;
    }
    ptx::wgmma_wait<0>(sums);
    release(held);

    Place place = tiles.place(tile);
    place.row += static_cast<int>(rank) * kTileM + group * kGroupRows;
    if (rows_for_tma) {
      store_by_tma<kTileN, Y>(out_map, gemm_sm90a_shared + R::kOut + group * (kSlots * kSlotBytes),
                              sums, place, group, at);
    } else {
      store_plainly<kTileN>(out, sums, place, m, n, at);
    }
  }
  ptx::bulk_wait<0>();
}

template <int kTileN, typename Y>
__device__ __forceinline__ void gemm_sm90a(const ptx::TensorMap& out_map,
                                           const ptx::TensorMap& a_map, const ptx::TensorMap& w_map,
                                           Y* __restrict__ out, int m, int n, int k) {
  using R = Ring<kTileN>;
  const ptx::SharedAddress shared = ptx::shared_address(gemm_sm90a_shared);
  const unsigned rank = ptx::cluster_rank();
  // Otherwise out_map is left empty.
  constexpr int kLanes = kVectorLanes<Y>;
  const bool rows_for_tma = n % kLanes == 0 && aligned<kLanes>(out);
  if (threadIdx.x == 0) {
    if (shared % kAtomBytes != 0) __trap();  // the swizzle goes by address
    if (rows_for_tma) ptx::prefetch_tensor_map(out_map);
    ptx::prefetch_tensor_map(a_map);
    ptx::prefetch_tensor_map(w_map);
    for (int stage = 0; stage < R::kStages; ++stage) {
      ptx::mbarrier_init(shared + R::kFull + stage * R::kBarrierBytes, 1);
      ptx::mbarrier_init(shared + R::kEmpty + stage * R::kBarrierBytes,
                         kCluster * kConsumers * kGroupWarps);
    }
    ptx::fence_mbarrier_init();
  }
  ptx::cluster_arrive();
  ptx::cluster_wait();

  const int steps = (k + kTileK - 1) / kTileK;
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads;
  if (group == 0) {
    ptx::setmaxnreg_dec<kProducerRegisters>();
    if (threadIdx.x < kWarpThreads && ptx::elect_one()) {
      produce<kTileN>(a_map, w_map, shared, rank, m, n, steps);
    }
  } else {
    ptx::setmaxnreg_inc<kConsumerRegisters>();
    consume<kTileN, Y>(out_map, out, shared, rank, group - 1, m, n, steps, rows_for_tma);
  }
  // The other CTA may still write into this one's smem and arrive at its barriers.
  __syncwarp();
  ptx::cluster_arrive();
  ptx::cluster_wait();
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(remask::kThreads, 1)
    gemm_bf16_bf16_n256_sm90a(const __grid_constant__ remask::ptx::TensorMap out_map,
                              const __grid_constant__ remask::ptx::TensorMap a_map,
                              const __grid_constant__ remask::ptx::TensorMap w_map,
                              remask::bf16* out, int m, int n, int k) {
  remask::gemm_sm90a<256>(out_map, a_map, w_map, out, m, n, k);
}

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(remask::kThreads, 1)
    gemm_bf16_f32_n256_sm90a(const __grid_constant__ remask::ptx::TensorMap out_map,
                             const __grid_constant__ remask::ptx::TensorMap a_map,
                             const __grid_constant__ remask::ptx::TensorMap w_map, float* out,
                             int m, int n, int k) {
  remask::gemm_sm90a<256>(out_map, a_map, w_map, out, m, n, k);
}

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(remask::kThreads, 1)
    gemm_bf16_bf16_n128_sm90a(const __grid_constant__ remask::ptx::TensorMap out_map,
                              const __grid_constant__ remask::ptx::TensorMap a_map,
                              const __grid_constant__ remask::ptx::TensorMap w_map,
                              remask::bf16* out, int m, int n, int k) {
  remask::gemm_sm90a<128>(out_map, a_map, w_map, out, m, n, k);
}

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(remask::kThreads, 1)
    gemm_bf16_f32_n128_sm90a(const __grid_constant__ remask::ptx::TensorMap out_map,
                             const __grid_constant__ remask::ptx::TensorMap a_map,
                             const __grid_constant__ remask::ptx::TensorMap w_map, float* out,
                             int m, int n, int k) {
  remask::gemm_sm90a<128>(out_map, a_map, w_map, out, m, n, k);
}
