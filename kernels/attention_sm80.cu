// attention_hd{64,128}_q{64,128}_bf16_sm80: full attention over packed sequences on tensor cores.
// out bf16[Tq,out_stride], q bf16[Tq,q_stride], k, v bf16[Tk,kv_stride], head h at h*D, K/V head
// h*KV/H; offsets i32[S+1]; a CTA for each item (attention_work.h) and head; rows 16-byte aligned
//   out = softmax(q k^T * scale) v within each sequence; lse f32[H,Tq] or null: its log-sum-exp
// 1 a CTA has 64 or 128 queries, a warp 16 or 32; keys come 64 at a time
// 2 K and V tiles take turns in a ring that cp.async fills 2 or 3 tiles ahead, 16-byte chunks
//   XOR-swizzled: no bank conflicts
// 3 S = QK^T by mma.m16n8k16; scores become weights where they are, in base 2 with the scale folded
//   in: they are the A fragments of PV
// 4 keys past the end score -inf, their V is zero
// 5 few queries, many keys: items hold chunks of the keys, attention_combine adds what they wrote
// 64 queries live in registers; 128 in smem, where 32 rows a warp halve the reads of K and V: with
// 16 rows those take as long as the mma on an A100 (an ldmatrix.x4 and its 2 mma 4 cycles each)
// compiled: 128 threads, no spills, bitwise repeatable; D q: registers, smem, CTAs per SM of 8.0,
//   9.0 (of 8.6, 8.9, 12.0): 64 64: 125-128, 32 KB, 4 (3); 64 128: 209-241, 48 KB, 2 (2);
//   128 64: 165-168, 48 KB, 3 (2); 128 128: 249-255, 80 KB, 2 (1)
// floor B=1 T=4096 H=32 D=128: 275 GFLOP / 312 TFLOP/s = 0.88 ms (A100); not measured
#include "include/attention_softmax.h"
#include "include/attention_work.h"
#include "include/lanes.h"
#include "include/ptx.h"

namespace remask {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarpThreads;
constexpr int kKeyTile = 64;
constexpr int kFragment = 16;     // rows of an A fragment, and the depth of one mma
constexpr int kColumns = 8;       // columns of an accumulator
constexpr int kGroupColumns = 8;  // accumulators of 64 columns: what one mma tile here has
constexpr int kChunkBytes = 16;   // the unit of copies, of ldmatrix rows and of the swizzle
constexpr int kChunkLanes = kChunkBytes / static_cast<int>(sizeof(bf16));
constexpr int kSwizzle = 8;                  // chunks that cover the 32 banks once
constexpr int kMostSharedBytes = 99 * 1024;  // of a CTA on 8.6, 8.9 and 12.0

extern __shared__ __align__(1024) unsigned char attention_shared[];

// A CTA's shape: kRowTiles fragments of 16 queries for each warp.
template <int kHeadDim, int kRowTiles>
struct Tile {
  static constexpr int kQueries = kWarps * kFragment * kRowTiles;
  static constexpr int kRowBytes = kHeadDim * static_cast<int>(sizeof(bf16));
  static constexpr int kChunks = kRowBytes / kChunkBytes;
  static constexpr int kDepth = kHeadDim / kFragment;  // mma steps along the head
  static constexpr int kGroups = kHeadDim / (kGroupColumns * kColumns);
  // Slots of the ring, each one tile of K or of V.
  static constexpr int kSlots = kHeadDim == 64 ? 4 : 3;
  static constexpr int kAhead = kSlots - 1;
  static constexpr int kSlotBytes = kKeyTile * kRowBytes;
  // Else they have smem of their own behind the ring.
  static constexpr bool kQueriesInRegisters = kRowTiles == 1;
  static constexpr int kRingBytes = kSlots * kSlotBytes;
  static constexpr int kSharedBytes = kRingBytes + (kQueriesInRegisters ? 0 : kQueries * kRowBytes);
  static constexpr int kCopyRows = kThreads / kChunks;  // rows that the CTA copies at once

  static_assert(kSharedBytes <= kMostSharedBytes, "fits every card from 8.0 on");
  static_assert(kChunks % kSwizzle == 0, "a row covers the banks: the XOR stays inside it");
  static_assert(kCopyRows % kSwizzle == 0, "a thread's chunks have one swizzle");
  static_assert(!kQueriesInRegisters || kQueries == kKeyTile, "Q visits a slot of the ring");
};

// Byte offset of a chunk in a tile: its position in the row XOR the row, so that the 8 rows of an
// 8x8 matrix lie in different banks.
template <typename T>
__device__ __forceinline__ unsigned chunk_at(int row, int chunk) {
  return row * T::kRowBytes + (chunk ^ row % kSwizzle) * kChunkBytes;
}

// Copies a tile of kRows rows: `from` is this thread's chunk in the first rows, `to` its place,
// `valid` counts from its row on. Rows from there on become zero.
template <typename T, int kRows>
__device__ __forceinline__ void copy_tile(ptx::SharedAddress to, const bf16* from, int stride,
                                          int valid) {
#pragma unroll
  for (int r = 0; r < kRows; r += T::kCopyRows) {
    ptx::cp_async_16(to + r * T::kRowBytes, from + static_cast<size_t>(r) * stride, r < valid);
  }
}

template <int kHeadDim, int kRowTiles>
__device__ __forceinline__ void attention(bf16* out, const bf16* q, const bf16* k, const bf16* v,
                                          float* lse, const int* q_offsets, const int* kv_offsets,
                                          const AttentionItem* items, float* scratch,
                                          int partial_rows, int query_tokens, int heads,
                                          int kv_heads, int q_stride, int kv_stride, int out_stride,
                                          float scale) {
  using T = Tile<kHeadDim, kRowTiles>;
  const AttentionItem item = items[blockIdx.x];
  const int head = blockIdx.y;
  const int kv_head = head / (heads / kv_heads);
  const int keys = item.key_end - item.key_begin;
  const int key_tiles = (keys + kKeyTile - 1) / kKeyTile;
  // What this thread copies: a chunk in every kCopyRows-th row.
  const int copy_row = threadIdx.x / T::kChunks;
  const int copy_chunk = threadIdx.x % T::kChunks;
  const unsigned copy_to = chunk_at<T>(copy_row, copy_chunk);
  size_t copy_from =
      static_cast<size_t>(kv_offsets[item.sequence] + item.key_begin + copy_row) * kv_stride +
      kv_head * kHeadDim + copy_chunk * kChunkLanes;
  int copy_valid = keys - copy_row;

  const int lane = threadIdx.x % kWarpThreads;
  const int warp_row = threadIdx.x / kWarpThreads * kFragment * kRowTiles;
  const ptx::SharedAddress ring = ptx::shared_address(attention_shared);
  const ptx::SharedAddress last_slot = ring + T::kAhead * T::kSlotBytes;
  const ptx::SharedAddress q_tile = T::kQueriesInRegisters ? last_slot : ring + T::kRingBytes;
  // Where this lane's row of an 8x8 matrix begins: in Q's fragments, in 16 keys of K, in 16 of V.
  // Step n along the head is then XOR n * 32: it changes bits that only the chunk has.
  const ptx::SharedAddress q_lane = q_tile + chunk_at<T>(warp_row + lane % 16, lane / 16);
  const unsigned k_lane = chunk_at<T>(lane % 8 + lane / 16 * 8, lane / 8 % 2);
  const unsigned v_lane = chunk_at<T>(lane % 16, lane / 16);
  constexpr unsigned kStepBytes = 2 * kChunkBytes;
  constexpr unsigned kFragmentBytes = kFragment * T::kRowBytes;

  float o[T::kGroups][kRowTiles][kGroupColumns][4] = {};
  RowState row[kRowTiles][2];
  const float scale2 = scale * kLog2e;

  // K and V tiles take turns in the ring; each is copied kAhead turns before it is read, into the
  // slot that was read last. Past the end a group without copies keeps the count.
  const auto copy_k = [&](ptx::SharedAddress slot) {
    if (copy_valid > -copy_row) {
      copy_tile<T, kKeyTile>(slot + copy_to, k + copy_from, kv_stride, copy_valid);
    }
    ptx::cp_async_commit();
  };
  const auto copy_v = [&](ptx::SharedAddress slot) {
    if (copy_valid > -copy_row) {
      copy_tile<T, kKeyTile>(slot + copy_to, v + copy_from, kv_stride, copy_valid);
    }
    ptx::cp_async_commit();
    copy_from += static_cast<size_t>(kKeyTile) * kv_stride;
    copy_valid -= kKeyTile;
  };

  unsigned q_held[T::kQueriesInRegisters ? T::kDepth : 1][4];
  if (keys > 0) {
    const int first = q_offsets[item.sequence] + item.query_begin + copy_row;
    copy_tile<T, T::kQueries>(
        q_tile + copy_to,
        q + static_cast<size_t>(first) * q_stride + head * kHeadDim + copy_chunk * kChunkLanes,
        q_stride, q_offsets[item.sequence + 1] - first);
    if (T::kQueriesInRegisters) ptx::cp_async_commit();
#pragma unroll
    for (int t = 0; t < T::kAhead; ++t) {
      if (t % 2 == 0) {
        copy_k(ring + t * T::kSlotBytes);
      } else {
        copy_v(ring + t * T::kSlotBytes);
      }
    }
    if (T::kQueriesInRegisters) {
      ptx::cp_async_wait<T::kAhead>();
      __syncthreads();
#pragma unroll
      for (int n = 0; n < T::kDepth; ++n) ptx::ldmatrix_x4(q_held[n], q_lane ^ n * kStepBytes);
    }
  }

  ptx::SharedAddress slot = ring;       // of the tile to be read
  ptx::SharedAddress free = last_slot;  // of the one read before
  const auto advance = [&] {
    free = slot;
    slot = slot == last_slot ? ring : slot + T::kSlotBytes;
  };

#pragma unroll 1
  for (int key_tile = 0; key_tile < key_tiles; ++key_tile) {
    ptx::cp_async_wait<T::kAhead - 1>();
    __syncthreads();  // everyone's part of K is there, and everyone has read the free slot
    if (T::kAhead % 2 == 0) {
      copy_k(free);
    } else {
      copy_v(free);
    }
    float s[kRowTiles][kKeyTile / kColumns][4] = {};
#pragma unroll
    for (int n = 0; n < T::kDepth; ++n) {
      unsigned a[kRowTiles][4];
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        if (T::kQueriesInRegisters) {
#pragma unroll
          for (int e = 0; e < 4; ++e) a[m][e] = q_held[n][e];
        } else {
          ptx::ldmatrix_x4(a[m], (q_lane ^ n * kStepBytes) + m * kFragmentBytes);
        }
      }
      unsigned b[kKeyTile / kColumns][2];
#pragma unroll
      for (int i = 0; i < kKeyTile / kFragment; ++i) {
        unsigned two[4];
        ptx::ldmatrix_x4(two, ((slot + k_lane) ^ n * kStepBytes) + i * kFragmentBytes);
        b[2 * i][0] = two[0];
        b[2 * i][1] = two[1];
        b[2 * i + 1][0] = two[2];
        b[2 * i + 1][1] = two[3];
      }
      ptx::mma_m16n8k16_tile(s, a, b);
    }
    advance();

    const int valid = keys - key_tile * kKeyTile;
    unsigned weights[kKeyTile / kFragment][kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      if (valid < kKeyTile) mask_columns(s[m], lane % kQuadLanes * 2, valid);
      float rescale[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        rescale[half] = weigh_row(s[m], half, row[m][half], scale2);
      }
#pragma unroll
      for (int i = 0; i < kKeyTile / kFragment; ++i) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const float* pair = &s[m][2 * i + e / 2][e % 2 * 2];
          weights[i][m][e] = pack_bf16(pair[0], pair[1]);
        }
      }
      // Times 1 changes nothing, so that the warp may skip it.
      if (__any_sync(kWholeWarp, rescale[0] != 1.0f || rescale[1] != 1.0f)) {
#pragma unroll
        for (int group = 0; group < T::kGroups; ++group) {
#pragma unroll
          for (int n = 0; n < kGroupColumns; ++n) {
#pragma unroll
            for (int e = 0; e < 4; ++e) o[group][m][n][e] *= rescale[e / 2];
          }
        }
      }
    }

    ptx::cp_async_wait<T::kAhead - 1>();
    __syncthreads();  // V is there, K has been read
    if (T::kAhead % 2 == 0) {
      copy_v(free);
    } else {
      copy_k(free);
    }
#pragma unroll
    for (int i = 0; i < kKeyTile / kFragment; ++i) {
#pragma unroll
      for (int group = 0; group < T::kGroups; ++group) {
        unsigned b[kGroupColumns][2];
#pragma unroll
        for (int n = 0; n < kGroupColumns / 2; ++n) {
          const unsigned step = (group * kGroupColumns / 2 + n) * kStepBytes;
          unsigned two[4];
          ptx::ldmatrix_x4_trans(two, ((slot + v_lane) ^ step) + i * kFragmentBytes);
          b[2 * n][0] = two[0];
          b[2 * n][1] = two[1];
          b[2 * n + 1][0] = two[2];
          b[2 * n + 1][1] = two[3];
        }
        ptx::mma_m16n8k16_tile(o[group], weights[i], b);
      }
    }
    advance();
  }

  // Read again rather than kept in registers all along.
  const AttentionItem done = items[blockIdx.x];
  const int q_first = q_offsets[done.sequence] + done.query_begin;
  const int queries = q_offsets[done.sequence + 1] - q_first;  // from this tile's first on
  // The lane's rows are lane / 4 of each fragment and the one 8 further on.
  const int quad_row = warp_row + lane / kQuadLanes;
  const int column = lane % kQuadLanes * 2;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = quad_row + m * kFragment + half * 8;
      RowState& state = row[m][half];
      state.sum = lanes_sum<kQuadLanes>(state.sum);
      if (done.partial >= 0) {
        if (query >= queries) continue;
        const PartialResults partial{scratch, partial_rows, heads, kHeadDim};
        float* target = partial.out(done.partial + query, head) + column;
#pragma unroll
        for (int n = 0; n < kHeadDim / kColumns; ++n) {
          const float(&pair)[4] = o[n / kGroupColumns][m][n % kGroupColumns];
          *reinterpret_cast<float2*>(target + n * kColumns) = {pair[2 * half], pair[2 * half + 1]};
        }
        if (column == 0) {
          *partial.stats(done.partial + query, head) = {state.max * scale2, state.sum};
        }
        continue;
      }
      if (lse != nullptr && column == 0 && query < queries) {
        lse[static_cast<size_t>(head) * query_tokens + q_first + query] =
            keys > 0 ? (state.max * scale2 + log2f(state.sum)) * kLn2 : -INFINITY;
      }
    }
  }
  if (done.partial >= 0) return;

  // Through smem, so that whole 16-byte chunks leave: a warp writes and reads its own rows.
  __syncthreads();  // the last V has been read
  unsigned char* staged = attention_shared;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = quad_row + m * kFragment + half * 8;
      const float normalise = keys > 0 ? 1.0f / row[m][half].sum : 0.0f;
#pragma unroll
      for (int n = 0; n < kHeadDim / kColumns; ++n) {
        const float(&pair)[4] = o[n / kGroupColumns][m][n % kGroupColumns];
        *reinterpret_cast<unsigned*>(staged + chunk_at<T>(query, n) + column * sizeof(bf16)) =
            pack_bf16(pair[2 * half] * normalise, pair[2 * half + 1] * normalise);
      }
    }
  }
  __syncwarp();
  out += static_cast<size_t>(q_first) * out_stride + head * kHeadDim;
  constexpr int kRowsAtOnce = kWarpThreads / T::kChunks;
#pragma unroll
  for (int r = 0; r < kFragment * kRowTiles; r += kRowsAtOnce) {
    const int query = warp_row + r + lane / T::kChunks;
    const int chunk = lane % T::kChunks;
    if (query < queries) {
      *reinterpret_cast<uint4*>(out + static_cast<size_t>(query) * out_stride +
                                chunk * kChunkLanes) =
          *reinterpret_cast<const uint4*>(staged + chunk_at<T>(query, chunk));
    }
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads, 4)
    attention_hd64_q64_bf16_sm80(remask::bf16* out, const remask::bf16* q, const remask::bf16* k,
                                 const remask::bf16* v, float* lse, const int* q_offsets,
                                 const int* kv_offsets, const remask::AttentionItem* items,
                                 float* scratch, int partial_rows, int query_tokens, int heads,
                                 int kv_heads, int q_stride, int kv_stride, int out_stride,
                                 float scale) {
  remask::attention<64, 1>(out, q, k, v, lse, q_offsets, kv_offsets, items, scratch, partial_rows,
                           query_tokens, heads, kv_heads, q_stride, kv_stride, out_stride, scale);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads, 2)
    attention_hd64_q128_bf16_sm80(remask::bf16* out, const remask::bf16* q, const remask::bf16* k,
                                  const remask::bf16* v, float* lse, const int* q_offsets,
                                  const int* kv_offsets, const remask::AttentionItem* items,
                                  float* scratch, int partial_rows, int query_tokens, int heads,
                                  int kv_heads, int q_stride, int kv_stride, int out_stride,
                                  float scale) {
  remask::attention<64, 2>(out, q, k, v, lse, q_offsets, kv_offsets, items, scratch, partial_rows,
                           query_tokens, heads, kv_heads, q_stride, kv_stride, out_stride, scale);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads, 3)
    attention_hd128_q64_bf16_sm80(remask::bf16* out, const remask::bf16* q, const remask::bf16* k,
                                  const remask::bf16* v, float* lse, const int* q_offsets,
                                  const int* kv_offsets, const remask::AttentionItem* items,
                                  float* scratch, int partial_rows, int query_tokens, int heads,
                                  int kv_heads, int q_stride, int kv_stride, int out_stride,
                                  float scale) {
  remask::attention<128, 1>(out, q, k, v, lse, q_offsets, kv_offsets, items, scratch, partial_rows,
                            query_tokens, heads, kv_heads, q_stride, kv_stride, out_stride, scale);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads, 2)
    attention_hd128_q128_bf16_sm80(remask::bf16* out, const remask::bf16* q, const remask::bf16* k,
                                   const remask::bf16* v, float* lse, const int* q_offsets,
                                   const int* kv_offsets, const remask::AttentionItem* items,
                                   float* scratch, int partial_rows, int query_tokens, int heads,
                                   int kv_heads, int q_stride, int kv_stride, int out_stride,
                                   float scale) {
  remask::attention<128, 2>(out, q, k, v, lse, q_offsets, kv_offsets, items, scratch, partial_rows,
                            query_tokens, heads, kv_heads, q_stride, kv_stride, out_stride, scale);
}
