#include "memory_check.h"

#include "log.h"

namespace remask {
namespace {

CUresult check_bounds(const std::shared_ptr<Allocation>& allocation, CUdeviceptr address,
                      size_t bytes, const char* what, HostRange* range) {
  const uint64_t offset = address - allocation->address;
  if (bytes > allocation->bytes - offset) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "%s: %zu bytes at offset %llu reach past the end of an allocation of %zu bytes",
                  what, bytes, static_cast<unsigned long long>(offset), allocation->bytes);
  }
  range->pointer = allocation->host_pointer(address);
  range->allocation = allocation;
  return CUDA_SUCCESS;
}

CUresult refuse_unknown(CUdeviceptr address, const char* what) {
  return refuse(CUDA_ERROR_INVALID_VALUE,
                "%s: 0x%llx lies in no live allocation (freed, or never %s)", what, address,
                AddressSpace::instance().is_ours(address) ? "allocated" : "device memory");
}

}  // namespace

CUresult check_device_range(CUdeviceptr address, size_t bytes, const char* what, HostRange* range) {
  const auto allocation = AddressSpace::instance().find(address);
  if (!allocation) return refuse_unknown(address, what);
  return check_bounds(allocation, address, bytes, what, range);
}

CUresult check_any_range(CUdeviceptr address, size_t bytes, const char* what, HostRange* range) {
  const auto allocation = AddressSpace::instance().find(address);
  if (allocation) return check_bounds(allocation, address, bytes, what, range);
  // Following a freed address of ours would crash; other addresses are the client's business.
  if (AddressSpace::instance().is_ours(address)) return refuse_unknown(address, what);
  if (address == 0) return refuse(CUDA_ERROR_INVALID_VALUE, "%s: null pointer", what);
  range->pointer = reinterpret_cast<char*>(address);
  range->allocation = nullptr;
  return CUDA_SUCCESS;
}

int find_live_memory(const void* address, RemaskMemoryRange* range) {
  const auto allocation = AddressSpace::instance().find_host(address);
  if (!allocation) return 0;
  range->begin = allocation->host;
  range->end = allocation->host + allocation->bytes;
  return 1;
}

}  // namespace remask
