// Attention over packed sequences, flash style. See simd_vector.h for how this is compiled.
//
// One item of work: up to kQueryTile queries against all keys of their sequence. The queries lie in
// the vector lanes: scores[key][query], out[dim][query]; so maxima, exponentials and sums run down
// the lanes without a horizontal step, keys and values are used in the order in which they lie in
// memory, and only the queries and the finished output are transposed, once per item. Query heads
// that share a key/value head fill the lanes of one item together, so that its keys and values are
// converted to f32 once for all of them.
// A lane's sums run over dims and keys in order, whatever else is in the tile: a query's result
// depends on its own sequence only, not on tiling, threads or neighbours in the batch.
#ifndef REMASK_HOST_SIMD_ATTENTION_H_
#define REMASK_HOST_SIMD_ATTENTION_H_

#include "simd_tile.h"

namespace remask::host::REMASK_SIMD {

constexpr int kQueryTile = 64;
constexpr int kKeyTile = 64;
static_assert(kQueryTile % kLanes == 0, "whole vectors of queries");

// One item's working memory: 145 KB for 128 dims, on the thread's stack.
template <int kDim>
struct AttentionTile {
  alignas(64) float queries[kDim][kQueryTile];  // scaled
  alignas(64) float out[kDim][kQueryTile];
  alignas(64) float scores[kKeyTile][kQueryTile];
  alignas(64) float keys[kKeyTile][kDim];
  alignas(64) float values[kKeyTile][kDim];
  alignas(64) float maximum[kQueryTile];
  alignas(64) float sum[kQueryTile];
  alignas(64) float rescale[kQueryTile];
};

template <int kDim, typename X>
struct AttentionItem {
  const X* queries[kQueryTile];  // kDim elements each
  X* out[kQueryTile];
  int count;  // of queries
};

template <int kDim, typename X>
inline void load_queries(AttentionTile<kDim>& tile, const AttentionItem<kDim, X>& item, int vectors,
                         float scale) {
  for (int v = 0; v < vectors; ++v) {
    for (int dim = 0; dim < kDim; dim += kLanes) {
      Floats square[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) {
        const int query = v * kLanes + lane;
        square[lane] = query < item.count ? load(item.queries[query] + dim) * scale : splat(0);
      }
      transpose(square);
      for (int i = 0; i < kLanes; ++i) store(&tile.queries[dim + i][v * kLanes], square[i]);
    }
  }
}

template <int kDim, typename X>
inline void store_out(const AttentionTile<kDim>& tile, const AttentionItem<kDim, X>& item,
                      int vectors) {
  for (int v = 0; v < vectors; ++v) {
    const Floats factor = 1.0f / load(&tile.sum[v * kLanes]);
    for (int dim = 0; dim < kDim; dim += kLanes) {
      Floats square[kLanes];
      for (int i = 0; i < kLanes; ++i) square[i] = load(&tile.out[dim + i][v * kLanes]) * factor;
      transpose(square);
      for (int lane = 0; lane < kLanes; ++lane) {
        const int query = v * kLanes + lane;
        if (query < item.count) store(item.out[query] + dim, square[lane]);
      }
    }
  }
}

// Rows of `kDim` elements as f32. f32 rows are copied too: the strided originals of a fused QKV
// matrix share cache sets.
template <int kDim, typename X>
inline void load_rows(float (*to)[kDim], const X* from, int stride, int rows) {
  for (int row = 0; row < rows; ++row) {
    for (int dim = 0; dim < kDim; dim += kLanes) {
      store(&to[row][dim], load(from + std::int64_t{row} * stride + dim));
    }
  }
}

// Turns one vector of queries' scores into exp(score - maximum), updates maximum and sum, and
// leaves in `rescale` what the output gathered so far must be multiplied by.
template <int kDim>
inline void softmax_tile(AttentionTile<kDim>& tile, int v, int keys) {
  const Floats before = load(&tile.maximum[v * kLanes]);
  Floats highest = before;
  for (int key = 0; key < keys; ++key) {
    highest = maximum(load(&tile.scores[key][v * kLanes]), highest);
  }
  const Floats rescale = exponential(before - highest);
  Floats sum = load(&tile.sum[v * kLanes]) * rescale;
  for (int key = 0; key < keys; ++key) {
    const Floats weight = exponential(load(&tile.scores[key][v * kLanes]) - highest);
    store(&tile.scores[key][v * kLanes], weight);
    sum += weight;
  }
  store(&tile.maximum[v * kLanes], highest);
  store(&tile.sum[v * kLanes], sum);
  store(&tile.rescale[v * kLanes], rescale);
}

template <int kDim, typename X>
void attend(const AttentionItem<kDim, X>& item, const X* k, const X* v, int kv_stride, int keys,
            float scale) {
  AttentionTile<kDim> tile;
  const int vectors = (item.count + kLanes - 1) / kLanes;
  load_queries(tile, item, vectors, scale);
  for (int i = 0; i < vectors; ++i) {
    store(&tile.maximum[i * kLanes], splat(-__builtin_inff()));
    store(&tile.sum[i * kLanes], splat(0));
  }
  for (int first = 0; first < keys; first += kKeyTile) {
    const int count = keys - first < kKeyTile ? keys - first : kKeyTile;
    load_rows<kDim>(tile.keys, k + std::int64_t{first} * kv_stride, kv_stride, count);
    load_rows<kDim>(tile.values, v + std::int64_t{first} * kv_stride, kv_stride, count);
    multiply(tile.scores[0], kQueryTile, nullptr, tile.keys[0], kDim, 1, tile.queries[0],
             kQueryTile, count, vectors, kDim);
    for (int i = 0; i < vectors; ++i) softmax_tile(tile, i, count);
    multiply(tile.out[0], kQueryTile, first == 0 ? nullptr : tile.rescale, tile.values[0], 1, kDim,
             tile.scores[0], kQueryTile, kDim, vectors, count);
  }
  store_out(tile, item, vectors);
}

// Queries per item: as many as fit, unless that would leave threads without an item. A lane's
// result does not depend on it.
inline int query_tile(std::int64_t queries, int groups, int threads) {
  int tile = kQueryTile;
  while (tile > kLanes && groups * ((queries + tile - 1) / tile) < threads) tile /= 2;
  return tile;
}

template <int kDim, typename X>
void attention(const RemaskLaunch& launch, X* out, const X* q, const X* k, const X* v,
               const int* q_offsets, const int* kv_offsets, int heads, int kv_heads, int q_stride,
               int kv_stride, int out_stride, float scale) {
  require(kv_heads > 0 && heads % kv_heads == 0, "attention: heads must be a multiple of kv_heads");
  const int sequences = static_cast<int>(launch.grid.z);
  const int shared = heads / kv_heads;  // query heads per key/value head
  std::int64_t work = 0, longest = 0;
  for (int s = 0; s < sequences; ++s) {
    const std::int64_t queries = std::int64_t{q_offsets[s + 1] - q_offsets[s]} * shared;
    longest = queries > longest ? queries : longest;
    work += queries * kv_heads * (kv_offsets[s + 1] - kv_offsets[s] + 1) * (kDim / 4);
  }
  if (longest == 0) return;
  const int tile = query_tile(longest, sequences * kv_heads, launch.threads);
  const std::int64_t tiles = (longest + tile - 1) / tile;
  parallel_for_uneven(launch.threads, tiles * kv_heads * sequences, work, [=](std::int64_t index) {
    const int first = static_cast<int>(index % tiles) * tile;
    const int kv_head = static_cast<int>(index / tiles % kv_heads);
    const int s = static_cast<int>(index / tiles / kv_heads);
    const int tokens = q_offsets[s + 1] - q_offsets[s];
    const int keys = kv_offsets[s + 1] - kv_offsets[s];
    AttentionItem<kDim, X> item;
    item.count = 0;
    for (int i = first; i < tokens * shared && item.count < tile; ++i, ++item.count) {
      const std::int64_t token = q_offsets[s] + i % tokens;
      const std::int64_t head = kv_head * shared + i / tokens;
      item.queries[item.count] = q + token * q_stride + head * kDim;
      item.out[item.count] = out + token * out_stride + head * kDim;
    }
    if (item.count == 0) return;
    if (keys == 0) {
      for (int i = 0; i < item.count; ++i) std::memset(item.out[i], 0, sizeof(X) * kDim);
      return;
    }
    const std::int64_t begin =
        std::int64_t{kv_offsets[s]} * kv_stride + std::int64_t{kv_head} * kDim;
    attend(item, k + begin, v + begin, kv_stride, keys, scale);
  });
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_ATTENTION_H_
