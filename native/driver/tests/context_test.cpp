// Devices and contexts.
#include <cstring>
#include <thread>

#include "fixture.h"

TEST(context_devices) {
  CHECK_OK(cuInit(0));
  CHECK_EQ(cuInit(1), CUDA_ERROR_INVALID_VALUE);
  int count = 0, version = 0, value = -1;
  CHECK_OK(cuDeviceGetCount(&count));
  CHECK_EQ(count, 2);  // the fake emulator lies beside the test
  CHECK_OK(cuDriverGetVersion(&version));
  CHECK_EQ(version, 13000);
  char name[64] = "";
  CHECK_OK(cuDeviceGetName(name, sizeof name, 0));
  CHECK_EQ(std::string(name), "Remask software device");
  CHECK_OK(cuDeviceGetName(name, 7, 1));
  CHECK_EQ(std::string(name), "Remask");
  CUdevice device = -1;
  CHECK_OK(cuDeviceGet(&device, 1));
  CHECK_EQ(device, 1);
  CHECK_EQ(cuDeviceGet(&device, 2), CUDA_ERROR_INVALID_DEVICE);
  CHECK_EQ(cuDeviceGet(&device, -1), CUDA_ERROR_INVALID_DEVICE);
  for (const int attribute : {75, 76}) {
    CHECK_OK(cuDeviceGetAttribute(&value, attribute, 0));
    CHECK_EQ(value, 0);
  }
  CHECK_OK(cuDeviceGetAttribute(&value, 16, 0));
  CHECK_EQ(value, 2);  // REMASK_THREADS
  CHECK_EQ(cuDeviceGetAttribute(&value, 0, 0), CUDA_ERROR_INVALID_VALUE);
  CUuuid one{}, two{};
  CHECK_OK(cuDeviceGetUuid_v2(&one, 0));
  CHECK_OK(cuDeviceGetUuid_v2(&two, 1));
  CHECK(std::memcmp(one.bytes, two.bytes, sizeof one.bytes) != 0);
}

TEST(context_calls_without_one_are_refused) {
  CHECK_OK(cuInit(0));
  CHECK_OK(cuCtxSetCurrent(nullptr));
  CUdeviceptr x = 0;
  LogSince log;
  CHECK_EQ(cuMemAlloc_v2(&x, 64), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_LOGGED(log, "the calling thread has no current context");
  CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_EQ(cuCtxPopCurrent_v2(nullptr), CUDA_ERROR_INVALID_CONTEXT);
  const Fixture device;
  std::thread([] {
    CUdeviceptr y = 0;
    CHECK_EQ(cuMemAlloc_v2(&y, 64), CUDA_ERROR_INVALID_CONTEXT);  // it is per thread
  }).join();
}

TEST(context_primary_is_counted) {
  const Fixture device;
  CUcontext again = nullptr;
  CHECK_OK(cuDevicePrimaryCtxRetain(&again, 0));
  CHECK_EQ(again, device.context);
  CHECK_OK(cuDevicePrimaryCtxRelease_v2(0));
  unsigned flags = 9;
  int active = 0;
  CHECK_OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
  CHECK_EQ(active, 1);
  CHECK_OK(cuCtxSynchronize());
  CHECK_EQ(cuCtxDestroy_v2(device.context), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_EQ(cuDevicePrimaryCtxRelease_v2(1), CUDA_ERROR_INVALID_CONTEXT);
}

TEST(context_destroyed_is_recognised) {
  CHECK_OK(cuInit(0));
  CUcontext context = nullptr;
  CHECK_OK(cuDevicePrimaryCtxRetain(&context, 0));
  CHECK_OK(cuCtxSetCurrent(context));
  CHECK_OK(cuDevicePrimaryCtxRelease_v2(0));
  CUdeviceptr x = 0;
  CHECK_EQ(cuMemAlloc_v2(&x, 64), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  CHECK_EQ(cuCtxSetCurrent(context), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_OK(cuCtxSetCurrent(nullptr));
}

TEST(context_two_are_separate) {
  const Fixture device;
  const CUstream stream = new_stream();
  CUcontext second = nullptr;
  CHECK_OK(cuCtxCreate_v4(&second, nullptr, 0, 0));
  CUcontext current = nullptr;
  CHECK_OK(cuCtxGetCurrent(&current));
  CHECK_EQ(current, second);
  const CUstream other = new_stream();
  const CUdeviceptr x = allocate(64);
  CUmodule module = nullptr;
  CHECK_OK(cuModuleLoadData(&module, "REMASK-SOFTWARE-MODULE\nfake\n"));
  CUfunction function = nullptr;
  CHECK_OK(cuModuleGetFunction(&function, module, "wait_gate"));
  // A function runs in its own context's streams only.
  CHECK_EQ(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, nullptr),
           CUDA_ERROR_INVALID_HANDLE);
  CHECK_OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, other, nullptr, nullptr));
  const CUevent event = new_event();
  CHECK_EQ(cuEventRecord(event, stream), CUDA_ERROR_INVALID_HANDLE);
  CHECK_OK(cuEventRecord(event, other));
  CHECK_OK(cuStreamWaitEvent(stream, event, 0));  // across contexts that is allowed
  CHECK_OK(cuCtxPopCurrent_v2(&current));
  CHECK_EQ(current, second);
  const int code = 1;
  CHECK_OK(device.launch(stream, "fail", &code, sizeof code));
  CHECK_EQ(cuStreamSynchronize(stream), CUDA_ERROR_LAUNCH_FAILED);
  CHECK_OK(cuCtxPushCurrent_v2(second));
  CHECK_OK(cuCtxSynchronize());  // the other's failure is not its own
  CHECK_OK(cuMemsetD8_v2(x, 0, 64));
  CHECK_OK(cuCtxDestroy_v2(second));  // takes its memory, streams, events and modules along
  CHECK_OK(cuCtxGetCurrent(&current));
  CHECK_EQ(current, device.context);
}

TEST(context_of_the_second_device_runs_its_own_kernels) {
  const Fixture device(true, 1);
  const CUdeviceptr x = allocate(64);
  CHECK_OK(device.fill(nullptr, x, 6, 16));
  CHECK_EQ(download(x, 16)[0], 6.0f);
  cublasLtHandle_t handle = nullptr;
  LogSince log;
  CHECK_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_LOGGED(log, "Remask emulator");
  CUcontext first = nullptr;
  CHECK_OK(cuCtxCreate_v2(&first, 0, 0));
  const CUdeviceptr y = allocate(64);
  CHECK_OK(cuMemcpyDtoD_v2(y, x, 64));  // copies go between devices, kernels do not
  CHECK_EQ(download(y, 16)[0], 6.0f);
  CHECK_OK(cuCtxPopCurrent_v2(nullptr));
  CHECK_EQ(device.fill(nullptr, y, 6, 16), CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_OK(cuCtxDestroy_v2(first));
}

TEST(context_bad_handles_never_crash) {
  const Fixture device(false);
  const auto bogus = [](auto handle) { return reinterpret_cast<decltype(handle)>(0xdead0); };
  CUdevice number = 0;
  float time = 0;
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CUfunction function = nullptr;
  CHECK_EQ(cuCtxSetCurrent(bogus(CUcontext{})), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_EQ(cuCtxDestroy_v2(bogus(CUcontext{})), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_EQ(cuStreamSynchronize(bogus(CUstream{})), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuStreamDestroy_v2(bogus(CUstream{})), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuStreamDestroy_v2(nullptr), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuEventRecord(bogus(CUevent{}), nullptr), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuEventSynchronize(nullptr), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuEventElapsedTime(&time, nullptr, nullptr), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuModuleGetFunction(&function, bogus(CUmodule{}), "x"), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphLaunch(exec, nullptr), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuStreamEndCapture(nullptr, &graph), CUDA_ERROR_ILLEGAL_STATE);
  CHECK_EQ(cuMemFreeHost(nullptr), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuCtxGetDevice(nullptr), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuCtxGetDevice(&number));
}

TEST(context_symbols_are_looked_up_by_version) {
  CHECK_OK(cuInit(0));
  void* found = nullptr;
  int status = -1;
  CHECK_OK(cuGetProcAddress_v2("cuNothing", &found, 12000, 0, &status));
  CHECK_EQ(status, 1);
  CHECK_OK(cuGetProcAddress_v2("cuMemAlloc", &found, 3000, 0, &status));
  CHECK_EQ(status, 2);
  CHECK_EQ(cuGetProcAddress_v2("cuNothing", &found, 12000, 0, nullptr), CUDA_ERROR_NOT_FOUND);
}
