// Injected faults, call counts, the log.
#include <cstring>

#include "fixture.h"

TEST(fault_strikes_the_nth_call_once) {
  const Fixture device;
  CHECK_OK(remaskSetFault("cuMemAlloc:3:OUT_OF_MEMORY,cuStreamCreate_v2:1:CUDA_ERROR_UNKNOWN"));
  CUdeviceptr x = 0;
  CHECK_OK(cuMemAlloc_v2(&x, 64));
  CHECK_OK(cuMemAlloc_v2(&x, 64));
  CUstream stream = nullptr;
  CHECK_EQ(cuStreamCreate(&stream, 0), CUDA_ERROR_UNKNOWN);
  LogSince log;
  CHECK_EQ(cuMemAlloc_v2(&x, 64), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_LOGGED(log, "injected");
  CHECK_OK(cuMemAlloc_v2(&x, 64));
  CHECK_OK(remaskSetFault("cublasLtCreate:1:ALLOC_FAILED"));
  cublasLtHandle_t handle = nullptr;
  CHECK_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_ALLOC_FAILED);
  CHECK_OK(remaskSetFault("cuMemAlloc:1:OUT_OF_MEMORY"));
  CHECK_OK(remaskSetFault(nullptr));
  CHECK_OK(cuMemAlloc_v2(&x, 64));
}

TEST(fault_specification_is_checked) {
  const Fixture device;
  for (const char* bad : {"cuMemAlloc", "cuMemAlloc:0:OUT_OF_MEMORY", "cuMemAlloc:x:OUT_OF_MEMORY",
                          "cuMemAlloc:1:NO_SUCH_ERROR", ":1:UNKNOWN"}) {
    CHECK_EQ(remaskSetFault(bad), static_cast<int>(CUDA_ERROR_INVALID_VALUE));
  }
}

TEST(fault_calls_are_counted_under_any_spelling) {
  const Fixture device;
  const auto before = remaskCallCount("cuMemAlloc");
  allocate(64);
  CHECK_EQ(remaskCallCount("cuMemAlloc_v2"), before + 1);
  CHECK_EQ(remaskCallCount("cuMemAlloc"), before + 1);
  CHECK_EQ(remaskCallCount("cuNothing"), 0u);
  CHECK_EQ(remaskCallCount(nullptr), 0u);
}

TEST(fault_log_is_read_from_a_position) {
  const Fixture device;
  CUlogIterator position = 0;
  CHECK_OK(cuLogsCurrent(&position, 0));
  char buffer[200];
  size_t size = sizeof buffer;
  CHECK_OK(cuLogsDumpToMemory(&position, buffer, &size, 0));
  CHECK_EQ(size, 0u);
  CHECK_EQ(cuMemFree_v2(123), CUDA_ERROR_INVALID_VALUE);
  size = 10;
  CHECK_EQ(cuLogsDumpToMemory(&position, buffer, &size, 0), CUDA_ERROR_INVALID_VALUE);
  size = sizeof buffer;
  CHECK_OK(cuLogsDumpToMemory(&position, buffer, &size, 0));
  CHECK(std::strncmp(buffer, "cuMemFree_v2: CUDA_ERROR_INVALID_VALUE: 0x7b is no live", 55) == 0);
  CHECK_EQ(size, std::strlen(buffer));
  size = sizeof buffer;
  CHECK_OK(cuLogsDumpToMemory(&position, buffer, &size, 0));
  CHECK_EQ(size, 0u);
  static int lines;
  lines = 0;
  const auto callback = [](void*, int, char*, size_t) { ++lines; };
  CUlogsCallbackHandle handle = nullptr;
  CHECK_OK(cuLogsRegisterCallback(callback, nullptr, &handle));
  CHECK_EQ(cuMemFree_v2(123), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuLogsUnregisterCallback(handle));
  CHECK_EQ(cuMemFree_v2(123), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(lines, 1);
}

TEST(fault_errors_have_names) {
  const char* name = nullptr;
  CHECK_OK(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &name));
  CHECK_EQ(std::string(name), "CUDA_ERROR_OUT_OF_MEMORY");
  CHECK_OK(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &name));
  CHECK_EQ(std::string(name), "out of memory");
  CHECK_EQ(cuGetErrorName(static_cast<CUresult>(12345), &name), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(std::string(cublasLtGetStatusName(CUBLAS_STATUS_NOT_SUPPORTED)),
           "CUBLAS_STATUS_NOT_SUPPORTED");
}
