// How K is split in the sm_80 GEMMs: by the weights' shape alone. A split's products are summed on
// their own, from zero, and the splits' sums are added in order, whether CTAs have a split each or
// one CTA has them all. So a row of the result has the same bits from every tile size, at every
// position in every number of rows: batch invariance (REMASK_GEMM=own).
//
// dev.remask.kernel.KSplit has the same numbers: it sizes grids and workspace by them.
#pragma once

namespace remask {

constexpr int kSlab = 64;              // the unit of K: 128 bytes of a row of bf16
constexpr int kSplitTileColumns = 64;  // the narrowest tile of the few-row kernels
constexpr int kSplitTiles = 256;       // enough such tiles to keep 132 SMs streaming
constexpr int kSplitSlabs = 4;         // a shorter split would only fill its ring
constexpr int kMostSplits = 16;

__device__ __forceinline__ int k_slabs(int k) { return k / kSlab + (k % kSlab != 0); }

// LLaDA-8B: 4 for 4096 columns, 2 for 12288, 1 from 16321 on.
__device__ __forceinline__ int k_splits(int n, int k) {
  const int tiles = (n + kSplitTileColumns - 1) / kSplitTileColumns;
  int splits = (kSplitTiles + tiles - 1) / tiles;
  const int room = k_slabs(k) / kSplitSlabs;
  if (splits > room) splits = room;
  if (splits > kMostSplits) splits = kMostSplits;
  return splits < 1 ? 1 : splits;
}

// First slab of a split; that of split `splits` is the end.
__device__ __forceinline__ int split_begin(int split, int splits, int slabs) {
  return slabs / splits * split + (slabs % splits) * split / splits;
}

}  // namespace remask
