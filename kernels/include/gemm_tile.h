// The body of the sm_80 GEMMs, for any tile and epilogue: sums[m,n] of a[m,k] * w[n,k], bf16.
// 1 slabs of 64 k of a's and w's rows come by cp.async into a ring of stages, 16-byte pieces XOR-
// swizzled within their 128-byte row, so that neither writes nor ldmatrix conflict (element by
// element where rows are not aligned)  2 mma.m16n8k16, f32 accumulation, one barrier a slab  3 K in
// splits (gemm_split.h): with a CTA each, they leave their sums in `partials`, and the last to come
// adds them; or one CTA has all  4 the epilogue, from registers
//
// Every element's products are added in the same order whatever the tile, and the order of the
// splits is fixed: bitwise repeatable, and the same bits in every kernel made from this.
#pragma once

#include "gemm_epilogue.h"
#include "gemm_split.h"
#include "lanes.h"
#include "ptx.h"
#include "warp.h"

namespace remask {

constexpr int kMostSharedBytes = 99 * 1024;  // what a CTA may have on sm_86, 89 and 120
constexpr int kPiece = kVectorLanes<bf16>;
constexpr int kPieces = kSlab / kPiece;  // of a slab's row
constexpr int kRowBytes = kSlab * static_cast<int>(sizeof(bf16));

// kWarpsM x kWarpsN warps over kRows x kColumns of the result. kFewRows: w's rows are read once, so
// that the L2 need not keep them, and a CTA never has more than one split of K.
template <int kRows_, int kColumns_, int kWarpsM_, int kWarpsN_, int kStages_, bool kFewRows_>
struct GemmTile {
  static constexpr int kRows = kRows_;
  static constexpr int kColumns = kColumns_;
  static constexpr int kWarpsN = kWarpsN_;
  static constexpr int kStages = kStages_;
  static constexpr bool kFewRows = kFewRows_;
  static constexpr int kThreads = kWarpsM_ * kWarpsN_ * kWarpThreads;
  static constexpr int kWarpRows = kRows / kWarpsM_;
  static constexpr int kWarpColumns = kColumns / kWarpsN;
  static constexpr int kFragmentsM = kWarpRows / 16;
  static constexpr int kFragmentsN = kWarpColumns / 8;
  static constexpr int kStageBytes = (kRows + kColumns) * kRowBytes;
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static_assert(kWarpColumns % 16 == 0, "pairs, and ldmatrix.x4, take two fragments of columns");
  static_assert(kSharedBytes <= kMostSharedBytes, "every card from sm_80 on");
  using Sums = float[kFragmentsM][kFragmentsN][4];
};

// Where piece `piece` of row `row` stands in a slab of an operand.
__device__ __forceinline__ unsigned swizzled_offset(int row, int piece) {
  return row * kRowBytes + ((piece ^ row % kPieces) * kVectorBytes);
}

// This thread's part of loading one operand's slabs: a piece of every kThreads / kPieces-th row.
template <int kRows, int kThreads>
struct SlabLoader {
  static constexpr int kRowStep = kThreads / kPieces;
  static constexpr int kCount = kRows / kRowStep;
  static_assert(kCount * kRowStep == kRows && kRowStep % kPieces == 0, "same piece in every row");
  const bf16* rows[kCount];  // null: a row outside, read as zeros
  const bf16* inside;        // an address for copies that copy nothing

  __device__ __forceinline__ static int row_of(int i) {
    return i * kRowStep + static_cast<int>(threadIdx.x) / kPieces;
  }
  __device__ __forceinline__ static int piece() { return static_cast<int>(threadIdx.x) % kPieces; }

  template <typename Copy>
  __device__ __forceinline__ void each(int column, int k, Copy copy) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const bool valid = rows[i] != nullptr && column < k;
      copy(swizzled_offset(row_of(i), piece()), valid ? rows[i] + column : inside, valid);
    }
  }

  // k is a multiple of kPiece and all rows are aligned.
  template <bool kStreams>
  __device__ __forceinline__ void load_pieces(ptx::SharedAddress to, int begin, int k,
                                              ptx::CachePolicy policy) const {
    each(begin + piece() * kPiece, k, [&](unsigned offset, const bf16* from, bool valid) {
      if (kStreams) {
        ptx::cp_async_16(to + offset, from, valid, policy);
      } else {
        ptx::cp_async_16(to + offset, from, valid);
      }
    });
  }

  __device__ __forceinline__ void load_elements(unsigned char* to, int begin, int k) const {
    const int column = begin + piece() * kPiece;
    each(column, k, [&](unsigned offset, const bf16* from, bool valid) {
      Lanes<bf16, kPiece> lanes;
#pragma unroll
      for (int e = 0; e < kPiece; ++e) {
        lanes.lane[e] = valid && column + e < k ? from[e] : from_float<bf16>(0.0f);
      }
      *reinterpret_cast<Lanes<bf16, kPiece>*>(to + offset) = lanes;
    });
  }
};

// sums += the products of the slab in `stage`: a's rows, then w's.
template <typename Tile>
__device__ __forceinline__ void multiply_slab(typename Tile::Sums& sums, ptx::SharedAddress stage,
                                              int warp_row, int warp_column, int lane) {
  // a: matrices (rows 0-7, k 0-7), (8-15, 0-7), (0-7, 8-15), (8-15, 8-15); w: (columns 0-7, k 0-7),
  // (0-7, 8-15), (8-15, 0-7), (8-15, 8-15).
  const int a_row = warp_row + lane % 16;
  const int a_piece = lane / 16;
  const int w_row = Tile::kRows + warp_column + lane / 16 * 8 + lane % 8;
  const int w_piece = lane / 8 % 2;
#pragma unroll
  for (int step = 0; step < kSlab / 16; ++step) {
    unsigned a[Tile::kFragmentsM][4];
    unsigned w[Tile::kFragmentsN][2];
#pragma unroll
    for (int i = 0; i < Tile::kFragmentsM; ++i) {
      ptx::ldmatrix_x4(a[i], stage + swizzled_offset(a_row + 16 * i, 2 * step + a_piece));
    }
#pragma unroll
    for (int j = 0; j < Tile::kFragmentsN; j += 2) {
      unsigned two[4];
      ptx::ldmatrix_x4(two, stage + swizzled_offset(w_row + 8 * j, 2 * step + w_piece));
      w[j][0] = two[0];
      w[j][1] = two[1];
      w[j + 1][0] = two[2];
      w[j + 1][1] = two[3];
    }
    ptx::mma_m16n8k16_tile(sums, a, w);
  }
}

// A thread's sums at `partials`: 16 bytes of each thread side by side.
template <typename Tile>
__device__ __forceinline__ float* partial_of(float* partials, int index) {
  return partials + static_cast<size_t>(index) * (Tile::kRows * Tile::kColumns) + threadIdx.x * 4;
}

// Leaves this split's sums; true in the last CTA of the tile to come, whose `total` then holds the
// sum of all, added in the order of the splits.
template <typename Tile>
__device__ __forceinline__ bool join_splits(typename Tile::Sums& total,
                                            const typename Tile::Sums& sums, float* partials,
                                            unsigned* counters, int tile, int splits) {
  constexpr int kStep = Tile::kThreads * 4;
  float* own = partial_of<Tile>(partials, tile * splits + static_cast<int>(blockIdx.z));
#pragma unroll
  for (int i = 0; i < Tile::kFragmentsM; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::kFragmentsN; ++j) {
      store<4>(own + (i * Tile::kFragmentsN + j) * kStep, sums[i][j]);
    }
  }
  __shared__ bool is_last;
  __syncthreads();
  if (threadIdx.x == 0) {
    // The barrier before orders the CTA's stores with this one's release, the one after it the
    // CTA's loads with its acquire.
    is_last = ptx::atomic_add_acq_rel(counters + tile, 1) == static_cast<unsigned>(splits) - 1;
    if (is_last) counters[tile] = 0;  // for the next launch
  }
  __syncthreads();
  if (!is_last) return false;
  for (int split = 0; split < splits; ++split) {
    const float* part = partial_of<Tile>(partials, tile * splits + split);
#pragma unroll
    for (int i = 0; i < Tile::kFragmentsM; ++i) {
#pragma unroll
      for (int j = 0; j < Tile::kFragmentsN; ++j) {
        float x[4];
        load<4>(x, part + (i * Tile::kFragmentsN + j) * kStep);
#pragma unroll
        for (int e = 0; e < 4; ++e) total[i][j][e] += x[e];
      }
    }
  }
  return true;
}

// Hands a thread's sums to the epilogue, N neighbours at a time.
template <typename Tile, int N, typename Epilogue>
__device__ __forceinline__ void put_sums(const Epilogue& epilogue, const typename Tile::Sums& total,
                                         int m, int row_begin, int column_begin, int lane) {
  constexpr int kTogether = Epilogue::kPairs ? 2 : 1;  // fragments of one put
  const int count = epilogue.count();
#pragma unroll
  for (int i = 0; i < Tile::kFragmentsM; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_begin + 16 * i + 8 * half + lane / 4;
      if (row >= m) continue;
#pragma unroll
      for (int j = 0; j < Tile::kFragmentsN; j += kTogether) {
#pragma unroll
        for (int begin = 0; begin < 2; begin += N) {
          const int column = column_begin + 8 * (j / kTogether) + 2 * (lane % 4) + begin;
          if (column >= count) continue;
          float x[N], y[N];
#pragma unroll
          for (int e = 0; e < N; ++e) {
            x[e] = total[i][j][2 * half + begin + e];
            y[e] = total[i][j + kTogether - 1][2 * half + begin + e];
          }
          if constexpr (Epilogue::kPairs) {
            epilogue.template put<N>(row, column, x, y);
          } else {
            epilogue.template put<N>(row, column, x);
          }
        }
      }
    }
  }
}

// total += sums, a split's; sums = 0.
template <typename Tile>
__device__ __forceinline__ void end_split(typename Tile::Sums& total, typename Tile::Sums& sums) {
#pragma unroll
  for (int i = 0; i < Tile::kFragmentsM; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::kFragmentsN; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        total[i][j][e] += sums[i][j][e];
        sums[i][j][e] = 0.0f;
      }
    }
  }
}

// gridDim: x the tiles of the result, z the splits, k_splits(n, k), or 1 where the tile takes many
// rows: then a CTA has all splits, one after the other. With several, `partials`
// holds tiles x splits x kRows x kColumns f32 and `counters` as many zeros as tiles; it leaves
// zeros. blockDim.x = Tile::kThreads, Tile::kSharedBytes of dynamic shared memory at `ring`.
template <typename Tile, typename Epilogue>
__device__ __forceinline__ void gemm_tile(unsigned char* ring, const Epilogue& epilogue,
                                          const bf16* __restrict__ a, const bf16* __restrict__ w,
                                          float* partials, unsigned* counters, int m, int n,
                                          int k) {
  constexpr int kGroup = 8;  // tiles of rows that share w's rows while those are in the L2
  const int tiles_m = (m + Tile::kRows - 1) / Tile::kRows;
  const int tiles_n = static_cast<int>(gridDim.x) / tiles_m;
  const int tile = blockIdx.x;
  const int group_m = tile / (kGroup * tiles_n) * kGroup;
  const int in_group = tile % (kGroup * tiles_n);
  const int group_rows = tiles_m - group_m < kGroup ? tiles_m - group_m : kGroup;
  const int tile_n = in_group / group_rows;
  const int m_begin = (group_m + in_group % group_rows) * Tile::kRows;

  const int slabs = k_slabs(k);
  const int splits = k_splits(n, k);
  const bool joined = gridDim.z > 1;
  if ((joined || Tile::kFewRows) && static_cast<int>(gridDim.z) != splits) __trap();
  int split = blockIdx.z;
  int slab = split_begin(split, splits, slabs);
  int split_end = split_begin(split + 1, splits, slabs);
  const int end = joined ? split_end : slabs;

  using LoaderA = SlabLoader<Tile::kRows, Tile::kThreads>;
  using LoaderW = SlabLoader<Tile::kColumns, Tile::kThreads>;
  LoaderA a_loader;
  LoaderW w_loader;
  a_loader.inside = a;
  w_loader.inside = w;
#pragma unroll
  for (int i = 0; i < LoaderA::kCount; ++i) {
    const int row = m_begin + LoaderA::row_of(i);
    a_loader.rows[i] = row < m ? a + static_cast<size_t>(row) * k : nullptr;
  }
#pragma unroll
  for (int i = 0; i < LoaderW::kCount; ++i) {
    const int column = LoaderW::row_of(i);
    int row;
    bool valid;
    if constexpr (Epilogue::kPairs) {
      const int pair = tile_n * (Tile::kColumns / 2) + column / 16 * 8 + column % 8;
      valid = pair < epilogue.count();
      row = epilogue.weight_row(pair, column / 8 % 2 != 0);
    } else {
      row = epilogue.weight_row(tile_n * Tile::kColumns + column);
      valid = row < n;
    }
    w_loader.rows[i] = valid ? w + static_cast<size_t>(row) * k : nullptr;
  }

  const bool pieces = aligned<kPiece>(a) && aligned<kPiece>(w) && k % kPiece == 0;
  const ptx::SharedAddress shared = ptx::shared_address(ring);
  const ptx::CachePolicy policy = Tile::kFewRows ? ptx::evict_first_policy() : ptx::CachePolicy{0};
  auto fetch = [&](int next, int stage) {
    if (next < end) {
      const int offset = stage * Tile::kStageBytes;
      const int w_offset = offset + Tile::kRows * kRowBytes;
      if (pieces) {
        w_loader.template load_pieces<Tile::kFewRows>(shared + w_offset, next * kSlab, k, policy);
        a_loader.template load_pieces<false>(shared + offset, next * kSlab, k, policy);
      } else {
        w_loader.load_elements(ring + w_offset, next * kSlab, k);
        a_loader.load_elements(ring + offset, next * kSlab, k);
      }
    }
    ptx::cp_async_commit();
  };

  const int warp = threadIdx.x / kWarpThreads;
  const int lane = threadIdx.x % kWarpThreads;
  const int warp_row = warp / Tile::kWarpsN * Tile::kWarpRows;
  const int warp_column = warp % Tile::kWarpsN * Tile::kWarpColumns;
  typename Tile::Sums sums = {};
  typename Tile::Sums total = {};
#pragma unroll
  for (int stage = 0; stage < Tile::kStages - 1; ++stage) fetch(slab + stage, stage);
  for (int stage = 0; slab < end; ++slab) {
    ptx::cp_async_wait<Tile::kStages - 2>();
    // Everyone's copies of this slab are in, and everyone is done with the slab before, whose stage
    // is filled again.
    __syncthreads();
    fetch(slab + Tile::kStages - 1, stage == 0 ? Tile::kStages - 1 : stage - 1);
    multiply_slab<Tile>(sums, shared + stage * Tile::kStageBytes, warp_row, warp_column, lane);
    stage = stage == Tile::kStages - 1 ? 0 : stage + 1;
    if (!Tile::kFewRows && slab + 1 == split_end && !joined) {
      end_split<Tile>(total, sums);
      ++split;
      split_end = split_begin(split + 1, splits, slabs);
    }
  }
  if (Tile::kFewRows && !joined) end_split<Tile>(total, sums);
  if (joined && !join_splits<Tile>(total, sums, partials, counters, tile, splits)) return;

  constexpr int kPerColumn = Epilogue::kPairs ? 2 : 1;
  const int row_begin = m_begin + warp_row;
  const int column_begin = (tile_n * Tile::kColumns + warp_column) / kPerColumn;
  if (epilogue.vectors()) {
    put_sums<Tile, 2>(epilogue, total, m, row_begin, column_begin, lane);
  } else {
    put_sums<Tile, 1>(epilogue, total, m, row_begin, column_begin, lane);
  }
}

}  // namespace remask
