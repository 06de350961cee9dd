// out[m,n] (+)= sum over k of a[m,k] * w[n,k]. See simd_vector.h for how this is compiled.
//
// The rows of `a` lie in the vector lanes: `a`, the smaller operand, is transposed once per call
// and shared by all threads; the weights are read in the order in which they lie in memory, as
// broadcast factors; only the finished tile of the output is transposed back.
// bf16 is widened to f32 and multiplied with f32 FMAs, also where there is AVX512_BF16: its
// vdpbf16ps runs at half the FMAs' rate on Intel's cores (Sapphire Rapids), so that this is faster.
// Every element's sum runs over k in order, in f32, whatever the tile, the thread and the other
// rows: a row's result depends neither on m nor on the number of threads.
#ifndef REMASK_HOST_SIMD_GEMM_H_
#define REMASK_HOST_SIMD_GEMM_H_

#include "simd_tile.h"

namespace remask::host::REMASK_SIMD {

constexpr int kGemmDepth = 256;   // of k at a time: 64 KB of `a` and 48 KB of weights stay in L2
constexpr int kGemmColumns = 48;  // most columns of the output per item of work
constexpr int kGemmGroup = 4;     // most row tiles per item: they share the widened weights
static_assert(kGemmRows % kLanes == 0, "whole vectors of rows");

// How the output is cut into items of work: coarse enough to share what is loaded, fine enough
// that every thread finds some. No result depends on it.
struct GemmCut {
  int columns = kGemmColumns, group = kGemmGroup;
  std::int64_t column_blocks, row_groups;

  GemmCut(int m, int n, int threads) {
    const int tiles = (m + kGemmRows - 1) / kGemmRows;
    constexpr int kItemsPerThread = 6;
    const std::int64_t wanted = threads == 1 ? 1 : std::int64_t{threads} * kItemsPerThread;
    for (;;) {
      column_blocks = (n + columns - 1) / columns;
      row_groups = (tiles + group - 1) / group;
      if (column_blocks * row_groups >= wanted) break;
      if (columns > kGemmColumns / 2) {
        columns /= 2;
      } else if (group > 1) {
        group /= 2;
      } else if (columns > kGemmColumns / 4) {
        columns /= 2;
      } else {
        break;
      }
    }
  }
};

// One item's working memory, on the thread's stack.
struct GemmTile {
  alignas(64) float weights[kGemmColumns][kGemmDepth];
  alignas(64) float sums[kGemmGroup][kGemmColumns][kGemmRows];
};

// One item of packing: transposes kLanes rows of `a` by kPackDepth of k into lanes of
// packed[k][kGemmRows]; rows past m are zero.
constexpr int kPackDepth = 64;

template <typename X>
inline void pack_rows(float* packed, const X* a, std::int64_t item, int m, int k) {
  const int chunks = (k + kPackDepth - 1) / kPackDepth;
  const int first = static_cast<int>(item / chunks) * kLanes;
  const int begin = static_cast<int>(item % chunks) * kPackDepth;
  const int end = k - begin < kPackDepth ? k : begin + kPackDepth;
  float* tile = packed + std::int64_t{first / kGemmRows} * kGemmRows * k + first % kGemmRows;
  for (int i = begin; i < end; i += kLanes) {
    Floats square[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      square[lane] = first + lane < m
                         ? load_some(a + std::int64_t{first + lane} * k + i, end - i, 0)
                         : splat(0);
    }
    transpose(square);
    const int depth = end - i < kLanes ? end - i : kLanes;
    for (int d = 0; d < depth; ++d) store(tile + std::int64_t{i + d} * kGemmRows, square[d]);
  }
}

template <typename Out>
inline void store_tile(const float (*sums)[kGemmRows], Out* out, int rows, int columns, int n,
                       bool accumulate) {
  for (int c = 0; c < columns; c += kLanes) {
    const int count = columns - c;
    for (int r = 0; r < rows; r += kLanes) {
      Floats square[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) {
        square[lane] = lane < count ? load(&sums[c + lane][r]) : splat(0);
      }
      transpose(square);
      for (int lane = 0; lane < kLanes && r + lane < rows; ++lane) {
        Out* to = out + std::int64_t{r + lane} * n + c;
        const Floats before = accumulate ? load_some(to, count, 0) : splat(0);
        store_some(to, square[lane] + before, count);
      }
    }
  }
}

template <typename X, typename Out>
inline void gemm_item(const GemmCut& cut, std::int64_t item, Out* out, const float* packed,
                      const X* w, int m, int n, int k, bool accumulate) {
  GemmTile tile;
  const int column = static_cast<int>(item / cut.row_groups) * cut.columns;
  const int columns = n - column < cut.columns ? n - column : cut.columns;
  const int first_tile = static_cast<int>(item % cut.row_groups) * cut.group;
  const int all_tiles = (m + kGemmRows - 1) / kGemmRows;
  const int tiles = all_tiles - first_tile < cut.group ? all_tiles - first_tile : cut.group;
  for (int depth = 0; depth < k; depth += kGemmDepth) {
    const int count = k - depth < kGemmDepth ? k - depth : kGemmDepth;
    const X* from = w + std::int64_t{column} * k + depth;
    const float* weights;
    std::int64_t row_step;
    if constexpr (sizeof(X) == 2) {
      for (int c = 0; c < columns; ++c) {
        for (int i = 0; i < count; i += kLanes) {
          store(&tile.weights[c][i], load_some(from + std::int64_t{c} * k + i, count - i, 0));
        }
      }
      weights = tile.weights[0];
      row_step = kGemmDepth;
    } else {
      weights = from;
      row_step = k;
    }
    for (int t = 0; t < tiles; ++t) {
      const int rows = m - (first_tile + t) * kGemmRows;
      const int vectors = rows >= kGemmRows ? kGemmRows / kLanes : (rows + kLanes - 1) / kLanes;
      multiply(tile.sums[t][0], kGemmRows, depth == 0 ? nullptr : kKeep, weights,
               static_cast<int>(row_step), 1,
               packed + (std::int64_t{first_tile + t} * k + depth) * kGemmRows, kGemmRows, columns,
               vectors, count);
    }
  }
  for (int t = 0; t < tiles; ++t) {
    const int row = (first_tile + t) * kGemmRows;
    const int rows = m - row < kGemmRows ? m - row : kGemmRows;
    store_tile(tile.sums[t], out + std::int64_t{row} * n + column, rows, columns, n, accumulate);
  }
}

template <typename X, typename Out>
void gemm(int threads, Out* out, const X* a, const X* w, int m, int n, int k, bool accumulate,
          float* scratch) {
  const std::int64_t work = std::int64_t{m} * n * k / 8;
  threads = region_threads(threads, n, work);
  const GemmCut cut(m, n, threads);
  const std::int64_t items = cut.column_blocks * cut.row_groups;
  const std::int64_t packs =
      std::int64_t{(m + kLanes - 1) / kLanes} * ((k + kPackDepth - 1) / kPackDepth);
  if (threads == 1) {
    for (std::int64_t i = 0; i < packs; ++i) pack_rows(scratch, a, i, m, k);
    for (std::int64_t i = 0; i < items; ++i) {
      gemm_item(cut, i, out, scratch, w, m, n, k, accumulate);
    }
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    name_compute_thread(omp_get_thread_num());
#pragma omp for schedule(static)
    for (std::int64_t i = 0; i < packs; ++i) pack_rows(scratch, a, i, m, k);
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < items; ++i) {
      gemm_item(cut, i, out, scratch, w, m, n, k, accumulate);
    }
  }
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_GEMM_H_
