// Capture, its rules, replay and update of graphs.
#include <thread>

#include "fixture.h"

namespace {

constexpr CUstreamCaptureMode kThreadLocal = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;

struct Capture {
  explicit Capture(CUstream captured, CUstreamCaptureMode mode = kThreadLocal) : stream(captured) {
    CHECK_OK(cuStreamBeginCapture_v2(stream, mode));
  }
  CUgraph end(CUresult expected = CUDA_SUCCESS) {
    CUgraph graph = nullptr;
    CHECK_EQ(cuStreamEndCapture(stream, &graph), expected);
    return graph;
  }
  CUstreamCaptureStatus status() const {
    CUstreamCaptureStatus now = CU_STREAM_CAPTURE_STATUS_NONE;
    CHECK_OK(cuStreamIsCapturing(stream, &now));
    return now;
  }
  CUstream stream;
};

CUgraphExec instantiate(CUgraph graph) {
  CUgraphExec exec = nullptr;
  CHECK_OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  return exec;
}

size_t node_count(CUgraph graph) {
  size_t count = 0;
  CHECK_OK(cuGraphGetNodes(graph, nullptr, &count));
  return count;
}

}  // namespace

TEST(graph_capture_runs_nothing_and_replays_everything) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64);
  CHECK_OK(device.fill(stream, x, 0, 16));
  CHECK_OK(cuStreamSynchronize(stream));  // `download` does not wait for this stream
  Capture capture(stream);
  CHECK_EQ(capture.status(), CU_STREAM_CAPTURE_STATUS_ACTIVE);
  CHECK_OK(device.add(stream, x, x, 0, 16));
  CHECK_OK(device.add(stream, x, x, 0, 16));
  CHECK_OK(cuMemsetD32Async(x + 60, 0, 1, stream));
  const CUgraph graph = capture.end();
  CHECK_EQ(capture.status(), CU_STREAM_CAPTURE_STATUS_NONE);
  CHECK_EQ(download(x, 16)[0], 0.0f);
  CHECK_EQ(node_count(graph), 3u);
  CUgraphNode nodes[3] = {};
  size_t count = 3;
  CHECK_OK(cuGraphGetNodes(graph, nodes, &count));
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_HOST;
  CHECK_OK(cuGraphNodeGetType(nodes[2], &type));
  CHECK_EQ(type, CU_GRAPH_NODE_TYPE_MEMSET);
  const CUgraphExec exec = instantiate(graph);
  CHECK_OK(cuGraphDestroy(graph));
  for (int i = 0; i < 1000; ++i) CHECK_OK(cuGraphLaunch(exec, stream));
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(download(x, 16)[0], 2000.0f);
  CHECK_EQ(download(x, 16)[15], 0.0f);
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_EQ(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
}

TEST(graph_launches_of_one_exec_follow_one_another_across_streams) {
  const Fixture device;
  const CUstream one = new_stream(), two = new_stream();
  const CUdeviceptr x = allocate(64);
  CHECK_OK(device.fill(one, x, 0, 16));
  Capture capture(one);
  CHECK_OK(device.add(one, x, x, 0, 16));
  const CUgraph graph = capture.end();
  const CUgraphExec exec = instantiate(graph);
  close_gate();
  CHECK_OK(device.hold(one));
  CHECK_OK(cuGraphLaunch(exec, one));
  CHECK_OK(cuGraphLaunch(exec, two));
  CHECK_EQ(cuStreamQuery(two), CUDA_ERROR_NOT_READY);
  open_gate();
  CHECK_OK(cuStreamSynchronize(two));
  CHECK_EQ(download(x, 16)[0], 2.0f);
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(graph));
}

TEST(graph_fork_and_join_by_events) {
  const Fixture device;
  const CUstream one = new_stream(), two = new_stream();
  const CUdeviceptr x = allocate(64), y = allocate(64);
  const CUevent fork = new_event(), join = new_event();
  Capture capture(one);
  CHECK_OK(device.fill(one, x, 1, 16));
  CHECK_OK(cuEventRecord(fork, one));
  CHECK_OK(cuStreamWaitEvent(two, fork, 0));
  CHECK_OK(device.add(two, y, x, 0, 16));
  CHECK_OK(cuEventRecord(join, two));
  CHECK_OK(device.add(one, x, x, 0, 16));
  CHECK_OK(cuStreamWaitEvent(one, join, 0));
  CHECK_OK(device.add(one, x, x, y, 16));
  CHECK_EQ(cuEventQuery(fork), CUDA_ERROR_CAPTURED_EVENT);
  capture.end(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);  // the query broke it

  Capture again(one);
  CHECK_OK(device.fill(one, x, 1, 16));
  CHECK_OK(cuEventRecord(fork, one));
  CHECK_OK(cuStreamWaitEvent(two, fork, 0));
  CHECK_OK(device.add(two, y, x, 0, 16));
  CHECK_OK(cuEventRecord(join, two));
  CHECK_OK(cuStreamWaitEvent(one, join, 0));
  CHECK_OK(device.add(one, x, x, y, 16));
  const CUgraph graph = again.end();
  const CUgraphExec exec = instantiate(graph);
  CHECK_OK(cuGraphLaunch(exec, two));
  CHECK_OK(cuStreamSynchronize(two));
  CHECK_EQ(download(x, 16)[0], 3.0f);
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(graph));
}

TEST(graph_unjoined_fork_is_refused) {
  const Fixture device;
  const CUstream one = new_stream(), two = new_stream();
  const CUdeviceptr x = allocate(64);
  const CUevent fork = new_event();
  Capture capture(one);
  CHECK_OK(device.fill(one, x, 1, 16));
  CHECK_OK(cuEventRecord(fork, one));
  CHECK_OK(cuStreamWaitEvent(two, fork, 0));
  CHECK_OK(device.fill(two, x, 2, 16));
  CUgraph graph = nullptr;
  CHECK_EQ(cuStreamEndCapture(two, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
  capture.end(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  Capture again(one);
  CHECK_OK(device.fill(one, x, 1, 16));
  CHECK_OK(cuEventRecord(fork, one));
  CHECK_OK(cuStreamWaitEvent(two, fork, 0));
  CHECK_OK(device.fill(two, x, 2, 16));
  again.end(CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  CHECK_OK(cuStreamSynchronize(two));  // free again
}

TEST(graph_calls_that_break_a_capture) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64);
  CUdeviceptr y = 0;
  void* pinned = nullptr;
  CUmodule module = nullptr;
  float value = 0;
  const auto breaks = [&](const char* what, CUresult result,
                          CUresult expected = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED) {
    CHECK_EQ(std::string(what) + " " + std::to_string(result),
             std::string(what) + " " + std::to_string(expected));
    CHECK_EQ(device.fill(stream, x, 1, 16), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CUgraph graph = nullptr;
    CHECK_EQ(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    CHECK(graph == nullptr);
  };
#define BREAKS(...)                                        \
  CHECK_OK(cuStreamBeginCapture_v2(stream, kThreadLocal)); \
  CHECK_OK(device.fill(stream, x, 1, 16));                 \
  breaks(__VA_ARGS__)
  BREAKS("synchronize", cuStreamSynchronize(stream));
  BREAKS("query", cuStreamQuery(stream));
  BREAKS("context", cuCtxSynchronize());
  BREAKS("alloc", cuMemAlloc_v2(&y, 64));
  BREAKS("free", cuMemFree_v2(x));
  BREAKS("pinned", cuMemHostAlloc(&pinned, 64, 0));
  BREAKS("copy", cuMemcpyDtoH_v2(&value, x, 4));
  BREAKS("pageable", cuMemcpyDtoHAsync_v2(&value, x, 4, stream));
  BREAKS("fill", cuMemsetD8_v2(x, 0, 4));
  BREAKS("load", cuModuleLoadData(&module, "REMASK-SOFTWARE-MODULE\nfake\n"));
  BREAKS("begin", cuStreamBeginCapture_v2(stream, kThreadLocal), CUDA_ERROR_ILLEGAL_STATE);
#undef BREAKS
  CHECK_OK(device.fill(stream, x, 1, 16));
  CHECK_OK(cuStreamSynchronize(stream));
}

TEST(graph_capture_modes_decide_who_is_refused) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr keep = allocate(64);
  const auto allocate_elsewhere = [&] {
    CUresult result = CUDA_SUCCESS;
    std::thread([&] {
      CUdeviceptr y = 0;
      CHECK_OK(cuCtxSetCurrent(device.context));
      result = cuMemAlloc_v2(&y, 64);
    }).join();
    return result;
  };
  Capture relaxed(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
  CHECK_OK(device.fill(stream, allocate(64), 1, 16));
  CHECK_OK(cuGraphDestroy(relaxed.end()));
  Capture local(stream);
  CHECK_OK(allocate_elsewhere());
  CHECK_OK(device.fill(stream, keep, 1, 16));
  CHECK_OK(cuGraphDestroy(local.end()));
  Capture global(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
  CHECK_EQ(allocate_elsewhere(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  global.end(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  Capture exchanged(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  CHECK_OK(cuThreadExchangeStreamCaptureMode(&mode));
  allocate(64);
  CHECK_OK(cuThreadExchangeStreamCaptureMode(&mode));
  CHECK_OK(cuGraphDestroy(exchanged.end()));
  Capture other(stream);
  std::thread([&] {
    CHECK_OK(cuCtxSetCurrent(device.context));
    CUgraph graph = nullptr;
    CHECK_EQ(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  }).join();
  other.end(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST(graph_legacy_stream_and_captures_do_not_mix) {
  const Fixture device;
  const CUstream blocking = new_stream(0), other = new_stream();
  const CUdeviceptr x = allocate(64);
  CHECK_EQ(cuStreamBeginCapture_v2(nullptr, kThreadLocal), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  Capture capture(blocking);
  CHECK_EQ(device.fill(nullptr, x, 1, 16), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  capture.end(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  Capture free(other);
  CHECK_OK(device.fill(nullptr, x, 1, 16));
  const CUevent outside = new_event();
  CHECK_OK(cuEventRecord(outside, nullptr));
  CHECK_EQ(cuStreamWaitEvent(other, outside, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  free.end(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST(graph_update_replaces_the_work) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64);
  const auto capture_fill = [&](float value, bool twice) {
    Capture capture(stream);
    CHECK_OK(device.fill(stream, x, value, 16));
    if (twice) CHECK_OK(device.add(stream, x, x, 0, 16));
    return capture.end();
  };
  const CUgraph first = capture_fill(1, false), second = capture_fill(2, false);
  const CUgraph longer = capture_fill(3, true);
  const CUgraphExec exec = instantiate(first);
  close_gate();
  CHECK_OK(device.hold(stream));
  CHECK_OK(cuGraphLaunch(exec, stream));
  CUgraphExecUpdateResultInfo info{};
  CHECK_OK(cuGraphExecUpdate_v2(exec, second, &info));
  CHECK_EQ(info.result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
  open_gate();
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(download(x, 16)[0], 1.0f);  // what was launched before the update
  CHECK_OK(cuGraphLaunch(exec, stream));
  CHECK_OK(cuStreamSynchronize(stream));
  CHECK_EQ(download(x, 16)[0], 2.0f);
  CHECK_EQ(cuGraphExecUpdate_v2(exec, longer, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  CHECK_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
  Capture capture(stream);
  CHECK_OK(cuMemsetD8Async(x, 0, 64, stream));
  const CUgraph fill = capture.end();
  CHECK_EQ(cuGraphExecUpdate_v2(exec, fill, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  CHECK_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED);
  CHECK(info.errorNode != nullptr);
  for (const CUgraph graph : {first, second, longer, fill}) CHECK_OK(cuGraphDestroy(graph));
  CHECK_OK(cuGraphExecDestroy(exec));
}

TEST(graph_of_freed_memory_is_refused_when_strict_and_harmless_else) {
  for (const bool strict : {true, false}) {
    const Fixture device(strict);
    const CUstream stream = new_stream();
    const CUdeviceptr x = allocate(64);
    Capture capture(stream);
    CHECK_OK(device.fill(stream, x, 1, 16));
    const CUgraph graph = capture.end();
    const CUgraphExec exec = instantiate(graph);
    CHECK_OK(cuGraphLaunch(exec, stream));
    CHECK_OK(cuStreamSynchronize(stream));
    CHECK_OK(cuMemFree_v2(x));
    LogSince log;
    CHECK_EQ(cuGraphLaunch(exec, stream), strict ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS);
    if (strict) CHECK_LOGGED(log, "the graph uses 64 bytes at 0x");
    CHECK_OK(cuStreamSynchronize(stream));
    CHECK_OK(cuGraphExecDestroy(exec));
    CHECK_OK(cuGraphDestroy(graph));
  }
}

TEST(graph_failure_names_the_node) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64);
  Capture capture(stream);
  CHECK_OK(device.fill(stream, x, 1, 16));
  const int code = 8;
  CHECK_OK(device.launch(stream, "fail", &code, sizeof code));
  const CUgraph graph = capture.end();
  const CUgraphExec exec = instantiate(graph);
  LogSince log;
  CHECK_OK(cuGraphLaunch(exec, stream));
  CHECK_EQ(cuStreamSynchronize(stream), CUDA_ERROR_LAUNCH_FAILED);
  CHECK_LOGGED(log, "graph of 2 nodes: node 1, kernel fail");
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(graph));
}

TEST(graph_nodes_of_a_broken_capture_are_gone) {
  const Fixture device;
  const CUstream stream = new_stream();
  const CUdeviceptr x = allocate(64);
  CHECK_OK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CHECK_OK(device.fill(stream, x, 1, 16));
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUgraphNode* nodes = nullptr;
  size_t count = 0;
  CHECK_OK(cuStreamGetCaptureInfo_v2(stream, &status, nullptr, nullptr, &nodes, &count));
  CHECK_EQ(count, 1u);
  const CUgraphNode node = nodes[0];
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_HOST;
  CHECK_OK(cuGraphNodeGetType(node, &type));
  CHECK_EQ(type, CU_GRAPH_NODE_TYPE_KERNEL);
  CHECK_EQ(cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CUgraph graph = nullptr;
  CHECK_EQ(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK_EQ(cuGraphNodeGetType(node, &type), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuMemFree_v2(x));
  CHECK_OK(cuStreamDestroy_v2(stream));
}
