// attention_combine_hd{64,128}_bf16_sm80: partial results of split keys into attention's output.
// out bf16[Tq,out_stride], head h at h*D; work: `items` items, then one AttentionCombine for each
// block along z; scratch: PartialResults of attention_work.h; lse f32[H,Tq] or null
//   out = sum_c 2^(max_c - max) out_c / sum_c 2^(max_c - max) sum_c, max the largest max_c
// 1 a warp has one query of one head, a lane D/32 neighbouring columns
// 2 every lane reads all maxima and sums
// 3 the chunks are added in ascending order: bitwise repeatable
// compiled: 128 threads, 32 to 44 registers, no smem
// floor 64 rows, 32 heads, 8 chunks, D=128: 8.4 MB read, mostly from L2: 2.8 us at 3 TB/s (H100);
// not measured
#include "include/attention_softmax.h"
#include "include/attention_work.h"
#include "include/lanes.h"

namespace remask {
namespace {

constexpr int kThreads = 128;
constexpr int kRows = kThreads / kWarpThreads;  // AttentionCombine.ROWS

template <int kHeadDim>
__device__ __forceinline__ void combine(bf16* out, float* lse, const int* q_offsets,
                                        const AttentionItem* work, float* scratch, int items,
                                        int partial_rows, int query_tokens, int heads,
                                        int out_stride) {
  constexpr int kLanes = kHeadDim / kWarpThreads;
  const AttentionCombine split =
      reinterpret_cast<const AttentionCombine*>(work + items)[blockIdx.z];
  const int q_first = q_offsets[split.sequence];
  const int queries = q_offsets[split.sequence + 1] - q_first;
  const int query = blockIdx.x * kRows + threadIdx.x / kWarpThreads;
  if (query >= queries) return;
  const int head = blockIdx.y;
  const int column = threadIdx.x % kWarpThreads * kLanes;
  const PartialResults partial{scratch, partial_rows, heads, kHeadDim};

  float max = -INFINITY;
  for (int chunk = 0; chunk < split.chunks; ++chunk) {
    max = fmaxf(max, partial.stats(split.partial + chunk * queries + query, head)->x);
  }
  float sum = 0.0f;
  float total[kLanes] = {};
  for (int chunk = 0; chunk < split.chunks; ++chunk) {
    const int row = split.partial + chunk * queries + query;
    const float2 stats = *partial.stats(row, head);
    const float weight = exp2f(stats.x - max);
    sum += weight * stats.y;
    float x[kLanes];
    load<kLanes>(x, partial.out(row, head) + column);
#pragma unroll
    for (int i = 0; i < kLanes; ++i) total[i] += weight * x[i];
  }
  const float normalise = 1.0f / sum;
#pragma unroll
  for (int i = 0; i < kLanes; ++i) total[i] *= normalise;
  store<kLanes>(out + static_cast<size_t>(q_first + query) * out_stride + head * kHeadDim + column,
                total);
  if (lse != nullptr && column == 0) {
    lse[static_cast<size_t>(head) * query_tokens + q_first + query] = (max + log2f(sum)) * kLn2;
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    attention_combine_hd64_bf16_sm80(remask::bf16* out, float* lse, const int* q_offsets,
                                     const remask::AttentionItem* work, float* scratch, int items,
                                     int partial_rows, int query_tokens, int heads,
                                     int out_stride) {
  remask::combine<64>(out, lse, q_offsets, work, scratch, items, partial_rows, query_tokens, heads,
                      out_stride);
}

extern "C" __global__ void __launch_bounds__(remask::kThreads)
    attention_combine_hd128_bf16_sm80(remask::bf16* out, float* lse, const int* q_offsets,
                                      const remask::AttentionItem* work, float* scratch, int items,
                                      int partial_rows, int query_tokens, int heads,
                                      int out_stride) {
  remask::combine<128>(out, lse, q_offsets, work, scratch, items, partial_rows, query_tokens, heads,
                       out_stride);
}
