// attention_hdD_bf16_sm90a, attention_hdD_overlap_bf16_sm90a, D 64 or 128: full (non-causal)
// attention over packed sequences by TMA and wgmma.
// out bf16[Tq,out_stride], head h at h*D; maps of Q, K, V as {64, tokens, heads*D/64}, boxes of a
// tile of one head, 128-byte swizzle; q_offsets, kv_offsets i32[S+1]; head h uses K/V head h*KV/H;
// items and partial results: attention_work.h; lse f32[H,Tq] or null
//   out = softmax(q k^T * scale) v, lse = ln(sum(exp(q k^T * scale))) in each sequence, scale > 0
// 1 a CTA has an item (a tile of queries) of one head; a warp of a producer warpgroup keeps rings
// of K and V tiles full, the consumer warpgroups have 64 queries each; those without queries leave
// 2 scores = Q K^T from smem, out += P V with P as bf16 in registers: the accumulators of the first
// are the A fragments of the second  3 softmax in base 2, maxima raised only by 2^8  4 key tiles go
// from the last to the first: only the first one done is cut (scores -inf, V zeroed in smem)
// 5 simple: a product, its softmax, the other product; 3 consumers fill each other's gaps
// 6 overlap: softmax of tile j+1 under P V of tile j, and 2 consumers take turns
// Tiles: registers decide. 3 x 160 + 32 (x 128 threads) hold 64 scores and 64 outputs a thread:
// 192 queries, 128 keys. Overlap needs scores, weights and outputs at once: 2 x 240 + 24, 128
// queries and the most keys that fit, 176 (88 + 44 + 64) for D 128, 192 (96 + 48 + 32) for D 64.
// compiled: 128 (simple) and 168 registers at entry, no spills; smem 152, 176, 160, 208 KB for
// hd64, hd128, hd64_overlap, hd128_overlap; stages 4, 2, 3, 2; 1 CTA per SM; bitwise repeatable
// floor B=1 T=4096 H=32 D=128: 275 GFLOP / 989 TFLOP/s = 0.28 ms (H100, H200); not measured
#include "include/attention_sm90a.h"
#include "include/attention_work.h"

extern __shared__ __align__(1024) unsigned char attention_shared[];

namespace remask {
namespace {

using namespace attention_sm90a;

// The rings' other end, one thread. Overlapped consumers use a tile of K together with the tile of
// V before it, so these are loaded in this order, too.
template <typename P, bool kOverlap>
__device__ __forceinline__ void produce(const Shared<P>& shared, const Task& task,
                                        const ptx::TensorMap& q_map, const ptx::TensorMap& k_map,
                                        const ptx::TensorMap& v_map) {
  Turn<P::kStages> keys, values;
  const auto load_keys = [&](int tile) {
    const int at[3] = {0, task.key + tile * P::kKeyTile, task.kv_head * P::kSlabs};
    ptx::mbarrier_wait(shared.key_empty(keys.stage), keys.parity ^ 1);
    ptx::mbarrier_arrive_expect_tx(shared.key_full(keys.stage), P::kKeyBytes);
    ptx::tma_load<3>(shared.key(keys.stage), k_map, at, shared.key_full(keys.stage));
    keys.next();
  };
  const auto load_values = [&](int tile) {
    const int at[3] = {0, task.key + tile * P::kKeyTile, task.kv_head * P::kSlabs};
    ptx::mbarrier_wait(shared.value_empty(values.stage), values.parity ^ 1);
    ptx::mbarrier_arrive_expect_tx(shared.value_full(values.stage), P::kKeyBytes);
    ptx::tma_load<3>(shared.value(values.stage), v_map, at, shared.value_full(values.stage));
    values.next();
  };
  const int query_at[3] = {0, task.query, task.head * P::kSlabs};
  ptx::mbarrier_arrive_expect_tx(shared.query_full(), P::kQueryBytes);
  ptx::tma_load<3>(shared.query(), q_map, query_at, shared.query_full());
  const int last = key_tiles<P>(task) - 1;
  if (kOverlap) load_keys(last);
#pragma unroll 1
  for (int tile = last; tile >= 0; --tile) {
    if (!kOverlap) {
      load_keys(tile);
    } else if (tile > 0) {
      load_keys(tile - 1);
    }
    load_values(tile);
  }
}

// A consumer warpgroup's place among those that have queries.
struct Place {
  int consumer;
  int active;

  __device__ __forceinline__ int thread() const { return threadIdx.x % kWarpgroup; }
};

// One arrival per warp: its lanes are together after a wgmma_wait, the warpgroup's warps need not
// be.
__device__ __forceinline__ void release(SharedAddress barrier) {
  if (threadIdx.x % kWarpThreads == 0) ptx::mbarrier_arrive(barrier);
}

// 0 * NaN is NaN, and behind a sequence's last key lies what belongs to a neighbour or to nobody:
// the consumers together make those rows of V zero.
template <typename P>
__device__ __forceinline__ void clear_tail(unsigned char* values, int valid, const Place& place) {
  constexpr int kRowWords = kSlabRow / int(sizeof(unsigned));  // a warp's store: all banks once
  const int threads = place.active * kWarpgroup;
  const int cleared = (P::kKeyTile - valid) * kRowWords;
#pragma unroll
  for (int slab = 0; slab < P::kSlabs; ++slab) {
    unsigned char* rows = values + (slab * P::kKeyTile + valid) * kSlabRow;
    for (int i = place.consumer * kWarpgroup + place.thread(); i < cleared; i += threads) {
      reinterpret_cast<unsigned*>(rows)[i] = 0;
    }
  }
  __syncwarp();
  ptx::fence_proxy_async();  // the tensor cores and the next TMA come after these stores
  ptx::barrier_sync(kTailBarrier, threads);
}

// Tile after tile, one product at a time: the other consumers' products run under this one's
// softmax.
template <typename P>
__device__ __forceinline__ void consume(Consumer<P>& consumer, const Shared<P>& shared,
                                        unsigned char* bytes, const Task& task, const Place& place,
                                        float factor) {
  using C = Consumer<P>;
  float scores[C::kScores];
  unsigned weights[C::kSteps][4];
  float rescale[2];
  const SharedAddress query = shared.query() + place.consumer * kWarpgroupRows * kSlabRow;
  const int tiles = key_tiles<P>(task);
  const int valid = task.keys - (tiles - 1) * P::kKeyTile;
  Turn<P::kStages> turn;
  for (int tile = 0; tile < tiles; ++tile) {
    ptx::mbarrier_wait(shared.key_full(turn.stage), turn.parity);
    ptx::wgmma_fence(scores);
    C::multiply_keys(scores, query, shared.key(turn.stage));
    ptx::wgmma_wait<0>(scores);
    release(shared.key_empty(turn.stage));
    if (tile == 0) C::mask(scores, valid);
    consumer.weigh(scores, factor, rescale);
    consumer.rescale_out(rescale);
    C::pack(weights, scores);
    ptx::mbarrier_wait(shared.value_full(turn.stage), turn.parity);
    if (tile == 0 && valid < P::kKeyTile) {
      clear_tail<P>(bytes + P::kValues, valid, place);
    }
    ptx::wgmma_fence(consumer.out);
    consumer.multiply_values(weights, shared.value(turn.stage));
    ptx::wgmma_wait<0>(consumer.out);
    release(shared.value_empty(turn.stage));
    turn.next();
  }
}

// Q K of a tile and P V of the tile before it are enqueued together, so that the tile's softmax
// runs under P V. The consumers take turns in enqueueing: one's products run under the other's
// softmax.
template <typename P>
__device__ __forceinline__ void consume_overlapped(Consumer<P>& consumer, const Shared<P>& shared,
                                                   unsigned char* bytes, const Task& task,
                                                   const Place& place, float factor) {
  using C = Consumer<P>;
  constexpr int kTurnThreads = 2 * kWarpgroup;
  float scores[C::kScores];
  unsigned weights[C::kSteps][4];
  float rescale[2];
  const SharedAddress query = shared.query() + place.consumer * kWarpgroupRows * kSlabRow;
  const int tiles = key_tiles<P>(task);
  const int valid = task.keys - (tiles - 1) * P::kKeyTile;
  const bool last = place.consumer == place.active - 1;
  const int own_turn = kTurnBarrier + place.consumer;
  const int next_turn = kTurnBarrier + (last ? 0 : place.consumer + 1);
  const bool turns = place.active > 1;
  if (turns && last && tiles > 1) ptx::barrier_arrive(next_turn, kTurnThreads);

  ptx::mbarrier_wait(shared.key_full(0), 0);
  ptx::wgmma_fence(scores);
  C::multiply_keys(scores, query, shared.key(0));
  ptx::wgmma_wait<0>(scores);
  release(shared.key_empty(0));
  C::mask(scores, valid);
  consumer.weigh(scores, factor, rescale);
  C::pack(weights, scores);
  if (valid < P::kKeyTile) {
    ptx::mbarrier_wait(shared.value_full(0), 0);
    clear_tail<P>(bytes + P::kValues, valid, place);
  }
  Turn<P::kStages> keys, values;
  keys.next();
  if (tiles > 1) ptx::mbarrier_wait(shared.key_full(keys.stage), keys.parity);
  for (int tile = 1; tile < tiles; ++tile) {
    if (turns) ptx::barrier_sync(own_turn, kTurnThreads);
    ptx::wgmma_fence(scores);
    C::multiply_keys(scores, query, shared.key(keys.stage));
    ptx::mbarrier_wait(shared.value_full(values.stage), values.parity);
    ptx::wgmma_fence(consumer.out);
    consumer.multiply_values(weights, shared.value(values.stage));
    if (turns && !(last && tile == tiles - 1)) ptx::barrier_arrive(next_turn, kTurnThreads);
    ptx::wgmma_wait<1>(scores);
    release(shared.key_empty(keys.stage));
    consumer.weigh(scores, factor, rescale);
    // A wait of its own block of code, with the weights pinned before it: the compiler, left alone,
    // waits for P V first and computes them afterwards.
    ptx::wgmma_pin(scores);
    keys.next();
    if (tile + 1 < tiles) ptx::mbarrier_wait(shared.key_full(keys.stage), keys.parity);
    ptx::wgmma_wait<0>(consumer.out);
    release(shared.value_empty(values.stage));
    consumer.rescale_out(rescale);
    C::pack(weights, scores);
    values.next();
  }
  ptx::mbarrier_wait(shared.value_full(values.stage), values.parity);
  ptx::wgmma_fence(consumer.out);
  consumer.multiply_values(weights, shared.value(values.stage));
  ptx::wgmma_wait<0>(consumer.out);
}

// Where results go: out bf16[query tokens, out_stride], lse f32[heads, query_tokens] or null.
struct Results {
  bf16* out;
  float* lse;
  PartialResults partial;
  int query_tokens;
  int out_stride;
};

// 16 bytes of a row of the Q tile, as TMA swizzles them.
template <typename P>
__device__ __forceinline__ unsigned char* query_chunk(unsigned char* query, int row, int chunk) {
  constexpr int kSlabChunks = kSlab / kChunk;
  return query + (chunk / kSlabChunks * P::kQueryTile + row) * kSlabRow +
         (chunk % kSlabChunks ^ row % kSwizzleRows) * kVectorBytes;
}

// A split's result: the sums as they are, with what they are relative to.
template <typename P>
__device__ __forceinline__ void store_partial(const Consumer<P>& consumer, const Results& results,
                                              const Task& task, int partial, int first_row,
                                              float factor) {
  const int lane = threadIdx.x % kWarpThreads;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = first_row + lane / kQuadLanes + half * 8;
    if (row >= task.queries) continue;
    float* out = results.partial.out(partial + row, task.head) + lane % kQuadLanes * 2;
#pragma unroll
    for (int i = 2 * half; i < Consumer<P>::kOuts; i += 4) {
      *reinterpret_cast<float2*>(out + i / 4 * 8) =
          make_float2(consumer.out[i], consumer.out[i + 1]);
    }
    if (lane % kQuadLanes == 0) {
      *results.partial.stats(partial + row, task.head) =
          make_float2(consumer.max[half] * factor, consumer.sum[half]);
    }
  }
}

// A warp's 16 rows go through its rows of Q in smem, so that whole rows of 16-byte vectors leave.
template <typename P>
__device__ __forceinline__ void store_out(const Consumer<P>& consumer, const Results& results,
                                          const Task& task, unsigned char* query, int first_row,
                                          float factor) {
  const int lane = threadIdx.x % kWarpThreads;
  float normalise[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const bool keys = task.keys > 0;
    normalise[half] = keys ? 1.0f / consumer.sum[half] : 0.0f;
    const int row = first_row + lane / kQuadLanes + half * 8;
    if (results.lse != nullptr && lane % kQuadLanes == 0 && row < task.queries) {
      results.lse[static_cast<size_t>(task.head) * results.query_tokens + task.query + row] =
          keys ? (consumer.max[half] * factor + log2f(consumer.sum[half])) * kLn2 : -INFINITY;
    }
  }
  // 8 columns of 8 rows are a matrix of stmatrix; lane l gives the address of row l % 16 of the
  // columns l / 16.
#pragma unroll
  for (int i = 0; i < Consumer<P>::kOuts; i += 8) {
    unsigned matrices[4];
#pragma unroll
    for (int m = 0; m < 4; ++m) {
      matrices[m] = pack_bf16(consumer.out[i + 2 * m] * normalise[m % 2],
                              consumer.out[i + 2 * m + 1] * normalise[m % 2]);
    }
    ptx::stmatrix_x4(ptx::shared_address(query_chunk<P>(query, first_row + lane % kWarpRows,
                                                        i / 4 + lane / kWarpRows)),
                     matrices);
  }
  __syncwarp();
  constexpr int kRowChunks = P::kHeadDim / kChunk;
#pragma unroll
  for (int i = lane; i < kWarpRows * kRowChunks; i += kWarpThreads) {
    const int row = first_row + i / kRowChunks;
    const int chunk = i % kRowChunks;
    if (row >= task.queries) continue;
    bf16* target = results.out + static_cast<size_t>(task.query + row) * results.out_stride +
                   task.head * P::kHeadDim + chunk * kChunk;
    *reinterpret_cast<uint4*>(target) =
        *reinterpret_cast<const uint4*>(query_chunk<P>(query, row, chunk));
  }
}

template <typename P, bool kOverlap>
__device__ __forceinline__ void attention(const Results& results, const ptx::TensorMap& q_map,
                                          const ptx::TensorMap& k_map, const ptx::TensorMap& v_map,
                                          const AttentionItem* items, const int* q_offsets,
                                          const int* kv_offsets, int kv_heads, float scale) {
  const Shared<P> shared{ptx::shared_address(attention_shared)};
  const AttentionItem item = items[blockIdx.x];
  Task task;
  task.head = blockIdx.y;
  task.kv_head = task.head / (results.partial.heads / kv_heads);
  task.query = q_offsets[item.sequence] + item.query_begin;
  task.queries = min(P::kQueryTile, q_offsets[item.sequence + 1] - task.query);
  if (task.queries <= 0) return;  // padding: no warp would arrive at the barriers
  task.key = kv_offsets[item.sequence] + item.key_begin;
  task.keys = item.key_end - item.key_begin;
  Place place;
  place.consumer = threadIdx.x / kWarpgroup - 1;
  place.active = (task.queries + kWarpgroupRows - 1) / kWarpgroupRows;

  if (threadIdx.x == 0) {
    if (shared.base % (kSwizzleRows * kSlabRow) != 0) __trap();  // the swizzle goes by address
    const unsigned arrivals = place.active * (kWarpgroup / kWarpThreads);
    ptx::mbarrier_init(shared.query_full(), 1);
#pragma unroll
    for (int stage = 0; stage < P::kStages; ++stage) {
      ptx::mbarrier_init(shared.key_full(stage), 1);
      ptx::mbarrier_init(shared.value_full(stage), 1);
      ptx::mbarrier_init(shared.key_empty(stage), arrivals);
      ptx::mbarrier_init(shared.value_empty(stage), arrivals);
    }
    ptx::fence_mbarrier_init();
  }
  __syncthreads();

  if (place.consumer < 0) {
    ptx::setmaxnreg_dec<P::kProducerRegisters>();
    if (threadIdx.x < kWarpThreads && task.keys > 0 && ptx::elect_one()) {
      produce<P, kOverlap>(shared, task, q_map, k_map, v_map);
    }
    return;
  }
  ptx::setmaxnreg_inc<P::kConsumerRegisters>();
  if (place.consumer >= place.active) return;  // no queries: nobody waits for it

  Consumer<P> consumer;
#pragma unroll
  for (int i = 0; i < Consumer<P>::kOuts; ++i) consumer.out[i] = 0.0f;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    consumer.max[half] = -INFINITY;
    consumer.sum[half] = 0.0f;
  }
  const float factor = scale * kLog2e;
  if (task.keys > 0) {
    ptx::mbarrier_wait(shared.query_full(), 0);
    if constexpr (kOverlap) {
      consume_overlapped<P>(consumer, shared, attention_shared, task, place, factor);
    } else {
      consume<P>(consumer, shared, attention_shared, task, place, factor);
    }
  }
  const int first_row = place.consumer * kWarpgroupRows + place.thread() / kWarpThreads * kWarpRows;
  if (item.partial >= 0) {
    store_partial<P>(consumer, results, task, item.partial, first_row, factor);
  } else {
    // A warp's wait for its products says nothing of the other three's: all have read Q now.
    ptx::barrier_sync(kStoreBarrier + place.consumer, kWarpgroup);
    store_out<P>(consumer, results, task, attention_shared, first_row, factor);
  }
}

using Simple64 = Plan<64, 3, 128, 4>;
using Simple128 = Plan<128, 3, 128, 2>;
using Overlap64 = Plan<64, 2, 192, 3>;
using Overlap128 = Plan<128, 2, 176, 2>;

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::Simple64::kThreads, 1)
    attention_hd64_bf16_sm90a(remask::bf16* out, float* lse, const int* q_offsets,
                              const int* kv_offsets, const remask::AttentionItem* items,
                              float* scratch, int partial_rows, int query_tokens, int heads,
                              int kv_heads, int out_stride, float scale,
                              const __grid_constant__ remask::ptx::TensorMap q_map,
                              const __grid_constant__ remask::ptx::TensorMap k_map,
                              const __grid_constant__ remask::ptx::TensorMap v_map) {
  remask::attention<remask::Simple64, false>(
      {out, lse, {scratch, partial_rows, heads, 64}, query_tokens, out_stride}, q_map, k_map, v_map,
      items, q_offsets, kv_offsets, kv_heads, scale);
}

extern "C" __global__ void __launch_bounds__(remask::Overlap64::kThreads, 1)
    attention_hd64_overlap_bf16_sm90a(remask::bf16* out, float* lse, const int* q_offsets,
                                      const int* kv_offsets, const remask::AttentionItem* items,
                                      float* scratch, int partial_rows, int query_tokens, int heads,
                                      int kv_heads, int out_stride, float scale,
                                      const __grid_constant__ remask::ptx::TensorMap q_map,
                                      const __grid_constant__ remask::ptx::TensorMap k_map,
                                      const __grid_constant__ remask::ptx::TensorMap v_map) {
  remask::attention<remask::Overlap64, true>(
      {out, lse, {scratch, partial_rows, heads, 64}, query_tokens, out_stride}, q_map, k_map, v_map,
      items, q_offsets, kv_offsets, kv_heads, scale);
}

extern "C" __global__ void __launch_bounds__(remask::Simple128::kThreads, 1)
    attention_hd128_bf16_sm90a(remask::bf16* out, float* lse, const int* q_offsets,
                               const int* kv_offsets, const remask::AttentionItem* items,
                               float* scratch, int partial_rows, int query_tokens, int heads,
                               int kv_heads, int out_stride, float scale,
                               const __grid_constant__ remask::ptx::TensorMap q_map,
                               const __grid_constant__ remask::ptx::TensorMap k_map,
                               const __grid_constant__ remask::ptx::TensorMap v_map) {
  remask::attention<remask::Simple128, false>(
      {out, lse, {scratch, partial_rows, heads, 128}, query_tokens, out_stride}, q_map, k_map,
      v_map, items, q_offsets, kv_offsets, kv_heads, scale);
}

extern "C" __global__ void __launch_bounds__(remask::Overlap128::kThreads, 1)
    attention_hd128_overlap_bf16_sm90a(remask::bf16* out, float* lse, const int* q_offsets,
                                       const int* kv_offsets, const remask::AttentionItem* items,
                                       float* scratch, int partial_rows, int query_tokens,
                                       int heads, int kv_heads, int out_stride, float scale,
                                       const __grid_constant__ remask::ptx::TensorMap q_map,
                                       const __grid_constant__ remask::ptx::TensorMap k_map,
                                       const __grid_constant__ remask::ptx::TensorMap v_map) {
  remask::attention<remask::Overlap128, true>(
      {out, lse, {scratch, partial_rows, heads, 128}, query_tokens, out_stride}, q_map, k_map,
      v_map, items, q_offsets, kv_offsets, kv_heads, scale);
}
