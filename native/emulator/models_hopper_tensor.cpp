#include <algorithm>
#include <cstring>

#include "hopper_swizzle.h"
#include "hopper_tensor.h"

namespace remask::emulator {
namespace {

constexpr unsigned kChunkBytes = 16;

// The begin of one row of the box (its innermost dimension) and which of its elements exist.
struct Row {
  char* global;          // of its first element, even if that lies outside
  unsigned first, last;  // elements [first, last) lie inside the tensor
};

// Calls visit(row, byte offset in the box) for every row, in order.
template <class Visit>
void for_each_row(const TensorBox& box, Visit visit) {
  const RemaskTensorMap& map = box.map;
  const unsigned row_bytes = map.box[0] * map.element_bytes;
  const long long begin = box.at[0], end = begin + map.box[0];
  const long long inside_begin = std::clamp<long long>(-begin, 0, map.box[0]);
  const long long inside_end =
      std::clamp<long long>(static_cast<long long>(map.dim[0]) - begin, inside_begin, end - begin);
  unsigned rows = 1;
  for (int d = 1; d < map.rank; d++) rows *= map.box[d];
  for (unsigned i = 0; i < rows; i++) {
    Row row{reinterpret_cast<char*>(map.address) + begin * map.element_bytes,
            unsigned(inside_begin), unsigned(inside_end)};
    unsigned rest = i;
    for (int d = 1; d < map.rank; d++) {
      const long long at = box.at[d] + static_cast<long long>(rest % map.box[d]);
      rest /= map.box[d];
      row.global += at * static_cast<long long>(map.stride16[d - 1] * 16);
      if (at < 0 || at >= static_cast<long long>(map.dim[d])) row.last = row.first;
    }
    visit(row, i * row_bytes);
  }
}

// What stands for elements outside the tensor.
void fill(const RemaskTensorMap& map, char* row, unsigned bytes) {
  if (map.fill == 0) {
    std::memset(row, 0, bytes);
    return;
  }
  constexpr unsigned char kNaN2[2] = {0xff, 0x7f};  // bf16 and f16
  constexpr unsigned char kNaN4[4] = {0xff, 0xff, 0xff, 0x7f};
  for (unsigned i = 0; i < bytes; i++) {
    row[i] = char(map.element_bytes == 2 ? kNaN2[i % 2] : kNaN4[i % 4]);
  }
}

}  // namespace

unsigned box_bytes(const RemaskTensorMap& map) {
  unsigned bytes = map.element_bytes;
  for (int d = 0; d < map.rank; d++) bytes *= map.box[d];
  return bytes;
}

unsigned swizzle_span(const RemaskTensorMap& map) {
  return map.swizzle == 0 ? 0 : 16u << map.swizzle;
}

const char* tensor_map_refusal(const RemaskTensorMap& map, int rank) {
  if (map.magic != kRemaskTensorMapMagic) {
    return "these 128 bytes are no tensor map of this device (cuTensorMapEncodeTiled)";
  }
  if (map.rank != rank) return "the coordinates are not as many as the tensor's dimensions";
  if (map.interleave != 0) return "interleaved maps are not modelled";
  if (map.element_bytes == 0 || map.element_bytes > 8) return "its elements have no size";
  if (map.swizzle > 3) return "its swizzle is none of 0 to 3";
  if (map.address % 16 != 0) return "the tensor's address is not aligned to 16";
  for (int d = 0; d < rank; d++) {
    if (map.box[d] == 0 || map.box[d] > 256) return "a box has 1 to 256 elements a dimension";
    if (map.element_stride[d] > 1) return "element strides other than 1 are not modelled";
  }
  const unsigned row_bytes = map.box[0] * map.element_bytes;
  if (row_bytes % 16 != 0) return "the box's inner dimension is no multiple of 16 bytes";
  if (map.swizzle != 0 && row_bytes > swizzle_span(map)) {
    return "the box's inner dimension is wider than its swizzle";
  }
  if (map.swizzle != 0 && row_bytes < swizzle_span(map)) {
    return "a box narrower than its swizzle is not modelled";
  }
  return nullptr;
}

void visit_global(const TensorBox& box, void (*visit)(void*, const char* begin, unsigned bytes),
                  void* context) {
  for_each_row(box, [&](const Row& row, unsigned) {
    if (row.first == row.last) return;
    visit(context, row.global + row.first * box.map.element_bytes,
          (row.last - row.first) * box.map.element_bytes);
  });
}

void load_box(const TensorBox& box, char* memory, unsigned offset) {
  const RemaskTensorMap& map = box.map;
  const unsigned row_bytes = map.box[0] * map.element_bytes;
  const unsigned span = swizzle_span(map);
  alignas(16) char bytes[256 * 8];
  for_each_row(box, [&](const Row& row, unsigned place) {
    const unsigned begin = row.first * map.element_bytes, end = row.last * map.element_bytes;
    if (begin == end) {
      fill(map, bytes, row_bytes);
    } else {
      fill(map, bytes, begin);
      std::memcpy(bytes + begin, row.global + begin, end - begin);
      fill(map, bytes + end, row_bytes - end);
    }
    if (span == 0) {
      std::memcpy(memory + place, bytes, row_bytes);
      return;
    }
    for (unsigned i = 0; i < row_bytes; i += kChunkBytes) {
      std::memcpy(memory + (swizzled(offset + place + i, span) - offset), bytes + i, kChunkBytes);
    }
  });
}

void store_box(const TensorBox& box, const char* memory, unsigned offset) {
  const RemaskTensorMap& map = box.map;
  const unsigned row_bytes = map.box[0] * map.element_bytes;
  const unsigned span = swizzle_span(map);
  alignas(16) char bytes[256 * 8];
  for_each_row(box, [&](const Row& row, unsigned place) {
    const unsigned begin = row.first * map.element_bytes, end = row.last * map.element_bytes;
    if (begin == end) return;
    for (unsigned i = 0; i < row_bytes; i += kChunkBytes) {
      std::memcpy(bytes + i, memory + (swizzled(offset + place + i, span) - offset), kChunkBytes);
    }
    std::memcpy(row.global + begin, bytes + begin, end - begin);
  });
}

}  // namespace remask::emulator
