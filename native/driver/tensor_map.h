// The software device's CUtensorMap: what cuTensorMapEncodeTiled writes and the emulator's TMA
// reads. A driver's own format is opaque; this one is plain, so that a launch can check and
// translate the address inside.
#ifndef REMASK_DRIVER_TENSOR_MAP_H_
#define REMASK_DRIVER_TENSOR_MAP_H_

constexpr unsigned kRemaskTensorMapMagic = 0x524d544d;
constexpr int kRemaskTensorMapRanks = 5;

struct RemaskTensorMap {
  unsigned magic;  // kRemaskTensorMapMagic
  unsigned char rank;
  unsigned char element_bytes;
  unsigned char swizzle;    // CUtensorMapSwizzle: 0 none, 1 32 bytes, 2 64 bytes, 3 128 bytes
  unsigned char fill;       // out of bounds: 0 zeros, 1 NaN
  unsigned char data_type;  // CUtensorMapDataType
  unsigned char interleave;
  unsigned char l2_promotion;
  unsigned char reserved0;
  unsigned reserved1;
  unsigned long long address;  // a device address; at a launch, where that memory really is
  unsigned long long dim[5];   // elements, innermost first
  unsigned box[5];             // elements
  unsigned reserved2;
  // Byte strides of dimensions 1 to 4, divided by 16: they are multiples of 16 below 2^40.
  unsigned long long stride16[4];
  unsigned char element_stride[5];
  unsigned char reserved3[3];
};
static_assert(sizeof(RemaskTensorMap) == 128, "a CUtensorMap has 128 bytes");

// Bytes from the tensor's first element to past its last.
inline unsigned long long tensor_map_extent(const RemaskTensorMap& map) {
  unsigned long long bytes = map.dim[0] * map.element_bytes;
  for (int i = 1; i < map.rank; ++i) bytes += (map.dim[i] - 1) * map.stride16[i - 1] * 16;
  return bytes;
}

#endif  // REMASK_DRIVER_TENSOR_MAP_H_
