// cuInit, device queries, error names.
#include <cstdio>
#include <cstring>
#include <string>

#include "call.h"
#include "device_api.h"
#include "objects.h"
#include "settings.h"

using namespace remask;

namespace {

CUresult check_device(CUdevice device, Device** found) {
  *found = find_device(device);
  if (*found) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_DEVICE, "there is no device %d", device);
}

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

// The attributes (numbers of CUdevice_attribute) that say something about this device; others are
// 0.
int attribute_value(const Device& device, int attribute) {
  switch (attribute) {
    case 1:
      return kMaxBlockThreads;
    case 2:
    case 3:
      return kMaxBlockThreads;  // MAX_BLOCK_DIM_X, _Y
    case 4:
      return kMaxBlockZ;
    case 5:
      return kMaxGridX;
    case 6:
    case 7:
      return kMaxGridYZ;
    case 8:
      return kSharedBytes;
    case 9:
      return 65536;  // TOTAL_CONSTANT_MEMORY
    case 10:
      return 32;  // WARP_SIZE
    case 11:
      return 0x7fffffff;  // MAX_PITCH
    case 12:
      return 65536;  // MAX_REGISTERS_PER_BLOCK
    case 14:
      return 512;  // TEXTURE_ALIGNMENT
    case 15:
      return 1;  // GPU_OVERLAP
    case 16:
      return settings().threads;  // MULTIPROCESSOR_COUNT
    case 18:
      return 1;  // INTEGRATED: shares the host's memory
    case 19:
      return 1;  // CAN_MAP_HOST_MEMORY
    case 31:
      return 1;  // CONCURRENT_KERNELS
    case 39:
      return 2048;  // MAX_THREADS_PER_MULTIPROCESSOR
    case 40:
      return 1;  // ASYNC_ENGINE_COUNT
    case 41:
      return 1;  // UNIFIED_ADDRESSING
    case 75:
      return device.capability / 10;
    case 76:
      return device.capability % 10;
    case 78:
      return 0;  // STREAM_PRIORITIES_SUPPORTED
    case 81:
      return kSharedBytesOptIn + 1024;  // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    case 82:
      return 65536;  // MAX_REGISTERS_PER_MULTIPROCESSOR
    case 97:
      return kSharedBytesOptIn;
    case 106:
      return 32;  // MAX_BLOCKS_PER_MULTIPROCESSOR
    case 134:
      return -1;  // HOST_NUMA_ID
    default:
      return 0;
  }
}
constexpr int kLastAttribute = 147;  // of CUDA 13.0

}  // namespace

CUresult cuInit(unsigned flags) {
  static Call call("cuInit");
  return call.run([&]() -> CUresult {
    if (flags != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "flags must be 0");
    std::string why;
    if (!remask_host_kernel_set(&why)) return refuse(CUDA_ERROR_INVALID_VALUE, "%s", why.c_str());
    initialise_devices();
    return CUDA_SUCCESS;
  });
}

CUresult cuDriverGetVersion(int* version) {
  static Call call("cuDriverGetVersion");
  return call.run([&]() -> CUresult {
    if (!version) return null_argument();
    *version = kDriverVersion;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetCount(int* count) {
  static Call call("cuDeviceGetCount");
  return call.initialised([&]() -> CUresult {
    if (!count) return null_argument();
    *count = static_cast<int>(devices().size());
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  static Call call("cuDeviceGet");
  return call.initialised([&]() -> CUresult {
    if (!device) return null_argument();
    Device* found = nullptr;
    const CUresult checked = check_device(ordinal, &found);
    if (checked == CUDA_SUCCESS) *device = ordinal;
    return checked;
  });
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  static Call call("cuDeviceGetName");
  return call.initialised([&]() -> CUresult {
    if (!name || length < 1) return refuse(CUDA_ERROR_INVALID_VALUE, "no room for the name");
    Device* found = nullptr;
    const CUresult checked = check_device(device, &found);
    if (checked == CUDA_SUCCESS) {
      std::snprintf(name, static_cast<size_t>(length), "%s", found->name.c_str());
    }
    return checked;
  });
}

CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
  static Call call("cuDeviceGetAttribute");
  return call.initialised([&]() -> CUresult {
    if (!value) return null_argument();
    if (attribute < 1 || attribute > kLastAttribute) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "there is no attribute %d", attribute);
    }
    Device* found = nullptr;
    const CUresult checked = check_device(device, &found);
    if (checked == CUDA_SUCCESS) *value = attribute_value(*found, attribute);
    return checked;
  });
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  static Call call("cuDeviceTotalMem_v2");
  return call.initialised([&]() -> CUresult {
    if (!bytes) return null_argument();
    Device* found = nullptr;
    const CUresult checked = check_device(device, &found);
    if (checked == CUDA_SUCCESS) *bytes = found->memory_limit;
    return checked;
  });
}

namespace {
CUresult get_uuid(CUuuid* uuid, CUdevice device) {
  if (!uuid) return null_argument();
  Device* found = nullptr;
  const CUresult checked = check_device(device, &found);
  if (checked != CUDA_SUCCESS) return checked;
  std::memcpy(uuid->bytes, "Remask device  ", 15);
  uuid->bytes[15] = static_cast<char>('0' + device);
  return CUDA_SUCCESS;
}
}  // namespace

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
  static Call call("cuDeviceGetUuid");
  return call.initialised([&] { return get_uuid(uuid, device); });
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  static Call call("cuDeviceGetUuid_v2");
  return call.initialised([&] { return get_uuid(uuid, device); });
}

CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice device) {
  static Call call("cuDeviceComputeCapability");
  return call.initialised([&]() -> CUresult {
    if (!major || !minor) return null_argument();
    Device* found = nullptr;
    const CUresult checked = check_device(device, &found);
    if (checked == CUDA_SUCCESS) {
      *major = found->capability / 10;
      *minor = found->capability % 10;
    }
    return checked;
  });
}

CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
  static Call call("cuDeviceCanAccessPeer");
  return call.initialised([&]() -> CUresult {
    if (!can) return null_argument();
    Device *one = nullptr, *other = nullptr;
    CUresult checked = check_device(device, &one);
    if (checked == CUDA_SUCCESS) checked = check_device(peer, &other);
    if (checked == CUDA_SUCCESS) *can = 0;
    return checked;
  });
}

CUresult cuDeviceGetPCIBusId(char* id, int length, CUdevice device) {
  static Call call("cuDeviceGetPCIBusId");
  return call.initialised([&]() -> CUresult {
    if (!id || length < 13) return refuse(CUDA_ERROR_INVALID_VALUE, "an id has 13 bytes");
    Device* found = nullptr;
    const CUresult checked = check_device(device, &found);
    if (checked == CUDA_SUCCESS) {
      std::snprintf(id, static_cast<size_t>(length), "0000:00:%02x.0", device & 0xff);
    }
    return checked;
  });
}

CUresult cuGetErrorName(CUresult error, const char** name) {
  static Call call("cuGetErrorName");
  return call.run([&]() -> CUresult {
    if (!name) return null_argument();
    *name = error_name(error);
    return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuGetErrorString(CUresult error, const char** text) {
  static Call call("cuGetErrorString");
  return call.run([&]() -> CUresult {
    if (!text) return null_argument();
    *text = error_text(error);
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}
