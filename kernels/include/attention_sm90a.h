// The parts of attention_sm90a.cu: what a CTA is made of, and one thread's share of the products
// and the softmax of a consumer warpgroup.
#pragma once

#include "attention_softmax.h"
#include "lanes.h"
#include "ptx_sm90a.h"
#include "warp.h"

namespace remask::attention_sm90a {

using ptx::SharedAddress;

constexpr int kWarpgroup = 128;     // threads
constexpr int kWarpgroupRows = 64;  // M of a wgmma: the queries of a consumer warpgroup
constexpr int kWarpRows = kWarpgroupRows * kWarpThreads / kWarpgroup;
constexpr int kStep = 16;  // K of a wgmma
constexpr int kSlab = 64;  // columns of a swizzled row of smem: tiles are slabs of 64 columns
constexpr int kSlabRow = kSlab * sizeof(bf16);
constexpr int kSwizzleRows = 8;             // the swizzle's pattern repeats after so many rows
constexpr int kChunk = kVectorLanes<bf16>;  // 16 bytes, the unit of the swizzle
constexpr int kBarrierBytes = 8;
constexpr int kRegisterFile = 65536;
constexpr int kMostSharedBytes = 227 * 1024;

// Named barriers; 0 is __syncthreads.
constexpr int kTailBarrier = 1;
constexpr int kTurnBarrier = 2;   // + consumer
constexpr int kStoreBarrier = 5;  // + consumer

// What a CTA is made of: one producer warpgroup, kConsumers_ consumers.
template <int kHeadDim_, int kConsumers_, int kKeyTile_, int kStages_>
struct Plan {
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kConsumers = kConsumers_;
  static constexpr int kKeyTile = kKeyTile_;
  static constexpr int kStages = kStages_;
  static constexpr int kThreads = (kConsumers + 1) * kWarpgroup;
  static constexpr int kQueryTile = kConsumers * kWarpgroupRows;
  static constexpr int kSlabs = kHeadDim / kSlab;
  static constexpr int kQueryBytes = kQueryTile * kHeadDim * sizeof(bf16);
  static constexpr int kKeyBytes = kKeyTile * kHeadDim * sizeof(bf16);
  static constexpr int kProducerRegisters = kConsumers == 2 ? 24 : 32;
  static constexpr int kConsumerRegisters = kConsumers == 2 ? 240 : 160;
  // smem: Q, kStages of K, kStages of V, then the mbarriers: Q full and per stage K full, V full,
  // K empty, V empty.
  static constexpr int kKeys = kQueryBytes;
  static constexpr int kValues = kKeys + kStages * kKeyBytes;
  static constexpr int kBarriers = kValues + kStages * kKeyBytes;
  static constexpr int kBytes = kBarriers + (1 + 4 * kStages) * kBarrierBytes;

  static_assert(kHeadDim % kSlab == 0, "whole slabs");
  static_assert(kKeyTile % kStep == 0 && kKeyTile <= 256, "keys: N of Q.K, K of P.V, a TMA box");
  static_assert(kKeyTile % kSwizzleRows == 0, "tiles begin where the swizzle's pattern does");
  static_assert(kWarpgroup * (kProducerRegisters + kConsumers * kConsumerRegisters) <=
                    kRegisterFile,
                "the CTA's registers");
  static_assert(kBytes <= kMostSharedBytes, "the CTA's shared memory");
};

template <typename P>
struct Shared {
  SharedAddress base;

  __device__ __forceinline__ SharedAddress query() const { return base; }
  __device__ __forceinline__ SharedAddress key(int stage) const {
    return base + P::kKeys + stage * P::kKeyBytes;
  }
  __device__ __forceinline__ SharedAddress value(int stage) const {
    return base + P::kValues + stage * P::kKeyBytes;
  }
  __device__ __forceinline__ SharedAddress query_full() const { return base + P::kBarriers; }
  __device__ __forceinline__ SharedAddress key_full(int stage) const {
    return query_full() + (1 + stage) * kBarrierBytes;
  }
  __device__ __forceinline__ SharedAddress value_full(int stage) const {
    return key_full(P::kStages + stage);
  }
  __device__ __forceinline__ SharedAddress key_empty(int stage) const {
    return key_full(2 * P::kStages + stage);
  }
  __device__ __forceinline__ SharedAddress value_empty(int stage) const {
    return key_full(3 * P::kStages + stage);
  }
};

// Where someone stands in a ring of stages; a barrier's phases alternate in parity, from 0.
template <int kStages>
struct Turn {
  int stage = 0;
  unsigned parity = 0;

  __device__ __forceinline__ void next() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// A work item and a head, in rows of the packed tensors.
struct Task {
  int head, kv_head;
  int query, queries;  // first row, rows up to the item's end (at most a tile)
  int key, keys;
};

// Key tiles go from the last, which alone may be cut, to the first: masks stay out of the loop.
template <typename P>
__device__ __forceinline__ int key_tiles(const Task& task) {
  return (task.keys + P::kKeyTile - 1) / P::kKeyTile;
}

// What a descriptor's address field counts.
constexpr int kDescriptorUnit = 16;

// One thread's share of a consumer warpgroup. An accumulator's element i lies in row (i / 2) % 2 of
// the thread's two rows, which are 8 apart, and in column 8 (i / 4) + 2 (lane % 4) + i % 2.
template <typename P>
struct Consumer {
  static constexpr int kScores = P::kKeyTile / 2;
  static constexpr int kOuts = P::kHeadDim / 2;
  static constexpr int kSteps = P::kKeyTile / kStep;

  float out[kOuts];
  float max[2];  // of the scores
  float sum[2];  // of exp2(factor (score - max))

  // scores = Q K^T, enqueued.
  __device__ __forceinline__ static void multiply_keys(float (&scores)[kScores],
                                                       SharedAddress query, SharedAddress key) {
    const unsigned long long a =
        ptx::smem_descriptor(query, 0, kSwizzleRows * kSlabRow, ptx::Swizzle::k128);
    const unsigned long long b =
        ptx::smem_descriptor(key, 0, kSwizzleRows * kSlabRow, ptx::Swizzle::k128);
#pragma unroll
    for (int column = 0; column < P::kHeadDim; column += kStep) {
      const int slab = column / kSlab;
      const int within = column % kSlab * int(sizeof(bf16));
      ptx::wgmma<P::kKeyTile>(
          scores, a + (slab * P::kQueryTile * kSlabRow + within) / kDescriptorUnit,
          b + (slab * P::kKeyTile * kSlabRow + within) / kDescriptorUnit, column > 0);
    }
    ptx::wgmma_commit();
  }

  // out += P V, enqueued.
  __device__ __forceinline__ void multiply_values(const unsigned (&weights)[kSteps][4],
                                                  SharedAddress value) {
    const unsigned long long b = ptx::smem_descriptor(value, P::kKeyTile * kSlabRow,
                                                      kSwizzleRows * kSlabRow, ptx::Swizzle::k128);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      ptx::wgmma<P::kHeadDim, true>(out, weights[step],
                                    b + step * kStep * kSlabRow / kDescriptorUnit, true);
    }
    ptx::wgmma_commit();
  }

  // Scores of keys from `valid` on become -inf.
  __device__ __forceinline__ static void mask(float (&scores)[kScores], int valid) {
    const int column = threadIdx.x % kQuadLanes * 2;
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      if (i / 4 * 8 + column + i % 2 >= valid) scores[i] = -INFINITY;
    }
  }

  // Turns scores into weights, exp2(factor (score - max)), and says by what the sums until now are
  // to be multiplied: 0 in the first tile, 1 where the maximum stays (attention_softmax.h says
  // when).
  __device__ __forceinline__ void weigh(float (&scores)[kScores], float factor,
                                        float (&rescale)[2]) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float largest = -INFINITY;
#pragma unroll
      for (int i = 2 * row; i < kScores; i += 4) {
        largest = fmaxf(largest, fmaxf(scores[i], scores[i + 1]));
      }
      largest = lanes_max<kQuadLanes>(largest);
      const bool raise = (largest - max[row]) * factor > kMaxSlack;
      rescale[row] = raise ? ptx::exp2_approx((max[row] - largest) * factor) : 1.0f;
      if (raise) max[row] = largest;
      const float shift = -max[row] * factor;
      float added = 0.0f;
#pragma unroll
      for (int i = 2 * row; i < kScores; i += 4) {
#pragma unroll
        for (int e = i; e < i + 2; ++e) {
          scores[e] = ptx::exp2_approx(fmaf(scores[e], factor, shift));
          added += scores[e];
        }
      }
      // The shuffle is a quad's sum tile by tile, and what ptxas never moves: behind it all weights
      // exist. Without it ptxas sinks them below the wait for the product they should run under.
      sum[row] = fmaf(sum[row], rescale[row], lanes_sum<kQuadLanes>(added));
    }
  }

  // The other half of a rescaling: most tiles raise no maximum of a warp's rows.
  __device__ __forceinline__ void rescale_out(const float (&rescale)[2]) {
    if (!__any_sync(kWholeWarp, rescale[0] != 1.0f || rescale[1] != 1.0f)) return;
#pragma unroll
    for (int i = 0; i < kOuts; ++i) out[i] *= rescale[i / 2 % 2];
  }

  // Accumulators become the A fragments of the next product: the same elements, as bf16.
  __device__ __forceinline__ static void pack(unsigned (&weights)[kSteps][4],
                                              const float (&scores)[kScores]) {
#pragma unroll
    for (int i = 0; i < kScores; i += 2) {
      weights[i / 8][i / 2 % 4] = pack_bf16(scores[i], scores[i + 1]);
    }
  }
};

}  // namespace remask::attention_sm90a
