// constrain: edits the logits of rows as their sequences' constraints say, before the selection.
// in/out logits f32[Rall,E]; in rows Row[R], sequences, constraints Constraint[...], data i32[...],
// canvas and mask_positions (arenas, see diffusion_state.h)
//   A sequence's entries are constraints[constraint_begin ...], applied in order:
//   kBan: data are `count` ids, whose logits become -inf
//   kBias: `count` distinct ids, then as many floats, which are added to their logits
//   kAllowOnly: `count` ids; all other logits become -inf
//   kOneOf: `count` choices of mask_count ids each, -1 for any id. A choice is alive while every
//   mask that is committed holds its id there; a row may take the ids that living choices have at
//   its mask. A reconsidered row's own token does not count. Where none is alive nothing is left.
//   Rows see the canvas as it was before the step: two that commit in the same step may follow
//   different choices, so a plan commits one row a step where there are several choices.
//   -inf goes to the conditional row alone, after which no guidance brings the id back; a bias to
//   the unconditional one, too, so that the guided logit moves by it. Ids that are no column are
//   passed over. A row of kind kNothing is left alone.
// 1 a CTA has a row; entries in turn  2 ban and bias: an id a thread  3 allow only and choices: a
// bit of smem for each of 65,536 columns at a time, then a sweep that writes -inf only
// 4 choices: a warp has one, its lanes compare masks 32 at a time and end at the first that differs
// compiled: up to 60 regs, 8.2 KB smem
// bound by the launch where few ids are banned, by 4 bytes a column stored where few are allowed:
// R=32 E=126464: 16.2 MB / 4.8 TB/s = 3.4 us (H200); not measured
#include "include/constraint.h"
#include "include/diffusion_state.h"
#include "include/warp.h"

namespace remask {
namespace {

constexpr int kThreads = 256;
constexpr int kResidentBlocks = 4;
constexpr int kWarps = kThreads / kWarpThreads;
constexpr int kWordBits = 32;
constexpr int kBitmapColumns = 65536;
constexpr int kBitmapWords = kBitmapColumns / kWordBits;

// What a row's constraints are held against.
struct Request {
  const int* canvas;          // from position 0 on
  const int* mask_positions;  // of its masks
  int mask_count;
  int own;  // the row's mask
  int mask;
};

// Whether every committed mask but the row's own holds the choice's id. All lanes of a warp call
// it.
__device__ __forceinline__ bool is_alive(const int* choice, const Request& request) {
  const int lane = threadIdx.x % kWarpThreads;
  for (int begin = 0; begin < request.mask_count; begin += kWarpThreads) {
    const int m = begin + lane;
    bool differs = false;
    if (m < request.mask_count && m != request.own && choice[m] >= 0) {
      const int token = request.canvas[request.mask_positions[m]];
      differs = token != request.mask && token != choice[m];
    }
    if (__any_sync(kWholeWarp, differs)) return false;
  }
  return true;
}

__device__ __forceinline__ void allow(unsigned* bitmap, int id, int begin, int end) {
  if (id >= begin && id < end) {
    atomicOr(&bitmap[(id - begin) / kWordBits], 1u << (id - begin) % kWordBits);
  }
}

// -inf for the columns that the entry does not name. All threads call it.
__device__ __forceinline__ void keep_only(float* row, int columns, int kind, int count,
                                          const int* data, const Request& request) {
  __shared__ unsigned bitmap[kBitmapWords];
  __shared__ int anything;  // a living choice has no id here
  const int warp = threadIdx.x / kWarpThreads;
  for (int begin = 0; begin < columns; begin += kBitmapColumns) {
    const int end = min(columns, begin + kBitmapColumns);
    for (int word = threadIdx.x; word < kBitmapWords; word += kThreads) bitmap[word] = 0;
    if (threadIdx.x == 0) anything = 0;
    __syncthreads();
    if (kind == kAllowOnly) {
      for (int i = threadIdx.x; i < count; i += kThreads) allow(bitmap, data[i], begin, end);
    } else {
      for (int i = warp; i < count; i += kWarps) {
        const int* choice = data + static_cast<size_t>(i) * request.mask_count;
        if (!is_alive(choice, request) || threadIdx.x % kWarpThreads != 0) continue;
        const int id = choice[request.own];
        if (id < 0) {
          atomicExch(&anything, 1);
        } else {
          allow(bitmap, id, begin, end);
        }
      }
    }
    __syncthreads();
    if (anything == 0) {
      for (int id = begin + static_cast<int>(threadIdx.x); id < end; id += kThreads) {
        const unsigned word = bitmap[(id - begin) / kWordBits];
        if ((word >> (id - begin) % kWordBits & 1u) == 0) row[id] = -INFINITY;
      }
    }
    __syncthreads();  // before the bits of the next columns, or the next entry
  }
}

}  // namespace
}  // namespace remask

extern "C" __global__ void __launch_bounds__(remask::kThreads, remask::kResidentBlocks)
    constrain(float* logits, const remask::Row* rows, const remask::Sequence* sequences,
              const remask::Constraint* constraints, const int* data, const int* canvas,
              const int* mask_positions, int row_count, int columns, int mask) {
  using namespace remask;
  const int index = blockIdx.x;
  if (index >= row_count) return;
  const Row row = rows[index];
  if (row.kind == kNothing) return;
  const Sequence& sequence = sequences[row.sequence];
  float* conditional = logits + static_cast<size_t>(index) * columns;
  float* unconditional = row.unconditional_row < 0
                             ? nullptr
                             : logits + static_cast<size_t>(row.unconditional_row) * columns;
  const Request request = {canvas + sequence.canvas_begin, mask_positions + sequence.canvas_begin,
                           sequence.mask_count, row.mask_index, mask};
#pragma unroll 1
  for (int i = 0; i < sequence.constraint_count; ++i) {
    const Constraint entry = constraints[sequence.constraint_begin + i];
    if (entry.position >= 0 && entry.position != row.position) continue;
    const int* ids = data + entry.begin;
    const int count = entry.count;
    if (entry.kind == kBan || entry.kind == kBias) {
      for (int n = threadIdx.x; n < count; n += kThreads) {
        const int id = ids[n];
        if (id < 0 || id >= columns) continue;
        if (entry.kind == kBan) {
          conditional[id] = -INFINITY;
        } else {
          const float bias = __int_as_float(ids[count + n]);
          conditional[id] += bias;
          if (unconditional != nullptr) unconditional[id] += bias;
        }
      }
      __syncthreads();  // the next entry may name the same ids
    } else {
      keep_only(conditional, columns, entry.kind, count, ids, request);
    }
  }
}
