// Tensor maps: what is encoded, what is refused and why, and the address inside at a launch.
#include "tensor_map.h"

#include <cstring>

#include "fixture.h"

namespace {

constexpr int kEmulator = 1;
constexpr size_t kRows = 8, kColumns = 64, kRowBytes = 512;  // of float; half of a row is padding

// A legal request, for tests to break.
struct Tensor {
  explicit Tensor(CUdeviceptr data) : address(data) {}

  CUdeviceptr address;
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  uint32_t rank = 2;
  uint64_t dim[5] = {kColumns, kRows, 1, 1, 1};
  uint64_t strides[4] = {kRowBytes, kRowBytes* kRows, kRowBytes* kRows, kRowBytes* kRows};
  uint32_t box[5] = {32, 4, 1, 1, 1};
  uint32_t steps[5] = {1, 1, 1, 1, 1};
  CUtensorMapInterleave interleave = CU_TENSOR_MAP_INTERLEAVE_NONE;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_128B;
  CUtensorMapL2promotion promotion = CU_TENSOR_MAP_L2_PROMOTION_L2_128B;
  CUtensorMapFloatOOBfill fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;

  CUresult encode(void* map) const {
    return cuTensorMapEncodeTiled(static_cast<CUtensorMap*>(map), type, rank,
                                  reinterpret_cast<void*>(address), dim, strides, box, steps,
                                  interleave, swizzle, promotion, fill);
  }
};

struct alignas(64) Arguments {
  CUdeviceptr out;
  int padding;
  alignas(64) unsigned char map[128];
};
static_assert(sizeof(Arguments) == 192, "the buffer ends with the map");

template <typename Change>
void refused(const char* why, Change&& change, CUresult expected = CUDA_ERROR_INVALID_VALUE) {
  alignas(128) unsigned char map[128] = {};
  Tensor tensor(0x1000);
  change(tensor);
  LogSince log;
  CHECK_EQ(tensor.encode(map), expected);
  const std::string text = log.text();
  check::equal(text.find(why) != std::string::npos, true, (why + (": " + text)).c_str(), __FILE__,
               __LINE__);
  CHECK_EQ(map[0], 0);  // nothing was written
}

struct Memory {
  explicit Memory(size_t bytes) : address(allocate(bytes)) {}
  ~Memory() { CHECK_OK(cuMemFree_v2(address)); }
  const CUdeviceptr address;
};

}  // namespace

TEST(tensor_map_holds_what_was_asked_for) {
  const Fixture device(true, kEmulator);
  alignas(64) unsigned char bytes[192] = {};
  Tensor tensor(0x12340);
  tensor.rank = 3;
  tensor.dim[2] = 5;
  tensor.strides[1] = 1ull << 39;
  tensor.steps[1] = 2;
  tensor.fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA;
  CHECK_OK(tensor.encode(bytes + 64));  // 64 bytes of alignment are enough
  RemaskTensorMap map;
  std::memcpy(&map, bytes + 64, sizeof map);
  CHECK_EQ(map.magic, kRemaskTensorMapMagic);
  CHECK_EQ(map.rank, 3);
  CHECK_EQ(map.element_bytes, 4);
  CHECK_EQ(map.swizzle, 3);
  CHECK_EQ(map.fill, 1);
  CHECK_EQ(map.address, 0x12340u);
  CHECK_EQ(map.dim[2], 5u);
  CHECK_EQ(map.dim[3], 1u);
  CHECK_EQ(map.box[1], 4u);
  CHECK_EQ(map.stride16[0], kRowBytes / 16);
  CHECK_EQ(map.stride16[1], 1ull << 35);
  CHECK_EQ(map.element_stride[1], 2);
  CHECK_EQ(tensor_map_extent(map), kColumns * 4 + (kRows - 1) * kRowBytes + 4 * (1ull << 39));
}

TEST(tensor_map_rules_of_the_documentation) {
  const Fixture device(true, kEmulator);
  alignas(128) unsigned char map[192];
  CHECK_EQ(Tensor(0x1000).encode(map + 32), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(Tensor(0x1000).encode(nullptr), CUDA_ERROR_INVALID_VALUE);
  refused("rank 0", [](Tensor& t) { t.rank = 0; });
  refused("rank 6", [](Tensor& t) { t.rank = 6; });
  refused("no data type 16", [](Tensor& t) { t.type = static_cast<CUtensorMapDataType>(16); });
  refused("no swizzle 7", [](Tensor& t) { t.swizzle = static_cast<CUtensorMapSwizzle>(7); });
  refused("no interleave 3",
          [](Tensor& t) { t.interleave = static_cast<CUtensorMapInterleave>(3); });
  refused("no L2 promotion 4",
          [](Tensor& t) { t.promotion = static_cast<CUtensorMapL2promotion>(4); });
  refused("no out-of-bounds fill 2",
          [](Tensor& t) { t.fill = static_cast<CUtensorMapFloatOOBfill>(2); });
  refused("not aligned to 16 bytes", [](Tensor& t) { t.address += 8; });
  refused("globalDim[1] is 0", [](Tensor& t) { t.dim[1] = 0; });
  refused("globalDim[1] is 4294967297", [](Tensor& t) { t.dim[1] = (1ull << 32) + 1; });
  refused("globalStrides[0] is 520", [](Tensor& t) { t.strides[0] += 8; });
  refused("not below 2^40", [](Tensor& t) { t.strides[0] = 1ull << 40; });
  refused("less than a row of 256 bytes", [](Tensor& t) { t.strides[0] = 240; });
  refused("boxDim[1] is 0", [](Tensor& t) { t.box[1] = 0; });
  refused("boxDim[1] is 257", [](Tensor& t) { t.box[1] = 257; });
  refused("multiple of 16 bytes", [](Tensor& t) { t.box[0] = 3; });
  refused("elementStrides[1] is 0", [](Tensor& t) { t.steps[1] = 0; });
  refused("elementStrides[1] is 9", [](Tensor& t) { t.steps[1] = 9; });
  refused("144 bytes wide, more than the swizzle's 128", [](Tensor& t) { t.box[0] = 36; });
  refused("128 bytes wide, more than the swizzle's 64",
          [](Tensor& t) { t.swizzle = CU_TENSOR_MAP_SWIZZLE_64B; });
  refused("128 bytes wide, more than the swizzle's 32",
          [](Tensor& t) { t.swizzle = CU_TENSOR_MAP_SWIZZLE_32B; });
  refused("only floating-point types", [](Tensor& t) {
    t.type = CU_TENSOR_MAP_DATA_TYPE_INT32;
    t.fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA;
  });
  // The edges of the same rules.
  Tensor wide(0x1000);
  wide.swizzle = CU_TENSOR_MAP_SWIZZLE_NONE;
  wide.box[0] = 256;
  wide.box[1] = 256;
  wide.dim[1] = 1ull << 32;
  wide.steps[0] = 0;  // not read without interleaving
  wide.strides[0] = (1ull << 40) - 16;
  CHECK_OK(wide.encode(map));
}

TEST(tensor_map_rules_of_interleaved_and_packed_types) {
  const Fixture device(true, kEmulator);
  const auto interleaved = [](Tensor& t) {
    t.interleave = CU_TENSOR_MAP_INTERLEAVE_32B;
    t.swizzle = CU_TENSOR_MAP_SWIZZLE_32B;
    t.rank = 3;
  };
  refused("at least 3 dimensions", [&](Tensor& t) { interleaved(t), t.rank = 2; });
  refused("not aligned to 32 bytes", [&](Tensor& t) { interleaved(t), t.address += 16; });
  refused("multiple of 32", [&](Tensor& t) { interleaved(t), t.strides[0] += 16; });
  refused("needs the swizzle of 32 bytes",
          [&](Tensor& t) { interleaved(t), t.swizzle = CU_TENSOR_MAP_SWIZZLE_64B; });
  refused("elementStrides[0] is 0", [&](Tensor& t) { interleaved(t), t.steps[0] = 0; });
  refused("interleaved layouts", interleaved, CUDA_ERROR_NOT_SUPPORTED);
  const auto packed = [](Tensor& t) {
    t.type = CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B;
    t.dim[0] = 256;
    t.box[0] = 128;
  };
  refused("multiples of 128", [&](Tensor& t) { packed(t), t.dim[0] = 192; });
  refused("wanted 128 packed values", [&](Tensor& t) { packed(t), t.box[0] = 64; });
  refused("not for packed values",
          [&](Tensor& t) { packed(t), t.swizzle = CU_TENSOR_MAP_SWIZZLE_64B; });
  refused("packed values of 4 and 6 bits", packed, CUDA_ERROR_NOT_SUPPORTED);
  refused(
      "atoms other than 16 bytes",
      [](Tensor& t) { t.swizzle = CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B; }, CUDA_ERROR_NOT_SUPPORTED);
}

TEST(tensor_map_needs_a_device_that_has_them) {
  const Fixture device;  // host kernels: no compute capability
  refused(
      "need 9.0", [](Tensor&) {}, CUDA_ERROR_NOT_SUPPORTED);
}

TEST(tensor_map_address_is_translated_at_launches_and_in_graphs) {
  const Fixture device(true, kEmulator);
  const Memory out(64), rows(kRowBytes * kRows);
  for (size_t row = 0; row < kRows; ++row) {
    CHECK_OK(device.fill(nullptr, rows.address + row * kRowBytes, static_cast<float>(row + 1), 1));
  }
  Arguments arguments{};
  arguments.out = out.address;
  Tensor tensor(rows.address);
  CHECK_OK(tensor.encode(arguments.map));
  CHECK_OK(device.launch(nullptr, "read_rows", &arguments, sizeof arguments));
  CHECK_EQ(download(out.address, kRows)[7], 8.0f);

  const CUstream stream = new_stream();
  CHECK_OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CHECK_OK(device.launch(stream, "read_rows", &arguments, sizeof arguments));
  CUgraph graph = nullptr;
  CHECK_OK(cuStreamEndCapture(stream, &graph));
  CUgraphExec exec = nullptr;
  CHECK_OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  std::memset(arguments.map, 0, sizeof arguments.map);  // the graph has its own copy
  for (const float value : {3.0f, 4.0f}) {
    CHECK_OK(device.fill(stream, rows.address, value, 1));
    CHECK_OK(cuGraphLaunch(exec, stream));
    CHECK_OK(cuStreamSynchronize(stream));
    CHECK_EQ(download(out.address, 1)[0], value);
  }
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(graph));
  CHECK_OK(cuStreamDestroy_v2(stream));
}

TEST(tensor_map_of_zeros_passes_like_a_null_pointer) {
  const Fixture device(true, kEmulator);
  const Memory out(64);
  Arguments arguments{};
  arguments.out = out.address;
  CHECK_OK(device.launch(nullptr, "read_rows", &arguments, sizeof arguments));
  CHECK_OK(cuCtxSynchronize());
}

TEST(tensor_map_of_other_bytes_or_memory_is_refused_at_the_launch) {
  const Fixture device(true, kEmulator);
  const Memory out(64), rows(kRowBytes * kRows - 256);  // the last row without its padding
  Arguments arguments{};
  arguments.out = out.address;
  const auto launch = [&] {
    return device.launch(nullptr, "read_rows", &arguments, sizeof arguments);
  };
  LogSince log;
  CHECK_OK(Tensor(rows.address).encode(arguments.map));
  CHECK_OK(launch());
  CHECK_OK(cuCtxSynchronize());
  CHECK_OK(Tensor(rows.address + 16).encode(arguments.map));
  CHECK_EQ(launch(), CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_LOGGED(log, "a tensor map of 3840 bytes at offset 16, reaches past the end");
  {
    const Memory freed(kRowBytes * kRows);
    CHECK_OK(Tensor(freed.address).encode(arguments.map));
  }
  CHECK_EQ(launch(), CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_LOGGED(log, "argument 2, 0x");
  arguments.map[0] = 1;
  CHECK_EQ(launch(), CUDA_ERROR_INVALID_VALUE);
  CHECK_LOGGED(log, "no tensor map that cuTensorMapEncodeTiled made");
}

TEST(tensor_map_of_memory_that_is_gone_breaks_a_lenient_context) {
  const Fixture device(false, kEmulator);
  const CUdeviceptr out = allocate(64);
  Arguments arguments{};
  arguments.out = out;
  {
    const Memory freed(kRowBytes * kRows);
    CHECK_OK(Tensor(freed.address).encode(arguments.map));
  }
  CHECK_OK(device.launch(nullptr, "read_rows", &arguments, sizeof arguments));
  CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_EQ(cuMemFree_v2(out), CUDA_ERROR_ILLEGAL_ADDRESS);  // freed, in a broken context
}
