// The gemm_packed kernels: products by packed weights (simd_packed.h) and what is done with their
// sums before anything is stored. See simd_vector.h for how this is compiled.
//
// An item of work is a block of columns of some row tiles. Its sums stay in a buffer of the
// thread's until an epilogue puts them, row by row, where they go.
#ifndef REMASK_HOST_SIMD_PACKED_GEMM_H_
#define REMASK_HOST_SIMD_PACKED_GEMM_H_

#include "simd_packed.h"
#include "simd_rows.h"

namespace remask::host::REMASK_SIMD {

// out[m,n] = sums, rounded to Out.
template <typename Out>
struct StoreSums {
  static constexpr int kRanges = 1;
  Out* out;
  int n;

  int columns() const { return n; }
  int block() const { return 0; }  // any
  int first(int, int column) const { return column; }
  __attribute__((noinline)) void put(int row, int column, int count, const float* sums,
                                     const float*) const {
    Out* to = out + std::int64_t{row} * n + column;
    for (int c = 0; c < count; c += kLanes) {
      store_some(to + c, load_some(sums + c, count - c, 0), count - c);
    }
  }
};

// residual[m,n] += sums, which are not rounded on their way.
struct AddToResidual {
  static constexpr int kRanges = 1;
  float* residual;
  int n;

  int columns() const { return n; }
  int block() const { return 0; }
  int first(int, int column) const { return column; }
  __attribute__((noinline)) void put(int row, int column, int count, const float* sums,
                                     const float*) const {
    float* to = residual + std::int64_t{row} * n + column;
    for (int c = 0; c < count; c += kLanes) {
      const Floats sum = load_some(sums + c, count - c, 0);
      store_some(to + c, load_some(to + c, count - c, 0) + sum, count - c);
    }
  }
};

// out[m,width] = silu(gate) * up; columns 0 to width - 1 of the product are gates, the next `width`
// ups.
template <typename X>
struct GateSums {
  static constexpr int kRanges = 2;
  X* out;
  int width;

  int columns() const { return width; }
  int block() const { return 0; }
  int first(int range, int column) const { return range * width + column; }
  __attribute__((noinline)) void put(int row, int column, int count, const float* gates,
                                     const float* ups) const {
    X* to = out + std::int64_t{row} * width + column;
    for (int c = 0; c < count; c += kLanes) {
      const Floats gate = load_some(gates + c, count - c, 0);
      store_some(to + c, silu(gate) * load_some(ups + c, count - c, 0), count - c);
    }
  }
};

// Splits QKV rows into q, keys and values, and turns the heads of q and keys; see PackedHeads.
template <typename X>
struct RotateSums {
  static constexpr int kRanges = 1;
  PackedHeads<X> to;

  int columns() const { return (to.heads + 2 * to.kv_heads) * to.head_dim; }
  int block() const { return to.head_dim; }
  int first(int, int column) const { return column; }
  __attribute__((noinline)) void put(int row, int column, int count, const float* sums,
                                     const float*) const {
    int head = column / to.head_dim;
    X* target = to.q + std::int64_t{row} * to.q_stride;
    const bool turns = head < to.heads + to.kv_heads;
    if (head >= to.heads) {
      const int kv_row = to.kv_rows == nullptr ? row : to.kv_rows[row];
      target = (turns ? to.keys : to.values) + std::int64_t{kv_row} * to.kv_stride;
      head -= turns ? to.heads : to.heads + to.kv_heads;
    }
    target += std::int64_t{head} * to.head_dim;
    if (!turns) {
      for (int c = 0; c < count; c += kLanes) {
        store_some(target + c, load_some(sums + c, count - c, 0), count - c);
      }
      return;
    }
    const float* pairs = to.cos_sin + std::int64_t{to.positions[row]} * to.head_dim;
    const int half = to.head_dim / 2;
    for (int i = 0; i < half; i += kLanes) {
      const int left = half - i;
      Floats cosine, sine;
      load_cos_sin(pairs + 2 * i, left, &cosine, &sine);
      const Floats a = load_some(sums + i, left, 0), b = load_some(sums + half + i, left, 0);
      store_some(target + i, a * cosine - b * sine, left);
      store_some(target + half + i, b * cosine + a * sine, left);
    }
  }
};

// How a product is cut into items: coarse enough to share what is loaded, fine enough that every
// thread finds some. No result depends on it.
struct PackedCut {
  static constexpr int kColumns = 128, kTiles = 8;
  int columns, tiles;
  std::int64_t blocks, groups;

  // Blocks of `fixed` columns, where it is not 0.
  PackedCut(const RowTiles& rows, int all_columns, int fixed, int threads)
      : columns(fixed > 0 ? fixed : kColumns), tiles(rows.count < kTiles ? rows.count : kTiles) {
    constexpr int kItemsPerThread = 6;
    if (fixed == 0 && rows.count == 1) columns = tile_strips(rows.size) * kStrip;
    for (;;) {
      blocks = (all_columns + columns - 1) / columns;
      groups = (rows.count + tiles - 1) / tiles;
      if (threads == 1 || blocks * groups >= std::int64_t{threads} * kItemsPerThread) return;
      // A lone strip, or a lone tile for its weights, comes last: both waste loads.
      if (tiles > 4) {
        tiles /= 2;
      } else if (fixed == 0 && columns > 2 * kStrip) {
        columns /= 2;
      } else if (tiles > 2) {
        tiles /= 2;
      } else if (fixed == 0 && columns > kStrip) {
        columns /= 2;
      } else {
        return;
      }
    }
  }
};

// Floats of an item's sums: kTiles tiles of kColumns columns and what alignment to strips adds, or
// one tile of the widest head.
constexpr int kPackedItemFloats =
    PackedCut::kTiles * kPackedRows * (PackedCut::kColumns + 2 * kStrip);

template <typename X, typename Epilogue>
inline void packed_item(const PackedCut& cut, std::int64_t item, const Epilogue& epilogue,
                        const float* prepared, const RowTiles& tiles, const X* w, int m, int n,
                        int k) {
  alignas(64) float sums[Epilogue::kRanges][kPackedItemFloats];
  const int column = static_cast<int>(item / cut.groups) * cut.columns;
  const int left = epilogue.columns() - column;
  const int columns = left < cut.columns ? left : cut.columns;
  const int end_tile = static_cast<int>(item % cut.groups + 1) * cut.tiles;
  int tile = end_tile - cut.tiles;
  const int last_tile = end_tile < tiles.count ? end_tile : tiles.count;
  int strips[2], skipped[2] = {0, 0};
  for (int range = 0; range < Epilogue::kRanges; ++range) {
    const int first = epilogue.first(range, column);
    skipped[range] = first % kStrip;
    strips[range] = (skipped[range] + columns + kStrip - 1) / kStrip;
  }
  const int widest = Epilogue::kRanges == 2 && strips[1] > strips[0] ? strips[1] : strips[0];
  const int stride = widest * kStrip;
  const int at_once = kPackedItemFloats / (stride * kPackedRows);
  while (tile < last_tile) {
    const int count = last_tile - tile < at_once ? last_tile - tile : at_once;
    for (int range = 0; range < Epilogue::kRanges; ++range) {
      packed_block(sums[range], PreparedRows{prepared, m, tiles, tile, count, stride}, w, n, k,
                   epilogue.first(range, column) / kStrip, strips[range]);
    }
    const int first_row = tiles.first(tile), end_row = tiles.first(tile + count);
    for (int row = first_row; row < end_row; ++row) {
      const std::int64_t at = std::int64_t{row - first_row} * stride;
      epilogue.put(
          row, column, columns, sums[0] + at + skipped[0],
          Epilogue::kRanges == 2 ? sums[Epilogue::kRanges - 1] + at + skipped[1] : nullptr);
    }
    tile += count;
  }
}

template <typename X, typename Epilogue>
inline void packed_gemm(int threads, const Epilogue& epilogue, const X* a, const X* w, int m, int n,
                        int k, float* prepared) {
  const RowTiles tiles(m);
  threads = region_threads(threads, n, std::int64_t{m} * n * k / 8);
  const PackedCut cut(tiles, epilogue.columns(), epilogue.block(), threads);
  const std::int64_t items = cut.blocks * cut.groups;
  if (threads == 1) {
    prepare_rows(prepared, a, m, k);
    for (std::int64_t i = 0; i < items; ++i) {
      packed_item(cut, i, epilogue, prepared, tiles, w, m, n, k);
    }
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    name_compute_thread(omp_get_thread_num());
    float* own = prepared;
    if (prepares_alone(m, k)) {
      own += omp_get_thread_num() * prepared_floats(m, k);
      prepare_rows(own, a, m, k);
    } else {
#pragma omp for schedule(static)
      for (int row = 0; row < m; ++row) prepare_row(prepared, a, m, row, k);
    }
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < items; ++i) {
      packed_item(cut, i, epilogue, own, tiles, w, m, n, k);
    }
  }
}

template <typename X, typename Out>
void gemm_packed(int threads, Out* out, const X* a, const X* w, int m, int n, int k,
                 float* scratch) {
  packed_gemm(threads, StoreSums<Out>{out, n}, a, w, m, n, k, scratch);
}

template <typename X>
void gemm_packed_residual(int threads, float* residual, const X* a, const X* w, int m, int n, int k,
                          float* scratch) {
  packed_gemm(threads, AddToResidual{residual, n}, a, w, m, n, k, scratch);
}

template <typename X>
void gemm_packed_swiglu(int threads, X* out, const X* a, const X* w, int m, int n, int k,
                        float* scratch) {
  packed_gemm(threads, GateSums<X>{out, n / 2}, a, w, m, n, k, scratch);
}

template <typename X>
void gemm_packed_rope(int threads, const PackedHeads<X>& heads, const X* a, const X* w, int m,
                      int n, int k, float* scratch) {
  packed_gemm(threads, RotateSums<X>{heads}, a, w, m, n, k, scratch);
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_PACKED_GEMM_H_
