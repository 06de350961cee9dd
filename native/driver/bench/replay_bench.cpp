// What the software device adds to a kernel: replays of a graph whose kernels have nothing to do.
//
//   replay_bench FOLDER [NODES]
//
// FOLDER holds libremask-device.so. Prints CPU time of the whole process, which other work on the
// machine does not change, of a node in a long graph, and of a graph launch with its wait.
#include <dlfcn.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "device_api.h"

namespace {

void* library = nullptr;

template <typename Function>
Function* symbol(const char* name) {
  void* found = dlsym(library, name);
  if (!found) {
    std::fprintf(stderr, "replay_bench: %s is not exported\n", name);
    std::exit(2);
  }
  return reinterpret_cast<Function*>(found);
}

void check(CUresult result, const char* call) {
  if (result == CUDA_SUCCESS) return;
  std::fprintf(stderr, "replay_bench: %s: error %d\n", call, static_cast<int>(result));
  std::exit(2);
}

#define BIND(name) const auto name##_ = symbol<decltype(::name)>(#name)
#define CALL(name, ...) check(name##_(__VA_ARGS__), #name)

double cpu_us() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * 1e6 + time.tv_nsec * 1e-3;
}

// Median CPU time of a launch of a graph of so many nodes, with the wait for its end.
double launch_us(CUfunction function, CUstream stream, int nodes) {
  BIND(cuStreamBeginCapture_v2);
  BIND(cuStreamEndCapture);
  BIND(cuLaunchKernel);
  BIND(cuGraphInstantiateWithFlags);
  BIND(cuGraphLaunch);
  BIND(cuGraphExecDestroy);
  BIND(cuGraphDestroy);
  BIND(cuStreamSynchronize);
  BIND(cuMemAlloc_v2);
  BIND(cuMemFree_v2);
  CUdeviceptr out = 0, in = 0;
  CALL(cuMemAlloc_v2, &out, 64);
  CALL(cuMemAlloc_v2, &in, 64);
  CALL(cuStreamBeginCapture_v2, stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  int rows = 0, width = 4;
  void* parameters[] = {&out, &in, &rows, &width};
  for (int i = 0; i < nodes; ++i) {
    CALL(cuLaunchKernel, function, 1, 1, 1, 256, 1, 1, 0, stream, parameters, nullptr);
  }
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CALL(cuStreamEndCapture, stream, &graph);
  CALL(cuGraphInstantiateWithFlags, &exec, graph, 0);
  std::vector<double> times;
  for (int i = 0; i < 501; ++i) {
    const double begin = cpu_us();
    CALL(cuGraphLaunch, exec, stream);
    CALL(cuStreamSynchronize, stream);
    times.push_back(cpu_us() - begin);
  }
  CALL(cuGraphExecDestroy, exec);
  CALL(cuGraphDestroy, graph);
  CALL(cuMemFree_v2, out);
  CALL(cuMemFree_v2, in);
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

}  // namespace

int main(int count, char** arguments) {
  const int nodes = count > 2 ? std::max(2, std::atoi(arguments[2])) : 100;
  const std::string path = (count > 1 ? std::string(arguments[1]) : ".") + "/libremask-device.so";
  library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    std::fprintf(stderr, "replay_bench: %s\n", dlerror());
    return 2;
  }
  BIND(cuInit);
  BIND(cuDevicePrimaryCtxRetain);
  BIND(cuDevicePrimaryCtxRelease_v2);
  BIND(cuCtxSetCurrent);
  BIND(cuModuleLoadData);
  BIND(cuModuleGetFunction);
  BIND(cuStreamCreate);
  BIND(cuStreamDestroy_v2);
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  CUstream stream = nullptr;
  CALL(cuInit, 0);
  CALL(cuDevicePrimaryCtxRetain, &context, 0);
  CALL(cuCtxSetCurrent, context);
  CALL(cuModuleLoadData, &module, "REMASK-SOFTWARE-MODULE\nswiglu\n");
  CALL(cuModuleGetFunction, &function, module, "swiglu_f32");
  CALL(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
  const double one = launch_us(function, stream, 1), many = launch_us(function, stream, nodes);
  std::printf("a node of a graph of %d: %.3f us of CPU time; a launch and its wait: %.1f us\n",
              nodes, (many - one) / (nodes - 1), one);
  CALL(cuStreamDestroy_v2, stream);
  CALL(cuCtxSetCurrent, nullptr);
  CALL(cuDevicePrimaryCtxRelease_v2, 0);
  return 0;
}
