// What TMA does with a tensor map: a box of the tensor to or from shared memory, swizzled, with
// what lies outside the tensor as zeros.
#pragma once

#include "tensor_map.h"

namespace remask::emulator {

// A map and where its box begins.
struct TensorBox {
  RemaskTensorMap map;
  int at[kRemaskTensorMapRanks];  // innermost first
};

unsigned box_bytes(const RemaskTensorMap& map);
// 0, 32, 64 or 128.
unsigned swizzle_span(const RemaskTensorMap& map);

// Why TMA would refuse this map, or the emulator does; null if it would not.
const char* tensor_map_refusal(const RemaskTensorMap& map, int rank);

// Calls visit(context, begin, bytes) for the parts of rows that lie inside the tensor.
void visit_global(const TensorBox& box, void (*visit)(void*, const char* begin, unsigned bytes),
                  void* context);

// `memory` holds the box, `offset` is where it begins in the shared window, a multiple of 128: what
// swizzles depend on.
void load_box(const TensorBox& box, char* memory, unsigned offset);
void store_box(const TensorBox& box, const char* memory, unsigned offset);

}  // namespace remask::emulator
