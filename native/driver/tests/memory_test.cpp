// Device and pinned memory: what is refused, what faults, what is counted.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "fixture.h"

namespace {

// Whether reading or writing the address kills a process.
bool touching_faults(CUdeviceptr address) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    *reinterpret_cast<volatile char*>(address) = 1;
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  // Sanitizers turn the signal into an exit.
  return (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) ||
         (WIFEXITED(status) && WEXITSTATUS(status) != 0);
}

}  // namespace

TEST(memory_host_code_that_touches_a_device_address_faults) {
  const Fixture device;
  const CUdeviceptr x = allocate(4096);
  CHECK(touching_faults(x));
  CHECK(touching_faults(x + 4095));
  void* pinned = nullptr;
  CHECK_OK(cuMemHostAlloc(&pinned, 4096, 0));
  CHECK(!touching_faults(reinterpret_cast<CUdeviceptr>(pinned)));
  CHECK(touching_faults(reinterpret_cast<CUdeviceptr>(pinned) + 4096));
  CHECK_OK(cuMemFreeHost(pinned));
  CHECK(touching_faults(reinterpret_cast<CUdeviceptr>(pinned)));
}

TEST(memory_fresh_is_poisoned_when_strict) {
  const Fixture device;
  const CUdeviceptr x = allocate(64);
  unsigned values[16] = {};
  CHECK_OK(cuMemcpyDtoH_v2(values, x, sizeof values));
  for (const unsigned value : values) CHECK_EQ(value, 0xffffffffu);
}

TEST(memory_freed_and_foreign_addresses_are_refused) {
  for (const bool strict : {true, false}) {
    const Fixture device(strict);
    const CUdeviceptr x = allocate(64);
    float values[16] = {};
    CHECK_OK(cuMemcpyHtoD_v2(x, values, 64));
    CHECK_OK(cuMemFree_v2(x));
    LogSince log;
    CHECK_EQ(cuMemcpyHtoD_v2(x, values, 64), CUDA_ERROR_INVALID_VALUE);
    CHECK_LOGGED(log, "cuMemcpyHtoD_v2: CUDA_ERROR_INVALID_VALUE: destination");
    CHECK_LOGGED(log, "lies in no live allocation");
    CHECK_EQ(cuMemcpyDtoH_v2(values, x, 64), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cuMemFree_v2(x), CUDA_ERROR_INVALID_VALUE);
    const CUdeviceptr foreign = reinterpret_cast<CUdeviceptr>(values);
    CHECK_EQ(cuMemcpyDtoH_v2(values, foreign, 8), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cuMemFree_v2(foreign), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(cuMemsetD8_v2(foreign, 0, 8), CUDA_ERROR_INVALID_VALUE);
    const CUdeviceptr y = allocate(64);
    CHECK(y != x);  // addresses are not reused at once
    CHECK_EQ(cuMemFree_v2(y + 4), CUDA_ERROR_INVALID_VALUE);
    // A device address is no host address.
    CHECK_EQ(cuMemcpyHtoD_v2(y, reinterpret_cast<void*>(y), 64), CUDA_ERROR_INVALID_VALUE);
    CHECK_OK(cuMemFree_v2(y));
    CHECK_OK(cuMemFree_v2(0));
  }
}

TEST(memory_copies_past_the_end_are_refused) {
  const Fixture device;
  const CUdeviceptr x = allocate(100), y = allocate(200);
  char values[256] = {};
  CHECK_OK(cuMemcpyHtoD_v2(x, values, 100));
  LogSince log;
  CHECK_EQ(cuMemcpyHtoD_v2(x, values, 101), CUDA_ERROR_INVALID_VALUE);
  CHECK_LOGGED(log, "101 bytes at offset 0 reach past the end of an allocation of 100 bytes");
  CHECK_EQ(cuMemcpyDtoH_v2(values, x + 50, 51), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemcpyDtoD_v2(x, y, 200), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemsetD32_v2(x, 0, 26), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuMemsetD32_v2(x, 0, 25));
  char* pinned = nullptr;
  CHECK_OK(cuMemAllocHost_v2(reinterpret_cast<void**>(&pinned), 64));
  const CUstream stream = new_stream();
  CHECK_EQ(cuMemcpyHtoDAsync_v2(y, pinned + 1, 64, stream), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuMemcpyHtoDAsync_v2(y, pinned + 1, 63, stream));
}

TEST(memory_freed_while_queued_work_uses_it_is_refused_when_strict) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64);
  void* pinned = nullptr;
  CHECK_OK(cuMemHostAlloc(&pinned, 64, 0));
  close_gate();
  CHECK_OK(device.hold(stream));
  CHECK_OK(cuMemcpyDtoHAsync_v2(pinned, x, 64, stream));
  LogSince log;
  CHECK_EQ(cuMemFree_v2(x), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemFreeHost(pinned), CUDA_ERROR_INVALID_VALUE);
  CHECK_LOGGED(log, "queued work still uses these 64 bytes");
  open_gate();
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_OK(cuMemFree_v2(x));
  CHECK_OK(cuMemFreeHost(pinned));
}

TEST(memory_free_waits_for_queued_work_when_not_strict) {
  const Fixture device(false);
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64), y = allocate(64);
  CHECK_OK(device.fill(stream, x, 4, 16));
  for (int i = 0; i < 50; ++i) CHECK_OK(device.add(stream, y, x, 0, 16));
  CHECK_OK(cuMemFree_v2(x));
  CHECK_EQ(download(y, 16)[0], 5.0f);
}

TEST(memory_writes_past_the_end_show_when_freed) {
  const Fixture device;
  const CUdeviceptr x = allocate(100);
  struct {
    CUdeviceptr out;
    int at;
  } arguments{x, 100};
  CHECK_OK(device.launch(nullptr, "overrun", &arguments, 12));
  CHECK_OK(cuCtxSynchronize());
  LogSince log;
  CHECK_EQ(cuMemFree_v2(x), CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_LOGGED(log, "wrote past the end of an allocation of 100 bytes");
  CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST(memory_limit_gives_out_of_memory) {
  const Fixture device;
  size_t free_before = 0, free_now = 0, total = 0;
  CHECK_OK(cuMemGetInfo_v2(&free_before, &total));
  CHECK_EQ(total, size_t{64} << 20);
  const CUdeviceptr x = allocate(40 << 20);
  CHECK_OK(cuMemGetInfo_v2(&free_now, &total));
  CHECK_EQ(free_before - free_now, size_t{40} << 20);
  CUdeviceptr y = 0;
  LogSince log;
  CHECK_EQ(cuMemAlloc_v2(&y, 30 << 20), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_LOGGED(log, "asked for 31457280 bytes, 41943040 in use of 67108864");
  CHECK_OK(cuMemFree_v2(x));
  CHECK_OK(cuMemAlloc_v2(&y, 30 << 20));
  CHECK_OK(cuMemFree_v2(y));
  CHECK_EQ(cuMemAlloc_v2(&y, ~size_t{0}), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_EQ(cuMemAlloc_v2(&y, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST(memory_is_counted_until_freed) {
  const Fixture device;
  const auto allocations = remaskLiveAllocations();
  const auto bytes = remaskLiveBytes();
  const CUdeviceptr x = allocate(1000);
  void* pinned = nullptr;
  CHECK_OK(cuMemHostAlloc(&pinned, 500, 0));
  CHECK_EQ(remaskLiveAllocations(), allocations + 2);
  CHECK_EQ(remaskLiveBytes(), bytes + 1500);
  CHECK_OK(cuMemFreeHost(pinned));
  CHECK_OK(cuMemFree_v2(x));
  CHECK_EQ(remaskLiveAllocations(), allocations);
  CHECK_EQ(remaskLiveBytes(), bytes);
  allocate(4000);  // left to the context, which takes it along (checked by the fixture)
}

TEST(memory_attributes) {
  const Fixture device;
  const CUdeviceptr x = allocate(1000);
  CHECK_EQ(x % 256, 0u);
  CUdeviceptr base = 0;
  size_t bytes = 0;
  CHECK_OK(cuMemGetAddressRange_v2(&base, &bytes, x + 999));
  CHECK_EQ(base, x);
  CHECK_EQ(bytes, 1000u);
  unsigned type = 0;
  CHECK_OK(cuPointerGetAttribute(&type, 2, x));
  CHECK_EQ(type, 2u);
  CUcontext owner = nullptr;
  CHECK_OK(cuPointerGetAttribute(&owner, 1, x));
  CHECK_EQ(owner, device.context);
  void* pinned = nullptr;
  CHECK_OK(cuMemHostAlloc(&pinned, 100, CU_MEMHOSTALLOC_DEVICEMAP));
  CUdeviceptr mapped = 0;
  CHECK_OK(cuMemHostGetDevicePointer_v2(&mapped, pinned, 0));
  CHECK_EQ(mapped, reinterpret_cast<CUdeviceptr>(pinned));
  CHECK_OK(cuPointerGetAttribute(&type, 2, mapped));
  CHECK_EQ(type, 1u);
  CHECK_EQ(cuMemHostGetDevicePointer_v2(&mapped, &type, 0), CUDA_ERROR_INVALID_VALUE);
}

TEST(memory_fills) {
  const Fixture device;
  const CUdeviceptr x = allocate(64);
  unsigned values[16];
  CHECK_OK(cuMemsetD32_v2(x, 0x01020304, 16));
  CHECK_OK(cuMemsetD16_v2(x + 4, 0xabcd, 2));
  CHECK_OK(cuMemsetD8_v2(x + 8, 0x7f, 4));
  CHECK_OK(cuMemcpyDtoH_v2(values, x, 64));
  CHECK_EQ(values[0], 0x01020304u);
  CHECK_EQ(values[1], 0xabcdabcdu);
  CHECK_EQ(values[2], 0x7f7f7f7fu);
  CHECK_EQ(values[15], 0x01020304u);
  CHECK_EQ(cuMemsetD32_v2(x + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
}

TEST(memory_mapped_pinned_memory_is_what_kernels_write) {
  const Fixture device;
  const CUstream stream = new_stream();
  void *plain = nullptr, *mapped = nullptr;
  CHECK_OK(cuMemHostAlloc(&plain, 64, 0));
  CHECK_OK(cuMemHostAlloc(&mapped, 64, CU_MEMHOSTALLOC_DEVICEMAP));
  CHECK_EQ(cuMemHostAlloc(&mapped, 64, 8), CUDA_ERROR_INVALID_VALUE);
  CUdeviceptr pointer = 0;
  CHECK_EQ(cuMemHostGetDevicePointer_v2(&pointer, plain, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuMemHostGetDevicePointer_v2(&pointer, static_cast<char*>(mapped) + 16, 0));
  CHECK_OK(device.fill(stream, pointer, 3, 12));
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(static_cast<float*>(mapped)[4], 3.0f);
  CHECK_EQ(device.fill(stream, reinterpret_cast<CUdeviceptr>(plain), 3, 16),
           CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_OK(cuMemFreeHost(plain));
  CHECK_OK(cuMemFreeHost(mapped));
}

TEST(memory_registered_memory_is_pinned_until_it_is_unregistered) {
  const Fixture device;
  const CUstream stream = new_stream();
  alignas(64) static float values[32];
  CHECK_EQ(cuMemHostRegister_v2(nullptr, 64, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemHostRegister_v2(values, 64, CU_MEMHOSTREGISTER_READ_ONLY),
           CUDA_ERROR_NOT_SUPPORTED);
  CHECK_OK(cuMemHostRegister_v2(values, 64, CU_MEMHOSTREGISTER_DEVICEMAP));
  CHECK_EQ(cuMemHostRegister_v2(values + 15, 64, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  CHECK_OK(cuMemHostRegister_v2(values + 16, 64, 0));
  CUdeviceptr pointer = 0;
  CHECK_EQ(cuMemHostGetDevicePointer_v2(&pointer, values + 16, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuMemHostGetDevicePointer_v2(&pointer, values, 0));
  CHECK_OK(device.fill(stream, pointer, 5, 16));
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(values[15], 5.0f);
  CHECK_EQ(values[16], 0.0f);
  // An asynchronous copy takes the bytes when it runs, not when it is asked for.
  const CUdeviceptr x = allocate(64);
  close_gate();
  CHECK_OK(device.hold(stream));
  CHECK_OK(cuMemcpyHtoDAsync_v2(x, values, 64, stream));
  values[0] = 6;
  open_gate();
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(download(x, 1)[0], 6.0f);
  unsigned flags = 0;
  CHECK_OK(cuMemHostGetFlags(&flags, values));
  CHECK_EQ(flags, CU_MEMHOSTREGISTER_DEVICEMAP);
  CHECK_EQ(cuMemFreeHost(values), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuMemHostUnregister(values));
  CHECK_EQ(cuMemHostUnregister(values), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  CHECK_EQ(device.fill(stream, pointer, 5, 16), CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_OK(cuMemHostUnregister(values + 16));
}
