// What the CTAs of an attention launch do: one item per CTA and head, in the order in which the
// host wants them started. Written by AttentionWork.java; both structs are 32 bytes of int there.
//
// The items of a launch come first, longest first, then one AttentionCombine for each sequence
// whose keys are split. Partial results stand in the launch's scratch memory, P rows in all:
//   out f32[P, H, D], unnormalised, then stats f32[P, H, 2]: the row's maximum of
//   scale*log2(e)*score and its sum of exp2(that - maximum)
// The item's query i (from query_begin on) has the row partial + i.
#pragma once

namespace remask {

struct AttentionItem {
  int sequence;
  int query_begin;  // in the sequence; the tile of the launch's kernel says how many
  int key_begin;    // in the sequence
  int key_end;      // in the sequence; equal to key_begin where there are no keys
  int partial;      // first row of the partial result; -1: this item has all keys, it writes out
  int reserved[3];
};

// A sequence of few queries whose keys were split: its chunks, added in ascending order.
struct AttentionCombine {
  int sequence;
  int partial;  // first row of the first chunk; chunk c begins c * queries rows further on
  int chunks;
  int reserved[5];
};

static_assert(sizeof(AttentionItem) == 32 && sizeof(AttentionCombine) == 32,
              "AttentionWork.java writes 8 ints");

// Most queries of a sequence whose keys are split (AttentionWork.SPLIT_QUERIES).
constexpr int kSplitQueries = 64;

// Where partial results stand in the scratch memory.
struct PartialResults {
  float* scratch;
  int rows;
  int heads;
  int head_dim;

  __device__ __forceinline__ float* out(int row, int head) const {
    return scratch + (static_cast<size_t>(row) * heads + head) * head_dim;
  }
  // x is the maximum, y the sum.
  __device__ __forceinline__ float2* stats(int row, int head) const {
    return reinterpret_cast<float2*>(out(rows, 0)) + static_cast<size_t>(row) * heads + head;
  }
};

}  // namespace remask
