// Many threads at once: what one of them makes while another takes its context away must neither
// crash nor stay behind. Worth most under -fsanitize=thread.
#include <atomic>
#include <thread>

#include "fixture.h"

namespace {

// One round of everything a client does; the first error, which is only ever that the context went.
CUresult use_everything(CUcontext context) {
  CUstream stream = nullptr;
  CUevent event = nullptr;
  CUmodule module = nullptr;
  CUfunction fill = nullptr;
  CUdeviceptr memory = 0;
  void* pinned = nullptr;
  CUresult result = cuCtxSetCurrent(context);
  const auto then = [&](auto&& call) {
    if (result == CUDA_SUCCESS) result = call();
  };
  then([&] { return cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING); });
  then([&] { return cuEventCreate(&event, 0); });
  then([&] { return cuModuleLoadData(&module, "REMASK-SOFTWARE-MODULE\nfake\n"); });
  then([&] { return cuModuleGetFunction(&fill, module, "fill_f32"); });
  then([&] { return cuMemAlloc_v2(&memory, 256); });
  then([&] { return cuMemAllocHost_v2(&pinned, 256); });
  float values[64] = {};
  then([&] { return cuMemcpyHtoD_v2(memory, values, sizeof values); });
  FillArguments arguments{memory, 1, 64};
  size_t bytes = sizeof arguments;
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &arguments, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                   CU_LAUNCH_PARAM_END};
  then([&] { return cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, extra); });
  then([&] { return cuEventRecord(event, stream); });
  then([&] { return cuStreamWaitEvent(nullptr, event, 0); });
  then([&] { return cuMemcpyDtoHAsync_v2(pinned, memory, 256, stream); });
  then([&] { return cuEventSynchronize(event); });
  then([&] { return cuStreamSynchronize(stream); });
  then([&] { return cuMemFreeHost(pinned); });
  then([&] { return cuMemFree_v2(memory); });
  then([&] { return cuModuleUnload(module); });
  then([&] { return cuEventDestroy_v2(event); });
  then([&] { return cuStreamDestroy_v2(stream); });
  return result;
}

// Captures `count` additions on its own stream, replays them, updates the graph, and so on.
void capture_and_replay(const Fixture& device, int rounds) {
  CHECK_OK(cuCtxSetCurrent(device.context));
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(256);
  CHECK_OK(device.fill(stream, x, 0, 64));
  CUgraphExec exec = nullptr;
  float expected = 0;
  for (int round = 0; round < rounds; ++round) {
    CHECK_OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    for (int i = 0; i < 3; ++i) CHECK_OK(device.add(stream, x, x, 0, 64));
    CUgraph graph = nullptr;
    CHECK_OK(cuStreamEndCapture(stream, &graph));
    if (exec) {
      CUgraphExecUpdateResultInfo info{};
      CHECK_OK(cuGraphExecUpdate_v2(exec, graph, &info));
    } else {
      CHECK_OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    }
    CHECK_OK(cuGraphDestroy(graph));
    CHECK_OK(cuGraphLaunch(exec, stream));
    CHECK_OK(cuGraphLaunch(exec, stream));
    expected += 6;
    if (round % 8 == 7) {
      CHECK_OK(cuGraphExecDestroy(exec));  // its launches are still queued
      exec = nullptr;
    }
  }
  if (exec) CHECK_OK(cuGraphExecDestroy(exec));
  float last = 0;
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_OK(cuMemcpyDtoH_v2(&last, x, sizeof last));
  CHECK_EQ(last, expected);
  CHECK_OK(cuMemFree_v2(x));
  CHECK_OK(cuStreamDestroy_v2(stream));
}

}  // namespace

TEST(race_context_destroyed_under_its_users) {
  const Fixture device(false);
  const auto allocations = remaskLiveAllocations();
  const std::string names = remaskThreadNames();
  for (int round = 0; round < 100; ++round) {
    CUcontext context = nullptr;
    CHECK_OK(cuCtxCreate_v2(&context, 0, 0));
    CHECK_OK(cuCtxPopCurrent_v2(nullptr));
    std::atomic<int> used{0};
    std::vector<std::thread> users;
    for (int i = 0; i < 3; ++i) {
      users.emplace_back([&] {
        CUresult result = CUDA_SUCCESS;
        for (; result == CUDA_SUCCESS; result = use_everything(context)) ++used;
        // What a call says depends on what it looked for first.
        CHECK(result == CUDA_ERROR_CONTEXT_IS_DESTROYED || result == CUDA_ERROR_INVALID_CONTEXT ||
              result == CUDA_ERROR_INVALID_HANDLE || result == CUDA_ERROR_INVALID_VALUE ||
              result == CUDA_ERROR_ILLEGAL_ADDRESS);
      });
    }
    while (used < 3 + round % 7) std::this_thread::yield();
    CHECK_OK(cuCtxDestroy_v2(context));
    for (std::thread& user : users) user.join();
  }
  CHECK_EQ(remaskLiveAllocations(), allocations);
  CHECK_EQ(std::string(remaskThreadNames()), names);
}

TEST(race_captures_and_replays_of_four_threads) {
  const Fixture device;
  std::vector<std::thread> users;
  for (int i = 0; i < 4; ++i) users.emplace_back([&] { capture_and_replay(device, 50); });
  for (std::thread& user : users) user.join();
}
