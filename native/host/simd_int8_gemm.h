// out[m,n] = (sum over k of a[m,k] * w[n,k]) * a_scales[m] * w_scales[n] in integers. See
// simd_int8.h for words, simd_vector.h for how this is compiled.
//
// Few rows: what counts is to read the weights once, as fast as memory gives them, so k lies in the
// lanes: a row of w is multiplied with all rows of `a` while it is in a register. More rows: the
// rows of `a` lie in the lanes, transposed once per call and shared by all threads; the weights are
// staged block by block and read as broadcast words. Sums are exact, so both give the same bits, in
// any cut and order.
#ifndef REMASK_HOST_SIMD_INT8_GEMM_H_
#define REMASK_HOST_SIMD_INT8_GEMM_H_

#include "int8.h"
#include "simd_int8.h"

namespace remask::host::REMASK_SIMD {

static_assert(kInt8Rows % kLanes == 0 && kInt8Depth % kValues == 0, "scratch for whole vectors");
constexpr int kInt8FewRows = 8;

// What becomes of a row's sums: `x` of them, as f32, go to columns of which w_scales are those.
struct Store {
  template <typename Out>
  static void finish(Out* to, Floats x, float a_scale, const float* w_scales, int count) {
    store_some(to, x * a_scale * load_some(w_scales, count, 0), count);
  }
};
struct Residual {
  static void finish(float* to, Floats x, float a_scale, const float* w_scales, int count) {
    const Floats scaled = x * a_scale, scales = load_some(w_scales, count, 0);
    const Floats before = load_some(to, count, 0);
#if defined(__AVX512F__)
    const Floats sum = (Floats)_mm512_fmadd_ps((__m512)scaled, (__m512)scales, (__m512)before);
#elif defined(__FMA__)
    const Floats sum = (Floats)_mm256_fmadd_ps((__m256)scaled, (__m256)scales, (__m256)before);
#else
    Floats sum;
    for (int i = 0; i < kLanes; ++i) sum[i] = __builtin_fmaf(scaled[i], scales[i], before[i]);
#endif
    store_some(to, sum, count);
  }
};

// --- few rows ---

constexpr int kFewColumns = 64;  // of an item of work
// Registers for sums: of a product, and of what the offset adds.
constexpr int kFewSums = kLanes >= 16 ? 16 : 8;

inline int few_stride(int k) { return (k + kValues - 1) / kValues; }

// Rows of `a` as words, one after the other; up to a power of two of rows, the last ones zero.
inline void prepare_few(Ints* prepared, const std::int8_t* a, int m, int rows, int k) {
  const int steps = few_stride(k);
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < steps; ++i) {
      prepared[std::int64_t{row} * steps + i] =
          row < m ? offset_words(words_of(a + std::int64_t{row} * k + i * kValues, k - i * kValues))
                  : (Ints)splat(0);
    }
  }
}

// Sums of M rows with C columns into sums[row][column].
template <int M, int C>
inline void few_sums(float (*sums)[kFewColumns], const Ints* prepared, const std::int8_t* w,
                     int k) {
  const int steps = few_stride(k), whole = k / kValues;
  Ints total[M][C], offsets[C];
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) {
    offsets[c] = (Ints)splat(0);
#pragma GCC unroll 8
    for (int r = 0; r < M; ++r) total[r][c] = (Ints)splat(0);
  }
  const auto step = [&](int i, const Ints(&words)[C]) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int r = 0; r < M; ++r) {
      const Ints row = prepared[std::int64_t{r} * steps + i];
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) total[r][c] = add_products(total[r][c], row, words[c]);
    }
    if constexpr (kOffset) {
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) offsets[c] = add_products(offsets[c], offset_alone(), words[c]);
    }
  };
  for (int i = 0; i < whole; ++i) {
    Ints words[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      const std::int8_t* from = w + std::int64_t{c} * k + i * kValues;
      words[c] = words_of(from);
      // The next columns: processors fetch ahead within a page, which here is about a row.
      __builtin_prefetch(from + std::int64_t{C} * k);
    }
    step(i, words);
  }
  if (whole < steps) {
    Ints words[C];
    for (int c = 0; c < C; ++c) {
      words[c] = words_of(w + std::int64_t{c} * k + whole * kValues, k - whole * kValues);
    }
    step(whole, words);
  }
  for (int r = 0; r < M; ++r) {
    for (int c = 0; c < C; ++c) {
      const Ints sum = kOffset ? (Ints)((Bits)total[r][c] - (Bits)offsets[c]) : total[r][c];
      sums[r][c] = static_cast<float>(sum_int_lanes(sum));
    }
  }
}

template <typename E, int M, typename Out>
inline void few_item(Out* out, const Ints* prepared, const float* a_scales, const std::int8_t* w,
                     const float* w_scales, int first, int m, int n, int k) {
  constexpr int C = kFewSums / M > 4 ? 4 : kFewSums / M;
  const int columns = n - first < kFewColumns ? n - first : kFewColumns;
  float sums[M][kFewColumns];
  w += std::int64_t{first} * k;
  int c = 0;
  for (; c + C <= columns; c += C) {
    few_sums<M, C>((float(*)[kFewColumns])(sums[0] + c), prepared, w + std::int64_t{c} * k, k);
  }
  for (; c < columns; ++c) {
    few_sums<M, 1>((float(*)[kFewColumns])(sums[0] + c), prepared, w + std::int64_t{c} * k, k);
  }
  for (int row = 0; row < m; ++row) {
    for (int i = 0; i < columns; i += kLanes) {
      const int count = columns - i;
      E::finish(out + std::int64_t{row} * n + first + i, load_some(sums[row] + i, count, 0),
                a_scales[row], w_scales + first + i, count);
    }
  }
}

template <typename E, int M, typename Out>
inline void few_rows(int threads, Out* out, const std::int8_t* a, const float* a_scales,
                     const std::int8_t* w, const float* w_scales, int m, int n, int k,
                     Ints* prepared) {
  prepare_few(prepared, a, m, M, k);
  const int items = (n + kFewColumns - 1) / kFewColumns;
  parallel_for(threads, items, std::int64_t{m} * n * k / 32, [=](std::int64_t item) {
    few_item<E, M>(out, prepared, a_scales, w, w_scales, static_cast<int>(item) * kFewColumns, m, n,
                   k);
  });
}

// --- many rows ---

constexpr int kInt8Words = 128;   // of k at a time: 32 KB of 64 rows of `a` stay in L1
constexpr int kInt8Columns = 48;  // most columns of the output per item of work
constexpr int kInt8Group = 4;     // most row tiles per item: they share the staged weights

// One item's working memory, on the thread's stack.
struct Int8Tile {
  alignas(64) std::int32_t weights[kInt8Columns][kInt8Words];
  alignas(64) std::int32_t sums[kInt8Group][kInt8Columns][kInt8Rows];
  std::uint32_t offsets[kInt8Columns];
};

// `a` transposed: tiles of up to kInt8Rows rows, each [words of k][rows].
struct PackedRows {
  std::int32_t* words;
  int rows;   // of a tile
  int depth;  // words of k

  PackedRows(void* scratch, int m, int k)
      : words(static_cast<std::int32_t*>(scratch)),
        rows(m >= kInt8Rows ? kInt8Rows : (m + kLanes - 1) / kLanes * kLanes),
        depth((k + kValues - 1) / kValues * kLanes) {}

  std::int64_t items(int m) const {
    return std::int64_t{(m + kLanes - 1) / kLanes} * (depth / kLanes);
  }

  // Transposes kLanes rows by kLanes words; rows past m are zero, and so is w past k.
  void pack(const std::int8_t* a, std::int64_t item, int m, int k) const {
    const int chunks = depth / kLanes;
    const int first = static_cast<int>(item / chunks) * kLanes;
    const int word = static_cast<int>(item % chunks) * kLanes;
    Floats square[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      const std::int64_t row = first + lane;
      const int column = word * kWordValues;
      square[lane] =
          row < m ? (Floats)offset_words(words_of(a + row * k + column, k - column)) : splat(0);
    }
    transpose(square);
    std::int32_t* to = tile(first / rows) + std::int64_t{word} * rows + first % rows;
    for (int i = 0; i < kLanes; ++i) store_ints(to + std::int64_t{i} * rows, (Ints)square[i]);
  }

  std::int32_t* tile(int index) const { return words + std::int64_t{index} * rows * depth; }
};

// sums[R][V vectors] (+)= the products of R columns of w with V vectors of rows of `a`.
template <int R, int V>
inline void int8_tile(std::int32_t* sums, bool first, const std::int32_t* weights,
                      const std::int32_t* a, int a_row, int depth) {
  Ints total[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      total[r][v] = first ? (Ints)splat(0) : load_ints(sums + r * kInt8Rows + v * kLanes);
    }
  }
  for (int i = 0; i < depth; ++i) {
    Ints rows[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) rows[v] = load_ints(a + std::int64_t{i} * a_row + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Ints factor = splat_word(weights[r * kInt8Words + i]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) total[r][v] = add_products(total[r][v], rows[v], factor);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store_ints(sums + r * kInt8Rows + v * kLanes, total[r][v]);
  }
}

// The same for any number of columns; R at a time, as many as the registers hold.
template <int R, int V>
inline void int8_columns(std::int32_t* sums, bool first, const std::int32_t* weights,
                         const std::int32_t* a, int a_row, int columns, int depth) {
  int c = 0;
  for (; c + R <= columns; c += R) {
    int8_tile<R, V>(sums + c * kInt8Rows, first, weights + c * kInt8Words, a, a_row, depth);
  }
  for (; c + 2 <= columns; c += 2) {
    int8_tile<2, V>(sums + c * kInt8Rows, first, weights + c * kInt8Words, a, a_row, depth);
  }
  if (c < columns) {
    int8_tile<1, V>(sums + c * kInt8Rows, first, weights + c * kInt8Words, a, a_row, depth);
  }
}

inline void int8_rows(std::int32_t* sums, bool first, const std::int32_t* weights,
                      const std::int32_t* a, int a_row, int vectors, int columns, int depth) {
#if defined(__AVX512F__)
  constexpr int kMost = 4;
#else
  constexpr int kMost = 2;
#endif
  for (int v = 0; v < vectors; v += kMost) {
    std::int32_t* to = sums + v * kLanes;
    const std::int32_t* from = a + v * kLanes;
    switch (vectors - v < kMost ? vectors - v : kMost) {
#if defined(__AVX512F__)
      case 1:
        int8_columns<16, 1>(to, first, weights, from, a_row, columns, depth);
        break;
      case 2:
        int8_columns<12, 2>(to, first, weights, from, a_row, columns, depth);
        break;
      case 3:
        int8_columns<8, 3>(to, first, weights, from, a_row, columns, depth);
        break;
      default:
        int8_columns<6, 4>(to, first, weights, from, a_row, columns, depth);
#elif defined(__AVX2__)
      case 1:
        int8_columns<8, 1>(to, first, weights, from, a_row, columns, depth);
        break;
      default:
        int8_columns<6, 2>(to, first, weights, from, a_row, columns, depth);
#else
      case 1:
        int8_columns<8, 1>(to, first, weights, from, a_row, columns, depth);
        break;
      default:
        int8_columns<4, 2>(to, first, weights, from, a_row, columns, depth);
#endif
    }
  }
}

// A block of w as words, each column's padded with zeros to whole vectors; adds up what the offset
// of `a` will add to the column's sums.
inline void stage_weights(Int8Tile& tile, const std::int8_t* w, int columns, int begin, int k) {
  const int count = k - begin < kInt8Words * kWordValues ? k - begin : kInt8Words * kWordValues;
  for (int c = 0; c < columns; ++c) {
    const std::int8_t* from = w + std::int64_t{c} * k + begin;
    Ints offsets = (Ints)splat(0);
    for (int i = 0; i < count; i += kValues) {
      const Ints words = words_of(from + i, count - i);
      store_ints(&tile.weights[c][i / kWordValues], words);
      if constexpr (kOffset) offsets = add_products(offsets, offset_alone(), words);
    }
    if constexpr (kOffset) tile.offsets[c] += static_cast<std::uint32_t>(sum_int_lanes(offsets));
  }
}

template <typename E, typename Out>
inline void finish_tile(const Int8Tile& tile, int t, Out* out, const float* a_scales,
                        const float* w_scales, int rows, int columns, int n) {
  for (int c = 0; c < columns; c += kLanes) {
    const int count = columns - c;
    for (int r = 0; r < rows; r += kLanes) {
      Floats square[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) {
        if (lane >= count) {
          square[lane] = splat(0);
          continue;
        }
        const Bits sums = (Bits)load_ints(&tile.sums[t][c + lane][r]) - tile.offsets[c + lane];
        square[lane] = __builtin_convertvector((Ints)sums, Floats);
      }
      transpose(square);
      for (int lane = 0; lane < kLanes && r + lane < rows; ++lane) {
        E::finish(out + std::int64_t{r + lane} * n + c, square[lane], a_scales[r + lane],
                  w_scales + c, count);
      }
    }
  }
}

template <typename E, typename Out>
inline void int8_item(Out* out, const PackedRows& packed, const float* a_scales,
                      const std::int8_t* w, const float* w_scales, int column, int columns,
                      int first_tile, int tiles, int m, int n, int k) {
  Int8Tile tile;
  std::memset(tile.offsets, 0, sizeof(tile.offsets));
  w += std::int64_t{column} * k;
  for (int begin = 0; begin < packed.depth; begin += kInt8Words) {
    const int depth = packed.depth - begin < kInt8Words ? packed.depth - begin : kInt8Words;
    stage_weights(tile, w, columns, begin * kWordValues, k);
    for (int t = 0; t < tiles; ++t) {
      const int rows = m - (first_tile + t) * packed.rows;
      const int vectors = (rows < packed.rows ? rows + kLanes - 1 : packed.rows) / kLanes;
      int8_rows(tile.sums[t][0], begin == 0, tile.weights[0],
                packed.tile(first_tile + t) + std::int64_t{begin} * packed.rows, packed.rows,
                vectors, columns, depth);
    }
  }
  for (int t = 0; t < tiles; ++t) {
    const int row = (first_tile + t) * packed.rows;
    const int rows = m - row < packed.rows ? m - row : packed.rows;
    finish_tile<E>(tile, t, out + std::int64_t{row} * n + column, a_scales + row, w_scales + column,
                   rows, columns, n);
  }
}

template <typename E, typename Out>
inline void many_rows(int threads, Out* out, const std::int8_t* a, const float* a_scales,
                      const std::int8_t* w, const float* w_scales, int m, int n, int k,
                      void* scratch) {
  const PackedRows packed(scratch, m, k);
  const int tiles = (m + packed.rows - 1) / packed.rows;
  const int group = tiles < kInt8Group ? tiles : kInt8Group;
  const int groups = (tiles + group - 1) / group;
  threads = region_threads(threads, n, std::int64_t{m} * n * k / 32);
  int width = kInt8Columns;  // narrower where threads would find nothing to do
  while (threads > 1 && width > kInt8Columns / 4 &&
         std::int64_t{(n + width - 1) / width} * groups < std::int64_t{threads} * 4) {
    width /= 2;
  }
  const std::int64_t items = std::int64_t{(n + width - 1) / width} * groups;
  const std::int64_t packs = packed.items(m);
  const auto item = [&](std::int64_t i) {
    const int column = static_cast<int>(i / groups) * width;
    const int first = static_cast<int>(i % groups) * group;
    int8_item<E>(out, packed, a_scales, w, w_scales, column,
                 n - column < width ? n - column : width, first,
                 tiles - first < group ? tiles - first : group, m, n, k);
  };
  if (threads == 1) {
    for (std::int64_t i = 0; i < packs; ++i) packed.pack(a, i, m, k);
    for (std::int64_t i = 0; i < items; ++i) item(i);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    name_compute_thread(omp_get_thread_num());
#pragma omp for schedule(static)
    for (std::int64_t i = 0; i < packs; ++i) packed.pack(a, i, m, k);
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < items; ++i) item(i);
  }
}

template <typename E, typename Out>
void gemm_int8(int threads, Out* out, const std::int8_t* a, const float* a_scales,
               const std::int8_t* w, const float* w_scales, int m, int n, int k, void* scratch) {
  Ints* prepared = static_cast<Ints*>(scratch);
  if (m == 1) {
    few_rows<E, 1>(threads, out, a, a_scales, w, w_scales, m, n, k, prepared);
  } else if (m == 2) {
    few_rows<E, 2>(threads, out, a, a_scales, w, w_scales, m, n, k, prepared);
  } else if (m <= 4) {
    few_rows<E, 4>(threads, out, a, a_scales, w, w_scales, m, n, k, prepared);
  } else if (m <= kInt8FewRows) {
    few_rows<E, 8>(threads, out, a, a_scales, w, w_scales, m, n, k, prepared);
  } else {
    many_rows<E>(threads, out, a, a_scales, w, w_scales, m, n, k, scratch);
  }
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_INT8_GEMM_H_
