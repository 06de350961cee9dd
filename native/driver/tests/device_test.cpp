// The real libraries: what clients look up is exported, a kernel runs on each device, and the
// libcuda forwarder reaches the device.
#include <dlfcn.h>

#include <string>

#include "check.h"
#include "device_api.h"

namespace {

std::string folder;

void* open(const std::string& name) {
  void* library = dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) check::fail(__FILE__, __LINE__, dlerror());
  return library;
}

template <typename Function>
Function* symbol(void* library, const char* name) {
  void* found = library ? dlsym(library, name) : nullptr;
  if (!found) check::fail(__FILE__, __LINE__, std::string("not exported: ") + name);
  return reinterpret_cast<Function*>(found);
}

#define BIND(library, name) const auto name = symbol<decltype(::name)>(library, #name)

int device_count(void* device) {
  BIND(device, cuInit);
  BIND(device, cuDeviceGetCount);
  int count = 0;
  CHECK_OK(cuInit(0));
  CHECK_OK(cuDeviceGetCount(&count));
  return count;
}

void test_swiglu_runs(void* library, CUdevice device) {
  BIND(library, cuDevicePrimaryCtxRetain);
  BIND(library, cuDevicePrimaryCtxRelease_v2);
  BIND(library, cuCtxSetCurrent);
  BIND(library, cuModuleLoadData);
  BIND(library, cuModuleGetFunction);
  BIND(library, cuMemAlloc_v2);
  BIND(library, cuMemFree_v2);
  BIND(library, cuMemcpyHtoD_v2);
  BIND(library, cuMemcpyDtoH_v2);
  BIND(library, cuLaunchKernel);
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  CUdeviceptr in = 0, out = 0;
  CHECK_OK(cuDevicePrimaryCtxRetain(&context, device));
  CHECK_OK(cuCtxSetCurrent(context));
  CHECK_OK(cuModuleLoadData(&module, "REMASK-SOFTWARE-MODULE\nswiglu\n"));
  CHECK_OK(cuModuleGetFunction(&function, module, "swiglu_f32"));
  const float gate_up[] = {0, 100, 3, 5};  // gate 0, 100; up 3, 5
  CHECK_OK(cuMemAlloc_v2(&in, sizeof gate_up));
  CHECK_OK(cuMemAlloc_v2(&out, 8));
  CHECK_OK(cuMemcpyHtoD_v2(in, gate_up, sizeof gate_up));
  int rows = 1, width = 2;
  void* parameters[] = {&out, &in, &rows, &width};
  CHECK_OK(cuLaunchKernel(function, 1, 1, 1, 256, 1, 1, 0, nullptr, parameters, nullptr));
  float result[2] = {-1, -1};
  CHECK_OK(cuMemcpyDtoH_v2(result, out, sizeof result));
  CHECK_EQ(result[0], 0.0f);
  CHECK_EQ(result[1], 500.0f);  // sigmoid(100) is 1
  CHECK_OK(cuMemFree_v2(in));
  CHECK_OK(cuMemFree_v2(out));
  CHECK_OK(cuCtxSetCurrent(nullptr));
  CHECK_OK(cuDevicePrimaryCtxRelease_v2(device));
}

void test_exports(void* device) {
  for (const char* name :
       {"cuLaunchKernelEx", "cuStreamBeginCapture_v2", "cuGraphExecUpdate_v2", "cuMemAlloc",
        "cuLogsCurrent", "cuGetProcAddress_v2", "cuLibraryLoadData", "cublasLtMatmul",
        "cublasLtGetVersion", "remaskSetFault", "remaskThreadNames", "remaskLiveBytes",
        "remaskHostKernels"}) {
    symbol<void()>(device, name);
  }
  BIND(device, cuGetProcAddress_v2);
  BIND(device, cuMemAlloc_v2);
  void* found = nullptr;
  int status = -1;
  CHECK_OK(cuGetProcAddress_v2("cuMemAlloc", &found, 12000, 0, &status));
  CHECK_EQ(found, reinterpret_cast<void*>(cuMemAlloc_v2));
}

void test_forwarder() {
  void* libcuda = open("libcuda/libcuda.so.1");
  CHECK(device_count(libcuda) >= 1);
  test_swiglu_runs(libcuda, 0);
  CHECK_EQ(symbol<int()>(libcuda, "cuTexRefCreate")(), static_cast<int>(CUDA_ERROR_NOT_SUPPORTED));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  folder = arguments[1];
  void* device = open("libremask-device.so");
  if (device) {
    test_exports(device);
    for (int i = 0; i < device_count(device); ++i) test_swiglu_runs(device, i);
    test_forwarder();
  }
  std::printf("%d failures\n", check::failures());
  return check::failures() == 0 ? 0 : 1;
}
