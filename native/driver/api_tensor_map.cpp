// Tensor maps: every rule of the driver's documentation, each refusal with its reason.
#include <cstring>

#include "call.h"
#include "device_api.h"
#include "objects.h"
#include "settings.h"
#include "tensor_map.h"

using namespace remask;

namespace {

constexpr int kFirstCapability = 90;

struct Request {
  CUtensorMap* map;
  CUtensorMapDataType type;
  uint32_t rank;
  uint64_t address;
  const uint64_t* dim;
  const uint64_t* strides;  // of dimensions 1 and up
  const uint32_t* box;
  const uint32_t* element_strides;
  CUtensorMapInterleave interleave;
  CUtensorMapSwizzle swizzle;
  CUtensorMapL2promotion l2_promotion;
  CUtensorMapFloatOOBfill fill;

  bool is_packed() const { return type >= CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B; }
  // Packed values with gaps between them: they have stricter alignments.
  bool has_gaps() const { return type >= CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B; }
  unsigned alignment() const {
    return interleave == CU_TENSOR_MAP_INTERLEAVE_32B || has_gaps() ? 32 : 16;
  }
};

unsigned element_bits(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      return 8;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 16;
    case CU_TENSOR_MAP_DATA_TYPE_UINT64:
    case CU_TENSOR_MAP_DATA_TYPE_INT64:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT64:
      return 64;
    case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B:
    case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B:
      return 4;
    case CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B:
      return 6;
    default:
      return 32;
  }
}

bool is_floating(CUtensorMapDataType type) {
  return type >= CU_TENSOR_MAP_DATA_TYPE_FLOAT16 && type <= CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ;
}

CUresult check_enumerators(const Request& r) {
  if (r.type < 0 || r.type > CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "there is no data type %d", r.type);
  }
  if (r.interleave < 0 || r.interleave > CU_TENSOR_MAP_INTERLEAVE_32B) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "there is no interleave %d", r.interleave);
  }
  if (r.swizzle < 0 || r.swizzle > CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "there is no swizzle %d", r.swizzle);
  }
  if (r.l2_promotion < 0 || r.l2_promotion > CU_TENSOR_MAP_L2_PROMOTION_L2_256B) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "there is no L2 promotion %d", r.l2_promotion);
  }
  if (r.fill < 0 || r.fill > CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "there is no out-of-bounds fill %d", r.fill);
  }
  return CUDA_SUCCESS;
}

CUresult check_pointers(const Request& r) {
  if (!r.map || !r.dim || !r.box || !r.element_strides || (r.rank > 1 && !r.strides)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "a pointer is null");
  }
  if (reinterpret_cast<uintptr_t>(r.map) % 64 != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "the tensor map at %p is not aligned to 64 bytes",
                  static_cast<void*>(r.map));
  }
  if (r.address % r.alignment() != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "globalAddress 0x%llx is not aligned to %u bytes",
                  static_cast<unsigned long long>(r.address), r.alignment());
  }
  return CUDA_SUCCESS;
}

CUresult check_rank(const Request& r) {
  if (r.rank < 1 || r.rank > kRemaskTensorMapRanks) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "rank %u; a tensor has 1 to 5 dimensions", r.rank);
  }
  if (r.interleave != CU_TENSOR_MAP_INTERLEAVE_NONE && r.rank < 3) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "rank %u; an interleaved layout has at least 3 dimensions", r.rank);
  }
  return CUDA_SUCCESS;
}

CUresult check_dimensions(const Request& r) {
  for (uint32_t i = 0; i < r.rank; ++i) {
    if (r.dim[i] == 0 || r.dim[i] > 1ull << 32) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "globalDim[%u] is %llu; wanted 1 to 2^32", i,
                    static_cast<unsigned long long>(r.dim[i]));
    }
  }
  const unsigned multiple = r.has_gaps()                                     ? 128
                            : r.type == CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B ? 2
                                                                             : 1;
  if (r.dim[0] % multiple != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "globalDim[0] is %llu; packed values come in multiples of %u",
                  static_cast<unsigned long long>(r.dim[0]), multiple);
  }
  const uint64_t row = r.dim[0] * element_bits(r.type) / 8;
  for (uint32_t i = 0; i + 1 < r.rank; ++i) {
    const auto stride = static_cast<unsigned long long>(r.strides[i]);
    if (stride % r.alignment() != 0) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "globalStrides[%u] is %llu; wanted a multiple of %u",
                    i, stride, r.alignment());
    }
    if (stride >= 1ull << 40)
      return refuse(CUDA_ERROR_INVALID_VALUE, "globalStrides[%u] is %llu, not below 2^40", i,
                    stride);
    // A driver lets overlapping rows pass, but its documentation does not.
    if (settings().strict && r.dim[i + 1] > 1 && stride < row) {
      return refuse(CUDA_ERROR_INVALID_VALUE,
                    "globalStrides[%u] is %llu, less than a row of %llu bytes", i, stride,
                    static_cast<unsigned long long>(row));
    }
  }
  return CUDA_SUCCESS;
}

CUresult check_box(const Request& r) {
  for (uint32_t i = 0; i < r.rank; ++i) {
    if (r.box[i] == 0 || r.box[i] > 256) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "boxDim[%u] is %u; wanted 1 to 256", i, r.box[i]);
    }
    // Ignored for dimension 0, which has no such step without interleaving.
    const bool is_used = i > 0 || r.interleave != CU_TENSOR_MAP_INTERLEAVE_NONE;
    if (is_used && (r.element_strides[i] == 0 || r.element_strides[i] > 8)) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "elementStrides[%u] is %u; wanted 1 to 8", i,
                    r.element_strides[i]);
    }
  }
  if (r.has_gaps() && r.box[0] != 128) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "boxDim[0] is %u; wanted 128 packed values", r.box[0]);
  }
  const unsigned bits = r.box[0] * element_bits(r.type);
  if (r.interleave == CU_TENSOR_MAP_INTERLEAVE_NONE && bits % 128 != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "boxDim[0] is %u elements of %u bits; wanted a multiple of 16 bytes", r.box[0],
                  element_bits(r.type));
  }
  return CUDA_SUCCESS;
}

CUresult check_swizzle(const Request& r) {
  if (r.interleave == CU_TENSOR_MAP_INTERLEAVE_32B && r.swizzle != CU_TENSOR_MAP_SWIZZLE_32B) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "an interleave of 32 bytes needs the swizzle of 32 bytes, not %d", r.swizzle);
  }
  if (r.type == CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B &&
      r.interleave != CU_TENSOR_MAP_INTERLEAVE_NONE) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "values of 6 bits cannot be interleaved");
  }
  const bool fits_gaps = r.swizzle == CU_TENSOR_MAP_SWIZZLE_NONE ||
                         r.swizzle == CU_TENSOR_MAP_SWIZZLE_128B ||
                         r.swizzle == CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B ||
                         (r.type == CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B &&
                          r.swizzle == CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B);
  if (r.has_gaps() && !fits_gaps) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "swizzle %d is not for packed values", r.swizzle);
  }
  if (r.interleave == CU_TENSOR_MAP_INTERLEAVE_NONE && r.swizzle != CU_TENSOR_MAP_SWIZZLE_NONE) {
    const unsigned span = r.swizzle == CU_TENSOR_MAP_SWIZZLE_32B   ? 32
                          : r.swizzle == CU_TENSOR_MAP_SWIZZLE_64B ? 64
                                                                   : 128;
    const unsigned bytes = r.box[0] * element_bits(r.type) / 8;
    if (bytes > span) {
      return refuse(CUDA_ERROR_INVALID_VALUE,
                    "the box is %u bytes wide, more than the swizzle's %u", bytes, span);
    }
  }
  if (r.fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE && !is_floating(r.type)) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "only floating-point types have a NaN to fill with; the type is %d", r.type);
  }
  return CUDA_SUCCESS;
}

// What a driver takes and the emulator has no model of.
CUresult check_supported(const Request& r) {
  if (r.is_packed()) return refuse(CUDA_ERROR_NOT_SUPPORTED, "packed values of 4 and 6 bits");
  if (r.interleave != CU_TENSOR_MAP_INTERLEAVE_NONE) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "interleaved layouts");
  }
  if (r.swizzle > CU_TENSOR_MAP_SWIZZLE_128B) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "swizzles of atoms other than 16 bytes");
  }
  return CUDA_SUCCESS;
}

void write(const Request& r) {
  RemaskTensorMap map{};
  map.magic = kRemaskTensorMapMagic;
  map.rank = static_cast<unsigned char>(r.rank);
  map.element_bytes = static_cast<unsigned char>(element_bits(r.type) / 8);
  map.swizzle = static_cast<unsigned char>(r.swizzle);
  map.fill = static_cast<unsigned char>(r.fill);
  map.data_type = static_cast<unsigned char>(r.type);
  map.interleave = static_cast<unsigned char>(r.interleave);
  map.l2_promotion = static_cast<unsigned char>(r.l2_promotion);
  map.address = r.address;
  for (uint32_t i = 0; i < kRemaskTensorMapRanks; ++i) {
    const bool exists = i < r.rank;
    map.dim[i] = exists ? r.dim[i] : 1;
    map.box[i] = exists ? r.box[i] : 1;
    map.element_stride[i] = exists && i > 0 ? static_cast<unsigned char>(r.element_strides[i]) : 1;
    if (i > 0 && exists) map.stride16[i - 1] = r.strides[i - 1] / 16;
  }
  std::memcpy(r.map, &map, sizeof map);
}

CUresult encode(const Context& context, const Request& r) {
  if (context.device->capability < kFirstCapability) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "%s has compute capability %d.%d; tensor maps need 9.0",
                  context.device->name.c_str(), context.device->capability / 10,
                  context.device->capability % 10);
  }
  constexpr CUresult (*kChecks[])(const Request&) = {check_enumerators, check_rank, check_pointers,
                                                     check_dimensions,  check_box,  check_swizzle,
                                                     check_supported};
  for (const auto check : kChecks) {
    const CUresult checked = check(r);
    if (checked != CUDA_SUCCESS) return checked;
  }
  write(r);
  return CUDA_SUCCESS;
}

}  // namespace

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, uint32_t rank,
                                void* address, const uint64_t* dim, const uint64_t* strides,
                                const uint32_t* box, const uint32_t* element_strides,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion l2_promotion, CUtensorMapFloatOOBfill fill) {
  static Call call("cuTensorMapEncodeTiled");
  return call.in_context([&](Context& context) {
    return encode(context,
                  Request{map, type, rank, reinterpret_cast<uint64_t>(address), dim, strides, box,
                          element_strides, interleave, swizzle, l2_promotion, fill});
  });
}
