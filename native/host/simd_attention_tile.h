// The inner part of attention: up to kQueryTile queries against the keys of a split. See
// simd_attention.h for the whole, simd_vector.h for how this is compiled.
//
// Scores lie as [key][query], queries in the vector lanes: maxima, exponentials and sums run down
// the lanes without a horizontal step, and keys are factors in the order in which they lie in
// memory. The output lies as [query][dim], dims in the lanes: values are used as they lie, there is
// no lane without work, and nothing is transposed but the queries, once.
// Where there is vdpbf16ps, bf16 is multiplied as it is, two dims or two keys at a time; weights
// are rounded to bf16 for it, their sum is that of the unrounded ones.
#ifndef REMASK_HOST_SIMD_ATTENTION_TILE_H_
#define REMASK_HOST_SIMD_ATTENTION_TILE_H_

#include "simd_tile.h"

namespace remask::host::REMASK_SIMD {

constexpr int kQueryTile = 64;
constexpr int kKeyTile = 64;
static_assert(kQueryTile % kLanes == 0, "whole vectors of queries");

#if defined(__AVX512BF16__)
template <typename X>
constexpr bool kByPairs = sizeof(X) == 2;
#else
template <typename X>
constexpr bool kByPairs = false;
#endif

// What is known of the queries after some keys: the softmax's maximum and sum, and the output, not
// yet divided by the sum.
template <int kDim>
struct AttentionState {
  alignas(64) float out[kQueryTile][kDim];
  alignas(64) float maximum[kQueryTile];
  alignas(64) float sum[kQueryTile];
};

// One item's other memory: 80 KB for 128 dims.
template <int kDim>
struct AttentionTile {
  alignas(64) float queries[kDim][kQueryTile];  // scaled; as pairs: [kDim / 2], unscaled
  alignas(64) float scores[kKeyTile][kQueryTile];
  alignas(64) float rows[kKeyTile][kDim];  // keys, then values
  alignas(64) float rescale[kQueryTile];
};

template <typename X>
struct AttentionItem {
  const X* queries[kQueryTile];
  X* out[kQueryTile];
  int count;  // of queries
};

template <int kDim>
inline void load_queries(AttentionTile<kDim>& tile, const AttentionItem<float>& item, float scale) {
  for (int first = 0; first < item.count; first += kLanes) {
    for (int dim = 0; dim < kDim; dim += kLanes) {
      Floats square[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) {
        const int query = first + lane;
        square[lane] = query < item.count ? load(item.queries[query] + dim) * scale : splat(0);
      }
      transpose(square);
      for (int i = 0; i < kLanes; ++i) store(&tile.queries[dim + i][first], square[i]);
    }
  }
}

template <int kDim>
inline void load_queries(AttentionTile<kDim>& tile, const AttentionItem<bf16>& item, float scale) {
  for (int first = 0; first < item.count; first += kLanes) {
    // A step of pairs takes as many bytes as one of floats does.
    constexpr int kStep = kByPairs<bf16> ? 2 * kLanes : kLanes;
    for (int dim = 0; dim < kDim; dim += kStep) {
      Floats square[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) {
        const int query = first + lane;
        if (query >= item.count) {
          square[lane] = splat(0);
        } else if constexpr (kByPairs<bf16>) {
          square[lane] = load(reinterpret_cast<const Bf16Pair*>(item.queries[query] + dim));
        } else {
          square[lane] = load(item.queries[query] + dim) * scale;
        }
      }
      transpose(square);
      for (int i = 0; i < kLanes; ++i) {
        store(&tile.queries[dim * kLanes / kStep + i][first], square[i]);
      }
    }
  }
}

// Rows of kDim elements as f32. f32 rows are copied too: the strided originals of a fused QKV
// matrix share cache sets.
template <int kDim, typename X>
inline void load_rows(float (*to)[kDim], const X* from, int stride, int rows) {
  for (int row = 0; row < rows; ++row) {
    for (int dim = 0; dim < kDim; dim += kLanes) {
      store(&to[row][dim], load(from + std::int64_t{row} * stride + dim));
    }
  }
}

// scores[key][query] of `keys` keys.
template <int kDim, typename X>
inline void score_tile(AttentionTile<kDim>& tile, const X* k, int stride, int keys, int vectors) {
  if constexpr (kByPairs<X>) {
    auto* rows = reinterpret_cast<Bf16Pair*>(tile.rows);
    for (int key = 0; key < keys; ++key) {
      std::memcpy(rows + key * (kDim / 2), k + std::int64_t{key} * stride, sizeof(X) * kDim);
    }
    multiply(tile.scores[0], kQueryTile, nullptr, static_cast<const Bf16Pair*>(rows), kDim / 2, 1,
             reinterpret_cast<const Bf16Pair*>(tile.queries), kQueryTile, keys, vectors, kDim / 2);
  } else {
    load_rows<kDim>(tile.rows, k, stride, keys);
    multiply(tile.scores[0], kQueryTile, nullptr, static_cast<const float*>(tile.rows[0]), kDim, 1,
             static_cast<const float*>(tile.queries[0]), kQueryTile, keys, vectors, kDim);
  }
}

// Turns the scores into exp(score * factor - maximum), updates maximum and sum, and leaves in
// `rescale` what the output gathered so far must be multiplied by.
template <int kDim>
inline void softmax_tile(AttentionTile<kDim>& tile, AttentionState<kDim>& state, int keys,
                         int vectors, float factor) {
  for (int v = 0; v < vectors; ++v) {
    float* scores = &tile.scores[0][v * kLanes];
    Floats largest[2] = {load(scores), load(scores)};  // two chains hide the latency
    for (int key = 1; key < keys; ++key) {
      largest[key & 1] = maximum(load(scores + key * kQueryTile), largest[key & 1]);
    }
    const Floats before = load(&state.maximum[v * kLanes]);
    const Floats highest = maximum(maximum(largest[0], largest[1]) * factor, before);
    const Floats rescale = exponential(before - highest);
    Floats sum = load(&state.sum[v * kLanes]) * rescale;
    for (int key = 0; key < keys; ++key) {
      const Floats weight = exponential(load(scores + key * kQueryTile) * factor - highest);
      store(scores + key * kQueryTile, weight);
      sum += weight;
    }
    store(&state.maximum[v * kLanes], highest);
    store(&state.sum[v * kLanes], sum);
    store(&tile.rescale[v * kLanes], rescale);
  }
}

#if defined(__AVX512BF16__)
// Two rows of kLanes values side by side: what vdpbf16ps takes.
inline Floats pair_rows(Halves first, Halves second) {
  return (Floats)(widen(first) | widen(second) << 16);
}

inline Halves load_halves(const bf16* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof(halves));
  return halves;
}

inline Halves round_to_halves(const float* from) {
  return (Halves)_mm512_cvtneps_pbh((__m512)load(from));
}

// The weights of keys 2i and 2i + 1 as pairs, in place of the scores; the values likewise. An odd
// last key has a partner of zeros.
template <int kDim>
inline void pair_weights_and_values(AttentionTile<kDim>& tile, const bf16* v, int stride, int keys,
                                    int vectors) {
  for (int key = 0; key < keys; key += 2) {
    const bool has_second = key + 1 < keys;
    for (int at = 0; at < vectors * kLanes; at += kLanes) {
      const Halves first = round_to_halves(&tile.scores[key][at]);
      const Halves second = has_second ? round_to_halves(&tile.scores[key + 1][at]) : Halves{};
      store(&tile.scores[key / 2][at], pair_rows(first, second));
    }
    const bf16* from = v + std::int64_t{key} * stride;
    for (int dim = 0; dim < kDim; dim += kLanes) {
      const Halves first = load_halves(from + dim);
      const Halves second = has_second ? load_halves(from + stride + dim) : Halves{};
      store(&tile.rows[key / 2][dim], pair_rows(first, second));
    }
  }
}
#endif

// out[query][dim] = rescale * out + weights * values.
template <int kDim, typename X>
inline void add_values(AttentionTile<kDim>& tile, AttentionState<kDim>& state, const X* v,
                       int stride, int keys, int queries, int vectors, bool first) {
  const float* rescale = first ? nullptr : tile.rescale;
#if defined(__AVX512BF16__)
  if constexpr (kByPairs<X>) {
    pair_weights_and_values(tile, v, stride, keys, vectors);
    multiply(state.out[0], kDim, rescale, reinterpret_cast<const Bf16Pair*>(tile.scores), 1,
             kQueryTile, reinterpret_cast<const Bf16Pair*>(tile.rows), kDim, queries, kDim / kLanes,
             (keys + 1) / 2);
    return;
  }
#endif
  (void)vectors;
  load_rows<kDim>(tile.rows, v, stride, keys);
  multiply(state.out[0], kDim, rescale, static_cast<const float*>(tile.scores[0]), 1, kQueryTile,
           static_cast<const float*>(tile.rows[0]), kDim, queries, kDim / kLanes, keys);
}

// The queries' state after all of `keys` keys, of at least one.
template <int kDim, typename X>
inline void attend(AttentionTile<kDim>& tile, AttentionState<kDim>& state, const X* k, const X* v,
                   int kv_stride, int keys, int queries, float scale) {
  const int vectors = (queries + kLanes - 1) / kLanes;
  const float factor = kByPairs<X> ? scale : 1.0f;  // else it is in the queries
  for (int i = 0; i < vectors * kLanes; i += kLanes) {
    store(&state.maximum[i], splat(-__builtin_inff()));
    store(&state.sum[i], splat(0));
  }
  for (int first = 0; first < keys; first += kKeyTile) {
    const int count = keys - first < kKeyTile ? keys - first : kKeyTile;
    const std::int64_t at = std::int64_t{first} * kv_stride;
    score_tile(tile, k + at, kv_stride, count, vectors);
    softmax_tile(tile, state, count, vectors, factor);
    add_values(tile, state, v + at, kv_stride, count, queries, vectors, first == 0);
  }
}

// Adds what later keys say to what earlier ones have said. One function for all callers: of two
// products that are added the compiler may fuse either, and where is no matter of the threads.
template <int kDim>
__attribute__((noinline)) void merge(AttentionState<kDim>& state, const AttentionState<kDim>& later,
                                     int queries) {
  for (int query = 0; query < queries; ++query) {
    const float highest =
        state.maximum[query] > later.maximum[query] ? state.maximum[query] : later.maximum[query];
    const float gaps[kLanes] = {state.maximum[query] - highest, later.maximum[query] - highest};
    const Floats factors = exponential(load(gaps));
    const float own = factors[0], other = factors[1];
    state.maximum[query] = highest;
    state.sum[query] = state.sum[query] * own + later.sum[query] * other;
    for (int dim = 0; dim < kDim; dim += kLanes) {
      store(&state.out[query][dim],
            load(&state.out[query][dim]) * own + load(&later.out[query][dim]) * other);
    }
  }
}

template <int kDim, typename X>
inline void store_out(const AttentionState<kDim>& state, const AttentionItem<X>& item) {
  for (int query = 0; query < item.count; ++query) {
    const float factor = 1.0f / state.sum[query];
    for (int dim = 0; dim < kDim; dim += kLanes) {
      store(item.out[query] + dim, load(&state.out[query][dim]) * factor);
    }
  }
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_ATTENTION_TILE_H_
