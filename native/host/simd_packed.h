// Products by packed weights: what the gemm_packed kernels, and others that need some columns of a
// product at a time, are made of. See simd_vector.h for how this is compiled.
//
// The packed format of w[n,k] (pack_weight writes it): strips of 16 columns of the product; strip s
// holds rows 16s to 16s + 15 of w, in the very bytes that they had. In a strip bf16 lies as
// [k/2][16][2], two neighbours of k side by side (an odd last one as [16]), f32 as [k][16]. A last
// strip of fewer columns has their number in place of 16. Every instruction set reads this format.
//
// So a strip is a stream of vectors whose lanes are columns: it comes from memory once, in order,
// and software prefetches hide how far that is. The rows of `a`, which are few, are widened once
// per call and laid out such that a register tile's factors lie at constant distances. Every
// element's sum runs over k in order, in f32, whatever the tile, the thread and the other rows, and
// begins with 0. Without AVX512_BF16 its bits are those of simd_gemm.h; with it, each step adds the
// products of two neighbours of k.
//
// Measured (Xeon of family 6 model 207, one core, 12288 x 4096 bf16, CPU time; gemm_bench): 64 rows
// at 0.87 of the rate of multiply-adds in registers, 1 to 4 rows at 0.9 of the rate at which memory
// can be read. Rejected: weights widened once per strip into a buffer for all row tiles, 141
// instead of 148 GFLOP/s at 64 rows: the widening then waits for memory.
#ifndef REMASK_HOST_SIMD_PACKED_H_
#define REMASK_HOST_SIMD_PACKED_H_

#include "simd_vector.h"

namespace remask::host::REMASK_SIMD {

constexpr int kStrip = 16;                      // columns
constexpr int kStripVectors = kStrip / kLanes;  // vectors of f32 that hold them
constexpr int kWordBytes = kStrip * 4;          // of a strip, per step: one k or, for bf16, two
// Of k at a time: where row tiles share weights, 16 KB of these and 14 KB of rows stay in L1. Even.
constexpr int kPackedDepth = kPackedBlock;
constexpr int kWordsAhead = 24;  // a single tile's prefetch: 1.5 KB of each of its strips

// A register tile is rows x strips x kStripVectors of sums; besides, the register file holds a
// step's weights, a factor and, without AVX-512, a mask.
#if defined(__AVX512F__)
constexpr int kRegisters = 31, kPackedRows = 14;
#elif defined(__AVX2__)
constexpr int kRegisters = 15, kPackedRows = 6;
#else
constexpr int kRegisters = 15, kPackedRows = 2;
#endif
constexpr int kPackedStrips = 4;  // at most: several streams, and sums that need not wait

// Strips of a tile of so many rows.
constexpr int tile_strips(int rows) {
  int strips = kPackedStrips;
  while (strips > 1 && (rows + 1) * strips * kStripVectors + 1 > kRegisters) strips /= 2;
  return strips;
}

// How m rows are cut into tiles: as few as there can be, of sizes that differ by one at most.
struct RowTiles {
  int count, size, larger;  // the first `larger` tiles have size + 1 rows, the others `size`

  explicit RowTiles(int m) : count((m + kPackedRows - 1) / kPackedRows) {
    size = m / count;
    larger = m - size * count;
  }
  int rows(int tile) const { return size + (tile < larger ? 1 : 0); }
  int first(int tile) const { return tile * size + (tile < larger ? tile : larger); }
};

// How a 32-bit word of the weights meets a factor of the rows.
enum class Words {
  kFloats,  // both are f32
  kPairs,   // two bf16 meet two f32 one after the other, the lower one first
  kDots,    // two bf16 meet two bf16 at once
};

#ifdef __AVX512BF16__
constexpr Words kBf16Words = Words::kDots;
#else
constexpr Words kBf16Words = Words::kPairs;
#endif

template <typename X>
constexpr Words kWordsOf = sizeof(X) == 2 ? kBf16Words : Words::kFloats;
// Those that are put together where a strip's own do not do.
template <typename X>
constexpr Words kPanelWordsOf = kWordsOf<X> == Words::kDots ? Words::kDots : Words::kFloats;
constexpr int per_word(Words words) { return words == Words::kFloats ? 1 : 2; }  // of k
// Of k in a factor, and factors from a block of a prepared row to the next row's.
template <typename X>
constexpr int kPerFactor = per_word(kPanelWordsOf<X>);
constexpr int block_factors(Words words) {
  return (words == Words::kDots ? kPackedDepth / 2 : kPackedDepth) + kPackedPad;
}

// ---- the rows

// Where factor `at` of a row lies: prepared[k / kPackedDepth, rounded up][m][block_factors].
template <typename X>
inline std::int64_t prepared_place(int m, int row, int at) {
  constexpr int kBlock = block_factors(kPanelWordsOf<X>), kFactors = kPackedDepth / kPerFactor<X>;
  return (std::int64_t{at / kFactors} * m + row) * kBlock + at % kFactors;
}

// Lays one row of a[m,k] out. `prepared` has prepared_floats(m, k).
template <typename X>
inline void prepare_row(float* prepared, const X* a, int m, int row, int k) {
  const X* from = a + std::int64_t{row} * k;
  for (int begin = 0; begin < k; begin += kPackedDepth) {
    const int count = k - begin < kPackedDepth ? k - begin : kPackedDepth;
    float* to = prepared + prepared_place<X>(m, row, begin / kPerFactor<X>);
    if constexpr (kWordsOf<X> == Words::kDots) {
      // A half last pair gets a 0.
      if (count % 2 != 0) to[count / 2] = 0;
      std::memcpy(to, from + begin, sizeof(X) * count);
    } else {
      for (int i = 0; i < count; i += kLanes) {
        store_some(to + i, load_some(from + begin + i, count - i, 0), count - i);
      }
    }
  }
}

// All rows, by the calling thread.
template <typename X>
inline void prepare_rows(float* prepared, const X* a, int m, int k) {
  for (int row = 0; row < m; ++row) prepare_row(prepared, a, m, row, k);
}

// ---- one register tile

// Words of some strips: word i of strip s lies at from + i * word_step + s * strip_step.
//
// Meanwhile words that are needed soon are brought nearer: of every strip the one at `ahead`, which
// moves by ahead_step with each word.
struct StripWords {
  const char* from;
  std::int64_t word_step, strip_step;
  const char* ahead;
  std::int64_t ahead_step;
};

// Where vector v of the strips lies, `word` being the first one's.
inline const char* vector_of(const char* word, const StripWords& words, int v) {
  return word + v / kStripVectors * words.strip_step + v % kStripVectors * kLanes * 4;
}

inline Bits load_bits(const char* from) {
  Bits bits;
  std::memcpy(&bits, from, sizeof(bits));
  return bits;
}

// The upper bf16 of each word as f32.
inline Floats load_upper(const char* from) {
#if defined(__AVX512F__)
  // A masked load: its mask needs no vector register, of which a tile leaves none.
  return (Floats)_mm512_maskz_loadu_epi16(0xaaaaaaaau, from);
#else
  return (Floats)(load_bits(from) & 0xffff0000u);
#endif
}

template <Words kWords>
inline Floats multiply_add(Floats sum, Floats factor, Floats weights) {
#ifdef __AVX512BF16__
  if constexpr (kWords == Words::kDots) {
    return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)factor, (__m512bh)weights);
  }
#endif
  sum += factor * weights;
#if defined(__x86_64__) && !defined(__AVX512F__)
  // Keeps gcc from loading all factors of a step first, for which 16 registers are too few.
  asm volatile("" : "+x"(sum));
#endif
  return sum;
}

// sums[R][S strips] = (keep ? sums : 0) + products of `count` words and the factors at `a`, those
// of each further row a block of factors on.
template <int R, int S, Words kWords>
__attribute__((noinline)) void packed_tile(float* sums, int stride, bool keep, const float* a,
                                           const StripWords& words, int count) {
  constexpr int kVectors = S * kStripVectors, kRowStep = block_factors(kWords);
  Floats tile[R][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      tile[r][v] = keep ? load(sums + std::int64_t{r} * stride + v * kLanes) : splat(0);
    }
  }
  const StripWords at = words;
  const char *word = at.from, *ahead = at.ahead;
  for (int i = 0; i < count; ++i) {
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) __builtin_prefetch(ahead + s * at.strip_step);
    Floats weights[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const Bits bits = load_bits(vector_of(word, at, v));
      weights[v] = (Floats)(kWords == Words::kPairs ? bits << 16 : bits);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Floats factor = splat(a[r * kRowStep]);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        tile[r][v] = multiply_add<kWords>(tile[r][v], factor, weights[v]);
      }
    }
    if constexpr (kWords == Words::kPairs) {
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) weights[v] = load_upper(vector_of(word, at, v));
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Floats factor = splat(a[r * kRowStep + 1]);
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) {
          tile[r][v] = multiply_add<kWords>(tile[r][v], factor, weights[v]);
        }
      }
    }
    a += kWords == Words::kPairs ? 2 : 1;
    word += at.word_step;
    ahead += at.ahead_step;
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      store(sums + std::int64_t{r} * stride + v * kLanes, tile[r][v]);
    }
  }
}

// The same for any number of rows up to R and of strips up to tile_strips(rows), a power of two.
template <Words kWords, int R = kPackedRows>
inline void run_packed_tile(int rows, int strips, float* sums, int stride, bool keep,
                            const float* a, const StripWords& words, int count) {
  if constexpr (R > 1) {
    if (rows < R) {
      run_packed_tile<kWords, R - 1>(rows, strips, sums, stride, keep, a, words, count);
      return;
    }
  }
  constexpr int kMost = tile_strips(R);
  if (kMost == 4 && strips == 4) {
    packed_tile<R, kMost == 4 ? 4 : 1, kWords>(sums, stride, keep, a, words, count);
  } else if (kMost >= 2 && strips == 2) {
    packed_tile<R, kMost >= 2 ? 2 : 1, kWords>(sums, stride, keep, a, words, count);
  } else {
    packed_tile<R, 1, kWords>(sums, stride, keep, a, words, count);
  }
}

// ---- many tiles

// The rows of tiles [first, first + count) of m rows, prepared, and where their sums lie.
struct PreparedRows {
  const float* prepared;
  int m;
  const RowTiles& tiles;
  int first, count;
  int stride;  // floats from a row's sums to the next one's
};

// Multiplies all rows, from k `begin` on, by `count` words of `strips` strips: not past a block.
template <typename X, Words kWords>
inline void multiply_tiles(const PreparedRows& rows, float* sums, int strips, StripWords words,
                           int begin, int count) {
  const int first_row = rows.tiles.first(rows.first);
  for (int t = rows.first; t < rows.first + rows.count; ++t) {
    const int row = rows.tiles.first(t);
    run_packed_tile<kWords>(
        rows.tiles.rows(t), strips, sums + std::int64_t{row - first_row} * rows.stride, rows.stride,
        begin > 0, rows.prepared + prepared_place<X>(rows.m, row, begin / kPerFactor<X>), words,
        count);
    words.ahead += words.ahead_step * count;
  }
}

// Element (column c, k = i) of a strip of `width` columns.
template <typename X>
inline X strip_element(const X* strip, int width, int k, int c, int i) {
  if (sizeof(X) == 2 && (i | 1) < k) return strip[std::int64_t{i & ~1} * width + 2 * c + (i & 1)];
  return strip[std::int64_t{i} * width + c];
}

inline void put_element(float* word, float value, int) { *word = value; }

inline void put_element(float* word, bf16 value, int i) {
  std::uint32_t bits = value.bits;
  if constexpr (kBf16Words == Words::kDots) {
    std::memcpy(reinterpret_cast<char*>(word) + i % 2 * sizeof(bf16), &value, sizeof(value));
  } else {
    bits <<= 16;
    std::memcpy(word, &bits, sizeof(bits));
  }
}

// Strips [first, first + count) of the weights and k in [begin, end), as words that meet factors:
// panel[(end - begin) / kPerFactor, rounded up][count][16]. Columns past n are 0.
template <typename X>
inline void collect_words(float* panel, const X* w, int n, int k, int first, int count, int begin,
                          int end) {
  const int words = (end - begin + kPerFactor<X> - 1) / kPerFactor<X>;
  std::memset(panel, 0, sizeof(float) * words * count * kStrip);
  for (int s = 0; s < count; ++s) {
    const int column = (first + s) * kStrip;
    const int width = n - column < kStrip ? n - column : kStrip;
    const X* strip = w + std::int64_t{column} * k;
    for (int i = begin; i < end; ++i) {
      float* to = panel + ((i - begin) / kPerFactor<X> * count + s) * kStrip;
      for (int c = 0; c < width; ++c) put_element(to + c, strip_element(strip, width, k, c, i), i);
    }
  }
}

// sums[r][c] = sum over k of row r of the rows' tiles and column 16 first_strip + c, where
// c < 16 strips. Columns past n get 0.
template <typename X>
inline void packed_block(float* sums, const PreparedRows& rows, const X* w, int n, int k,
                         int first_strip, int strips) {
  constexpr int kStep = per_word(kWordsOf<X>);
  const std::int64_t strip_bytes = static_cast<std::int64_t>(sizeof(X)) * kStrip * k;
  const int most = tile_strips(rows.tiles.rows(rows.first));
  alignas(64) float panel[kPackedStrips * kPackedDepth * kStrip];
  for (int begin = 0; begin < k; begin += kPackedDepth) {
    const int end = k - begin < kPackedDepth ? k : begin + kPackedDepth;
    int count;
    for (int s = 0; s < strips; s += count) {
      const int column = (first_strip + s) * kStrip;
      const bool ragged = n - column < kStrip;
      const int there = ragged ? 1 : (n - column) / kStrip;
      count = most;
      while (count > strips - s || count > there) count /= 2;
      float* to = sums + s * kStrip;
      const int whole = ragged ? begin : begin + (end - begin) / kStep * kStep;
      if (whole > begin) {
        const char* strip = reinterpret_cast<const char*>(w + std::int64_t{column} * k);
        const char* from = strip + std::int64_t{begin / kStep} * kWordBytes;
        // A lone tile runs down its strips. Several share what is needed after these words: the
        // next strips', else deeper ones of the first strips, else those of the next block.
        const char* ahead = from + kWordsAhead * kWordBytes;
        if (rows.count > 1) {
          const bool deeper = s + count >= strips && end < k;
          ahead = deeper ? strip - s * strip_bytes + std::int64_t{end / kStep} * kWordBytes
                         : strip + count * strip_bytes +
                               (s + count < strips ? std::int64_t{begin / kStep} * kWordBytes : 0);
        }
        const StripWords words = {from, kWordBytes, strip_bytes, ahead,
                                  (kWordBytes + rows.count - 1) / rows.count};
        multiply_tiles<X, kWordsOf<X>>(rows, to, count, words, begin, (whole - begin) / kStep);
      }
      // What is no vector of words: an odd last k, a strip of fewer columns.
      if (whole < end) {
        collect_words(panel, w, n, k, first_strip + s, count, whole, end);
        const char* from = reinterpret_cast<const char*>(panel);
        multiply_tiles<X, kPanelWordsOf<X>>(
            rows, to, count, StripWords{from, count * kWordBytes, kWordBytes, from, 0}, whole,
            (end - whole + kPerFactor<X> - 1) / kPerFactor<X>);
      }
    }
  }
}

// out[r][c] = sum over k of a[r,k] * w[first_column + c, k] for all m rows, c < columns, by the
// calling thread. first_column is a multiple of 16, and columns too unless they end with n. `out`
// has rows out_stride floats apart, room for `columns` rounded up to 16 in each; what is past n
// becomes 0. `prepared` is prepare_rows' of a. The bits are those of any other range of columns.
template <typename X>
inline void packed_columns(float* out, int out_stride, const float* prepared, int m, const X* w,
                           int n, int k, int first_column, int columns) {
  const RowTiles tiles(m);
  packed_block(out, PreparedRows{prepared, m, tiles, 0, tiles.count, out_stride}, w, n, k,
               first_column / kStrip, (columns + kStrip - 1) / kStrip);
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_PACKED_H_
