// Attention over packed sequences, flash style: no matrix of scores. See simd_vector.h for how this
// is compiled, simd_attention_tile.h for the arithmetic.
//
// One item of work: up to kQueryTile queries of a key/value head against all keys of their
// sequence. Query heads that share a key/value head fill one item together, so that its keys and
// values are converted once for all of them.
// A sequence's keys are taken kKeySplit at a time, and what the splits come to is merged in order.
// Where there are few items for the threads, as when a few queries meet a long cache, threads share
// the splits of an item; elsewhere one thread runs through them. The cut and the order of sums
// follow from the sequence's own keys alone: a query's result depends neither on tiling, threads
// nor neighbours in the batch.
#ifndef REMASK_HOST_SIMD_ATTENTION_H_
#define REMASK_HOST_SIMD_ATTENTION_H_

#include "simd_attention_tile.h"

namespace remask::host::REMASK_SIMD {

constexpr int kKeySplit = 512;
static_assert(kKeySplit % kKeyTile == 0, "whole tiles of keys");

template <int kDim, typename X>
struct AttentionCall {
  X* out;
  const X *q, *k, *v;
  const int *q_offsets, *kv_offsets;
  int heads, kv_heads, q_stride, kv_stride, out_stride;
  float scale;
  int tile = kQueryTile;   // queries per item
  std::int64_t tiles = 0;  // of the longest sequence

  int sequence(std::int64_t item) const { return static_cast<int>(item / tiles / kv_heads); }
  int kv_head(std::int64_t item) const { return static_cast<int>(item / tiles % kv_heads); }
  int keys(std::int64_t item) const {
    const int s = sequence(item);
    return kv_offsets[s + 1] - kv_offsets[s];
  }
  int splits(std::int64_t item) const { return (keys(item) + kKeySplit - 1) / kKeySplit; }

  AttentionItem<X> open(std::int64_t item) const {
    const int s = sequence(item), shared = heads / kv_heads;
    const int tokens = q_offsets[s + 1] - q_offsets[s];
    AttentionItem<X> opened;
    opened.count = 0;
    for (int i = static_cast<int>(item % tiles) * tile; i < tokens * shared && opened.count < tile;
         ++i, ++opened.count) {
      const std::int64_t token = q_offsets[s] + i % tokens;
      const std::int64_t head = kv_head(item) * shared + i / tokens;
      opened.queries[opened.count] = q + token * q_stride + head * kDim;
      opened.out[opened.count] = out + token * out_stride + head * kDim;
    }
    return opened;
  }

  // What the keys of one split come to.
  void attend_split(AttentionTile<kDim>& memory, AttentionState<kDim>& state, std::int64_t item,
                    int split, int queries) const {
    const int first = split * kKeySplit;
    const int left = keys(item) - first;
    const std::int64_t begin = (std::int64_t{kv_offsets[sequence(item)]} + first) * kv_stride +
                               std::int64_t{kv_head(item)} * kDim;
    attend(memory, state, k + begin, v + begin, kv_stride, left < kKeySplit ? left : kKeySplit,
           queries, scale);
  }

  // False where there is nothing left to do: no queries, or no keys, of which zeros come.
  bool begins(const AttentionItem<X>& opened, std::int64_t item) const {
    if (keys(item) > 0) return opened.count > 0;
    for (int i = 0; i < opened.count; ++i) std::memset(opened.out[i], 0, sizeof(X) * kDim);
    return false;
  }

  void run_item(std::int64_t item) const {
    const AttentionItem<X> opened = open(item);
    if (!begins(opened, item)) return;
    AttentionTile<kDim> memory;
    AttentionState<kDim> state, later;
    load_queries(memory, opened, scale);
    attend_split(memory, state, item, 0, opened.count);
    for (int split = 1; split < splits(item); ++split) {
      attend_split(memory, later, item, split, opened.count);
      merge(state, later, opened.count);
    }
    store_out(state, opened);
  }

  void run_split(AttentionState<kDim>& state, std::int64_t item, int split) const {
    if (split >= splits(item)) return;
    const AttentionItem<X> opened = open(item);
    if (opened.count == 0) return;
    AttentionTile<kDim> memory;
    load_queries(memory, opened, scale);
    attend_split(memory, state, item, split, opened.count);
  }

  // `states` of the item's splits, in order.
  void merge_item(AttentionState<kDim>* states, std::int64_t item) const {
    const AttentionItem<X> opened = open(item);
    if (!begins(opened, item)) return;
    for (int split = 1; split < splits(item); ++split) {
      merge(states[0], states[split], opened.count);
    }
    store_out(states[0], opened);
  }
};

template <int kDim, typename X>
void attention(const RemaskLaunch& launch, X* out, const X* q, const X* k, const X* v,
               const int* q_offsets, const int* kv_offsets, int heads, int kv_heads, int q_stride,
               int kv_stride, int out_stride, float scale) {
  require(kv_heads > 0 && heads % kv_heads == 0, "attention: heads must be a multiple of kv_heads");
  AttentionCall<kDim, X> call = {out,   q,        k,        v,         q_offsets,  kv_offsets,
                                 heads, kv_heads, q_stride, kv_stride, out_stride, scale};
  const int sequences = static_cast<int>(launch.grid.z);
  std::int64_t work = 0, queries = 0;
  int keys = 0;
  for (int s = 0; s < sequences; ++s) {
    const std::int64_t own = std::int64_t{q_offsets[s + 1] - q_offsets[s]} * (heads / kv_heads);
    const int own_keys = kv_offsets[s + 1] - kv_offsets[s];
    queries = own > queries ? own : queries;
    keys = own_keys > keys ? own_keys : keys;
    work += own * kv_heads * (own_keys + 1) * (kDim / 4);
  }
  if (queries == 0) return;
  const int splits = keys == 0 ? 1 : (keys + kKeySplit - 1) / kKeySplit;
  const auto cut = [&](int tile) {
    call.tile = tile;
    call.tiles = (queries + tile - 1) / tile;
    return call.tiles * kv_heads * sequences;
  };
  std::int64_t items = cut(kQueryTile);
  // As many queries per item as fit, unless that would leave threads without work.
  while (call.tile > kLanes && items * splits < launch.threads) items = cut(call.tile / 2);
  const int threads = region_threads(launch.threads, items * splits, work);
  // Twice as many items as threads keep them all busy for most of the time.
  if (threads == 1 || splits == 1 || items >= 2 * threads) {
    parallel_for_uneven(threads, items, work, [&](std::int64_t item) { call.run_item(item); });
    return;
  }
  auto* states = static_cast<AttentionState<kDim>*>(
      kernel_scratch(sizeof(AttentionState<kDim>) * static_cast<std::size_t>(items * splits)));
  parallel_for_uneven(threads, items * splits, work, [&](std::int64_t unit) {
    call.run_split(states[unit], unit / splits, static_cast<int>(unit % splits));
  });
  parallel_for_uneven(threads, items, work,
                      [&](std::int64_t item) { call.merge_item(states + item * splits, item); });
}

}  // namespace remask::host::REMASK_SIMD

#endif  // REMASK_HOST_SIMD_ATTENTION_H_
