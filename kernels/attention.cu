// attention_hd64_X, attention_hd128_X: full (non-causal) attention over packed sequences.
// out X[Tq,out_stride], q X[Tq,q_stride], head h at h*hd; k, v X[Tk,kv_stride], head g at g*hd;
// q_offsets, kv_offsets i32[S+1], first token of each sequence; grouped K/V heads: g = h*KV/H
//   out = softmax(q k^T * scale) v within each sequence; no keys: zeros
// 1 a CTA has 64 queries of one head and walks the keys 32 at a time  2 Q in smem for good, K and V
// take turns in one buffer, all as f32, their float4 columns XOR-swizzled: no bank conflicts
// 3 a thread owns 4 queries x 4 keys of the scores and 4 x hd/8 of the output; its 8 neighbours
// share the queries, so that the row maximum and P.V need shuffles only  4 online softmax in base 2
// with scale*log2(e) folded into Q  5 keys past the end score -inf, their V is read as zero
// compiled: 128 threads, bitwise repeatable; hd 64: 128 regs, 24 KB smem; hd 128: up to 180 regs,
// 48 KB smem
// floor B=1 T=4096 H=32 hd=128: 275 GFLOP / 67 TFLOP/s (f32 FMA) = 4.1 ms (H200); not measured
#include "include/lanes.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 128;
constexpr int kQueryTile = 64;
constexpr int kKeyTile = 32;
constexpr int kRowThreads = 8;  // threads that share a query
constexpr int kRowGroups = kThreads / kRowThreads;
constexpr int kRows = kQueryTile / kRowGroups;  // queries of one thread
constexpr int kKeys = kKeyTile / kRowThreads;   // keys of one thread
constexpr int kQuad = kVectorLanes<float>;      // the unit of smem access: a float4 column
constexpr int kSwizzle = 8;                     // float4 columns that cover the 32 banks once
constexpr float kLog2e = 1.4426950408889634f;

static_assert(kRowThreads == kSwizzle, "8 threads read 8 rows of K: one float4 column each");
static_assert(kWarpThreads % kRowThreads == 0, "a query's threads exchange by shuffle");

// A tile of rows of kHeadDim floats. Where all threads of a phase read column `quad` of different
// rows the swizzle spreads them over the banks; where they read one row it only permutes.
template <int kHeadDim>
__device__ __forceinline__ float* quad_at(float* tile, int row, int quad) {
  return tile + row * kHeadDim + (quad ^ (row % kSwizzle)) * kQuad;
}

// Copies up to kTileRows rows of X into smem as factor * f32; rows from `valid` on become zero.
template <int kHeadDim, int kTileRows, typename X>
__device__ __forceinline__ void load_tile(float* tile, const X* __restrict__ rows, int stride,
                                          int valid, float factor, bool vectors) {
  constexpr int kLanes = kVectorLanes<X>;
#pragma unroll 2
  for (int i = threadIdx.x * kLanes; i < kTileRows * kHeadDim; i += kThreads * kLanes) {
    const int row = i / kHeadDim;
    const int column = i % kHeadDim;
    float x[kLanes] = {};
    if (row < valid) {
      const X* source = rows + static_cast<size_t>(row) * stride + column;
      if (vectors) {
        load<kLanes>(x, source);
      } else {
#pragma unroll
        for (int n = 0; n < kLanes; ++n) x[n] = to_float(source[n]);
      }
    }
#pragma unroll
    for (int n = 0; n < kLanes; n += kQuad) {
      float quad[kQuad];
#pragma unroll
      for (int e = 0; e < kQuad; ++e) quad[e] = x[n + e] * factor;
      store<kQuad>(quad_at<kHeadDim>(tile, row, (column + n) / kQuad), quad);
    }
  }
}

// What a thread carries from key tile to key tile, for each of its queries.
template <int kHeadDim>
struct Running {
  static constexpr int kQuads = kHeadDim / kQuad / kRowThreads;  // output columns of one thread
  float max[kRows];                                              // of the scaled scores, in base 2
  float sum[kRows];  // of exp2(score - max) over this thread's own keys
  float out[kRows][kQuads][kQuad];
};

// Scores of this thread's queries and keys: query group + i*kRowGroups, key lane + c*kRowThreads.
template <int kHeadDim>
__device__ __forceinline__ void score(float (&scores)[kRows][kKeys], float* q_tile, float* k_tile,
                                      int group, int lane) {
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int c = 0; c < kKeys; ++c) scores[i][c] = 0.0f;
  }
#pragma unroll 4
  for (int quad = 0; quad < kHeadDim / kQuad; ++quad) {
    float q[kRows][kQuad], k[kKeys][kQuad];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      load<kQuad>(q[i], quad_at<kHeadDim>(q_tile, group + i * kRowGroups, quad));
    }
#pragma unroll
    for (int c = 0; c < kKeys; ++c) {
      load<kQuad>(k[c], quad_at<kHeadDim>(k_tile, lane + c * kRowThreads, quad));
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int c = 0; c < kKeys; ++c) {
#pragma unroll
        for (int e = 0; e < kQuad; ++e) scores[i][c] = fmaf(q[i][e], k[c][e], scores[i][c]);
      }
    }
  }
}

// Turns scores into weights exp2(score - max) and rescales what the former maximum had summed.
template <int kHeadDim>
__device__ __forceinline__ void weigh(float (&scores)[kRows][kKeys], Running<kHeadDim>& running,
                                      int valid_keys, int lane) {
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    float largest = -INFINITY;
#pragma unroll
    for (int c = 0; c < kKeys; ++c) {
      if (lane + c * kRowThreads >= valid_keys) scores[i][c] = -INFINITY;
      largest = fmaxf(largest, scores[i][c]);
    }
    const float max = fmaxf(running.max[i], lanes_max<kRowThreads>(largest));
    const float rescale = exp2f(running.max[i] - max);  // 0 in the first tile
    running.max[i] = max;
    running.sum[i] *= rescale;
#pragma unroll
    for (int c = 0; c < kKeys; ++c) {
      scores[i][c] = exp2f(scores[i][c] - max);
      running.sum[i] += scores[i][c];
    }
#pragma unroll
    for (int quad = 0; quad < Running<kHeadDim>::kQuads; ++quad) {
#pragma unroll
      for (int e = 0; e < kQuad; ++e) running.out[i][quad][e] *= rescale;
    }
  }
}

// out += weights * V: each key's weight comes from the neighbour that holds it.
template <int kHeadDim>
__device__ __forceinline__ void accumulate(Running<kHeadDim>& running,
                                           const float (&weights)[kRows][kKeys], float* v_tile,
                                           int lane) {
#pragma unroll
  for (int c = 0; c < kKeys; ++c) {
#pragma unroll 2
    for (int owner = 0; owner < kRowThreads; ++owner) {
      float weight[kRows];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        weight[i] = __shfl_sync(kWholeWarp, weights[i][c], owner, kRowThreads);
      }
#pragma unroll
      for (int quad = 0; quad < Running<kHeadDim>::kQuads; ++quad) {
        float v[kQuad];
        load<kQuad>(v,
                    quad_at<kHeadDim>(v_tile, owner + c * kRowThreads, lane + quad * kRowThreads));
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
#pragma unroll
          for (int e = 0; e < kQuad; ++e) {
            running.out[i][quad][e] = fmaf(weight[i], v[e], running.out[i][quad][e]);
          }
        }
      }
    }
  }
}

template <int kHeadDim, typename X>
__device__ __forceinline__ void attention(X* out, const X* q, const X* k, const X* v,
                                          const int* q_offsets, const int* kv_offsets, int heads,
                                          int kv_heads, int q_stride, int kv_stride, int out_stride,
                                          float scale) {
  __shared__ __align__(16) float q_tile[kQueryTile * kHeadDim];
  __shared__ __align__(16) float kv_tile[kKeyTile * kHeadDim];

  const int head = blockIdx.y;
  const int sequence = blockIdx.z;
  const int q_begin = q_offsets[sequence] + blockIdx.x * kQueryTile;
  const int queries = q_offsets[sequence + 1] - q_begin;  // from this tile's first on
  if (queries <= 0) return;                               // the grid covers the longest sequence
  const int kv_begin = kv_offsets[sequence];
  const int keys = kv_offsets[sequence + 1] - kv_begin;
  const int group = threadIdx.x / kRowThreads;
  const int lane = threadIdx.x % kRowThreads;

  const int kv_head = head / (heads / kv_heads);
  q += static_cast<size_t>(q_begin) * q_stride + head * kHeadDim;
  k += static_cast<size_t>(kv_begin) * kv_stride + kv_head * kHeadDim;
  v += static_cast<size_t>(kv_begin) * kv_stride + kv_head * kHeadDim;
  out += static_cast<size_t>(q_begin) * out_stride + head * kHeadDim;
  constexpr int kLanes = kVectorLanes<X>;
  const bool q_vectors = aligned<kLanes>(q) && q_stride % kLanes == 0;
  const bool k_vectors = aligned<kLanes>(k) && kv_stride % kLanes == 0;
  const bool v_vectors = aligned<kLanes>(v) && kv_stride % kLanes == 0;

  load_tile<kHeadDim, kQueryTile>(q_tile, q, q_stride, queries, scale * kLog2e, q_vectors);
  Running<kHeadDim> running;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    running.max[i] = -INFINITY;
    running.sum[i] = 0.0f;
#pragma unroll
    for (int quad = 0; quad < Running<kHeadDim>::kQuads; ++quad) {
#pragma unroll
      for (int e = 0; e < kQuad; ++e) running.out[i][quad][e] = 0.0f;
    }
  }

  for (int key = 0; key < keys; key += kKeyTile) {
    const size_t offset = static_cast<size_t>(key) * kv_stride;
    const int valid = keys - key;
    float scores[kRows][kKeys];
    __syncthreads();  // the last tile's V has been read
    load_tile<kHeadDim, kKeyTile>(kv_tile, k + offset, kv_stride, valid, 1.0f, k_vectors);
    __syncthreads();
    score<kHeadDim>(scores, q_tile, kv_tile, group, lane);
    __syncthreads();  // K has been read
    load_tile<kHeadDim, kKeyTile>(kv_tile, v + offset, kv_stride, valid, 1.0f, v_vectors);
    weigh<kHeadDim>(scores, running, valid, lane);
    __syncthreads();
    accumulate<kHeadDim>(running, scores, kv_tile, lane);
  }

  const bool out_vectors = aligned<kQuad>(out) && out_stride % kQuad == 0;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    const float sum = lanes_sum<kRowThreads>(running.sum[i]);
    const float normalise = keys > 0 ? 1.0f / sum : 0.0f;
    const int row = group + i * kRowGroups;
    if (row >= queries) continue;
    X* target = out + static_cast<size_t>(row) * out_stride;
#pragma unroll
    for (int quad = 0; quad < Running<kHeadDim>::kQuads; ++quad) {
      X* columns = target + (lane + quad * kRowThreads) * kQuad;
      float x[kQuad];
#pragma unroll
      for (int e = 0; e < kQuad; ++e) x[e] = running.out[i][quad][e] * normalise;
      if (out_vectors) {
        store<kQuad>(columns, x);
      } else {
#pragma unroll
        for (int e = 0; e < kQuad; ++e) columns[e] = from_float<X>(x[e]);
      }
    }
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    attention_hd64_bf16(remask::bf16* out, const remask::bf16* q, const remask::bf16* k,
                        const remask::bf16* v, const int* q_offsets, const int* kv_offsets,
                        int heads, int kv_heads, int q_stride, int kv_stride, int out_stride,
                        float scale) {
  remask::attention<64>(out, q, k, v, q_offsets, kv_offsets, heads, kv_heads, q_stride, kv_stride,
                        out_stride, scale);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    attention_hd64_f32(float* out, const float* q, const float* k, const float* v,
                       const int* q_offsets, const int* kv_offsets, int heads, int kv_heads,
                       int q_stride, int kv_stride, int out_stride, float scale) {
  remask::attention<64>(out, q, k, v, q_offsets, kv_offsets, heads, kv_heads, q_stride, kv_stride,
                        out_stride, scale);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    attention_hd128_bf16(remask::bf16* out, const remask::bf16* q, const remask::bf16* k,
                         const remask::bf16* v, const int* q_offsets, const int* kv_offsets,
                         int heads, int kv_heads, int q_stride, int kv_stride, int out_stride,
                         float scale) {
  remask::attention<128>(out, q, k, v, q_offsets, kv_offsets, heads, kv_heads, q_stride, kv_stride,
                         out_stride, scale);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    attention_hd128_f32(float* out, const float* q, const float* k, const float* v,
                        const int* q_offsets, const int* kv_offsets, int heads, int kv_heads,
                        int q_stride, int kv_stride, int out_stride, float scale) {
  remask::attention<128>(out, q, k, v, q_offsets, kv_offsets, heads, kv_heads, q_stride, kv_stride,
                         out_stride, scale);
}
