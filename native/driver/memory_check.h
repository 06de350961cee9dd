// Checks addresses that clients pass against what is allocated.
#ifndef REMASK_DRIVER_MEMORY_CHECK_H_
#define REMASK_DRIVER_MEMORY_CHECK_H_

#include <memory>

#include "address_space.h"
#include "cuda_types.h"
#include "kernel_table.h"

namespace remask {

// A range of a client's memory as the device's own code can reach it.
struct HostRange {
  char* pointer = nullptr;
  std::shared_ptr<Allocation> allocation;  // null: pageable memory of the client

  bool is_pageable() const { return !allocation; }
};

// [address, address + bytes) must lie in one live allocation of this device library.
CUresult check_device_range(CUdeviceptr address, size_t bytes, const char* what, HostRange* range);
// ... or be pageable memory, which cannot be checked further than not being ours.
CUresult check_any_range(CUdeviceptr address, size_t bytes, const char* what, HostRange* range);

// What kernels may touch, for the emulator: a RemaskFindMemory.
int find_live_memory(const void* address, RemaskMemoryRange* range);

}  // namespace remask

#endif  // REMASK_DRIVER_MEMORY_CHECK_H_
