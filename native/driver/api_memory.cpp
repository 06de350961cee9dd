// Device memory, pinned host memory, and questions about addresses.
#include "call.h"
#include "capture.h"
#include "device_api.h"
#include "memory_check.h"
#include "objects.h"
#include "settings.h"

using namespace remask;

namespace {

enum PointerAttribute {
  kContext = 1,
  kMemoryType = 2,
  kDevicePointer = 3,
  kHostPointer = 4,
  kBufferId = 7,
  kIsManaged = 8,
  kDeviceOrdinal = 9,
  kRangeStart = 11,
  kRangeSize = 12,
  kMapped = 13,
};

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

// Adds to the device's use; false when that would exceed its limit.
bool account(Device& device, size_t bytes) {
  uint64_t in_use = device.memory_in_use.load();
  do {
    if (bytes > device.memory_limit || in_use > device.memory_limit - bytes) return false;
  } while (!device.memory_in_use.compare_exchange_weak(in_use, in_use + bytes));
  return true;
}

AllocationOwner owner_of(Context& context, unsigned flags = 0) {
  return {context.device->ordinal, reinterpret_cast<uint64_t>(context.handle), flags};
}

// Gives the client the address, unless the context went meanwhile: then nobody would free it.
template <typename Address>
CUresult handed_out(Context& context, const std::shared_ptr<Allocation>& allocation, Address made,
                    Address* address) {
  const CUresult alive = context.check_alive();
  if (alive == CUDA_SUCCESS) {
    *address = made;
  } else {
    free_allocation(allocation);
  }
  return alive;
}

CUresult allocate_pinned(Context& context, void** address, size_t bytes, unsigned flags) {
  if (!address) return null_argument();
  const CUresult allowed = check_unsafe_call();
  if (allowed != CUDA_SUCCESS) return allowed;
  if (bytes == 0) return refuse(CUDA_ERROR_INVALID_VALUE, "0 bytes asked for");
  constexpr unsigned kFlags =
      CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
  if ((flags & ~kFlags) != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "flags 0x%x of pinned memory do not exist", flags);
  }
  std::string why;
  const auto allocation = AddressSpace::instance().allocate(
      Allocation::Kind::kPinned, bytes, settings().strict, owner_of(context, flags), &why);
  if (!allocation) {
    return refuse(CUDA_ERROR_OUT_OF_MEMORY, "%zu bytes of pinned memory: %s", bytes, why.c_str());
  }
  return handed_out(context, allocation, static_cast<void*>(allocation->host), address);
}

bool is_pinned(const std::shared_ptr<Allocation>& allocation) {
  return allocation && allocation->kind != Allocation::Kind::kDevice;
}

CUresult refuse_not_pinned(const void* host) {
  return refuse(CUDA_ERROR_INVALID_VALUE, "%p is not in pinned memory", host);
}

CUresult register_memory(Context& context, void* address, size_t bytes, unsigned flags) {
  const CUresult allowed = check_unsafe_call();
  if (allowed != CUDA_SUCCESS) return allowed;
  if (!address || bytes == 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%zu bytes at %p to register", bytes, address);
  }
  constexpr unsigned kSupported = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP;
  if ((flags & ~kSupported) != 0) {
    constexpr unsigned kKnown =
        kSupported | CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY;
    return refuse((flags & ~kKnown) != 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED,
                  "flags 0x%x to register memory with", flags);
  }
  if (AddressSpace::instance().is_ours(reinterpret_cast<uint64_t>(address))) {
    return refuse(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "%p is memory of the device's",
                  address);
  }
  const auto allocation = AddressSpace::instance().adopt(address, bytes, owner_of(context, flags));
  if (!allocation) {
    return refuse(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
                  "%zu bytes at %p overlap registered memory", bytes, address);
  }
  void* ignored = nullptr;
  return handed_out(context, allocation, address, &ignored);
}

// Waits until no queued work uses the allocation: what a driver does when memory is freed.
void wait_for_uses(Context& context, const Allocation& allocation) {
  if (allocation.queued == 0) return;
  for (const auto& stream : context.all_streams()) stream->worker->last().wait();
}

CUresult free_memory(Context& context, uint64_t address, Allocation::Kind kind) {
  const auto allocation = AddressSpace::instance().find(address);
  if (!allocation || allocation->kind != kind) {
    const bool registered = kind == Allocation::Kind::kRegistered;
    return refuse(registered ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED : CUDA_ERROR_INVALID_VALUE,
                  "0x%llx is no live %s allocation (freed before?)",
                  static_cast<unsigned long long>(address),
                  registered                          ? "registered"
                  : kind == Allocation::Kind::kDevice ? "device"
                                                      : "pinned");
  }
  if (allocation->address != address) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "0x%llx is inside an allocation that begins at 0x%llx",
                  static_cast<unsigned long long>(address),
                  static_cast<unsigned long long>(allocation->address));
  }
  const CUresult allowed = check_unsafe_call();
  if (allowed != CUDA_SUCCESS) return allowed;
  if (settings().strict && allocation->queued > 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "queued work still uses these %zu bytes",
                  allocation->bytes);
  }
  wait_for_uses(context, *allocation);
  const bool intact = allocation->tail_is_intact();
  const size_t bytes = allocation->bytes;
  free_allocation(allocation);
  if (!intact) {
    context.health->fail(CUDA_ERROR_ILLEGAL_ADDRESS,
                         "something wrote past the end of an allocation of " +
                             std::to_string(bytes) + " bytes, found when it was freed");
    return CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  return CUDA_SUCCESS;
}

}  // namespace

CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
  static Call call("cuMemGetInfo_v2");
  return call.in_context([&](Context& context) -> CUresult {
    if (!free_bytes || !total_bytes) return null_argument();
    *total_bytes = context.device->memory_limit;
    *free_bytes = context.device->memory_limit - context.device->memory_in_use;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  static Call call("cuMemAlloc_v2");
  return call.in_context([&](Context& context) -> CUresult {
    if (!address) return null_argument();
    const CUresult allowed = check_unsafe_call();
    if (allowed != CUDA_SUCCESS) return allowed;
    if (bytes == 0) return refuse(CUDA_ERROR_INVALID_VALUE, "0 bytes asked for");
    Device& device = *context.device;
    const auto out_of_memory = [&](const std::string& why) {
      return refuse(CUDA_ERROR_OUT_OF_MEMORY, "asked for %zu bytes, %llu in use of %llu%s", bytes,
                    static_cast<unsigned long long>(device.memory_in_use.load()),
                    static_cast<unsigned long long>(device.memory_limit), why.c_str());
    };
    if (!account(device, bytes)) return out_of_memory("");
    std::string why;
    const auto allocation = AddressSpace::instance().allocate(
        Allocation::Kind::kDevice, bytes, settings().strict, owner_of(context), &why);
    if (!allocation) {
      device.memory_in_use -= bytes;
      return out_of_memory("; " + why);
    }
    return handed_out(context, allocation, CUdeviceptr{allocation->address}, address);
  });
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  static Call call("cuMemFree_v2");
  return call.releasing([&](Context& context) -> CUresult {
    if (address == 0) return CUDA_SUCCESS;
    return free_memory(context, address, Allocation::Kind::kDevice);
  });
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes, CUdeviceptr address) {
  static Call call("cuMemGetAddressRange_v2");
  return call.in_context([&](Context&) -> CUresult {
    const auto allocation = AddressSpace::instance().find(address);
    if (!allocation) {
      return refuse(CUDA_ERROR_NOT_FOUND, "0x%llx lies in no live allocation", address);
    }
    if (base) *base = allocation->address;
    if (bytes) *bytes = allocation->bytes;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned flags) {
  static Call call("cuMemHostAlloc");
  return call.in_context(
      [&](Context& context) { return allocate_pinned(context, address, bytes, flags); });
}

CUresult cuMemAllocHost_v2(void** address, size_t bytes) {
  static Call call("cuMemAllocHost_v2");
  return call.in_context(
      [&](Context& context) { return allocate_pinned(context, address, bytes, 0); });
}

CUresult cuMemFreeHost(void* address) {
  static Call call("cuMemFreeHost");
  return call.releasing([&](Context& context) {
    return free_memory(context, reinterpret_cast<uint64_t>(address), Allocation::Kind::kPinned);
  });
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* device, void* host, unsigned flags) {
  static Call call("cuMemHostGetDevicePointer_v2");
  return call.in_context([&](Context&) -> CUresult {
    if (!device) return null_argument();
    if (flags != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "flags must be 0");
    const uint64_t address = reinterpret_cast<uint64_t>(host);
    const auto allocation = AddressSpace::instance().find(address);
    if (!is_pinned(allocation)) return refuse_not_pinned(host);
    static_assert(CU_MEMHOSTALLOC_DEVICEMAP == CU_MEMHOSTREGISTER_DEVICEMAP, "one flag");
    if (settings().strict && !(allocation->flags & CU_MEMHOSTALLOC_DEVICEMAP)) {
      return refuse(CUDA_ERROR_INVALID_VALUE,
                    "%p was allocated or registered without the flag that maps it", host);
    }
    *device = address;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemHostGetFlags(unsigned* flags, void* host) {
  static Call call("cuMemHostGetFlags");
  return call.in_context([&](Context&) -> CUresult {
    if (!flags) return null_argument();
    const auto allocation = AddressSpace::instance().find(reinterpret_cast<uint64_t>(host));
    if (!is_pinned(allocation)) return refuse_not_pinned(host);
    *flags = allocation->flags;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemHostRegister_v2(void* address, size_t bytes, unsigned flags) {
  static Call call("cuMemHostRegister_v2");
  return call.in_context(
      [&](Context& context) { return register_memory(context, address, bytes, flags); });
}

CUresult cuMemHostUnregister(void* address) {
  static Call call("cuMemHostUnregister");
  return call.releasing([&](Context& context) {
    return free_memory(context, reinterpret_cast<uint64_t>(address), Allocation::Kind::kRegistered);
  });
}

CUresult cuPointerGetAttribute(void* value, int attribute, CUdeviceptr address) {
  static Call call("cuPointerGetAttribute");
  return call.in_context([&](Context&) -> CUresult {
    if (!value) return null_argument();
    const auto allocation = AddressSpace::instance().find(address);
    if (!allocation) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "0x%llx lies in no live allocation", address);
    }
    const bool pinned = is_pinned(allocation);
    switch (attribute) {
      case kContext:
        *static_cast<uint64_t*>(value) = allocation->context;
        return CUDA_SUCCESS;
      case kMemoryType:
        *static_cast<unsigned*>(value) = pinned ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
        return CUDA_SUCCESS;
      case kDevicePointer:
        *static_cast<CUdeviceptr*>(value) = address;
        return CUDA_SUCCESS;
      case kHostPointer:
        if (!pinned) return refuse(CUDA_ERROR_INVALID_VALUE, "device memory has no host pointer");
        *static_cast<uint64_t*>(value) = address;
        return CUDA_SUCCESS;
      case kBufferId:
        *static_cast<unsigned long long*>(value) = allocation->id;
        return CUDA_SUCCESS;
      case kIsManaged:
        *static_cast<bool*>(value) = false;
        return CUDA_SUCCESS;
      case kDeviceOrdinal:
        *static_cast<int*>(value) = allocation->device;
        return CUDA_SUCCESS;
      case kRangeStart:
        *static_cast<CUdeviceptr*>(value) = allocation->address;
        return CUDA_SUCCESS;
      case kRangeSize:
        *static_cast<size_t*>(value) = allocation->bytes;
        return CUDA_SUCCESS;
      case kMapped:
        *static_cast<bool*>(value) = true;
        return CUDA_SUCCESS;
      default:
        return refuse(CUDA_ERROR_NOT_SUPPORTED, "pointer attribute %d", attribute);
    }
  });
}
