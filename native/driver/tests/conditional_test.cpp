// Conditional nodes: loops and branches, nesting, and the rules that a driver holds.
#include "fixture.h"

namespace {

constexpr CUstreamCaptureMode kThreadLocal = CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;

struct CountArguments {
  CUdeviceptr counter;
  CUgraphConditionalHandle handle;
};

// A graph that is put together node by node, and a stream to capture from.
struct Builder {
  explicit Builder(const Fixture& fixture) : device(fixture), stream(new_stream()) {
    CHECK_OK(cuGraphCreate(&graph, 0));
  }

  CUgraphConditionalHandle handle(unsigned value = 0,
                                  unsigned flags = CU_GRAPH_COND_ASSIGN_DEFAULT) const {
    CUgraphConditionalHandle made = 0;
    CHECK_OK(cuGraphConditionalHandleCreate(&made, graph, device.context, value, flags));
    return made;
  }
  static CUgraphNodeParams parameters(CUcontext context, CUgraphConditionalHandle handle,
                                      CUgraphConditionalNodeType type, unsigned size = 1) {
    CUgraphNodeParams made{};
    made.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
    made.conditional = {handle, type, size, nullptr, context};
    return made;
  }
  // Adds a node to `to`, after what was captured or added to it; answers its bodies.
  CUgraph* add(CUgraph to, CUgraphConditionalHandle handle, CUgraphConditionalNodeType type,
               unsigned size = 1) {
    CUgraphNodeParams made = parameters(device.context, handle, type, size);
    CHECK_OK(cuGraphAddNode_v2(&last, to, after.data(), nullptr, after.size(), &made));
    after = {last};
    return made.conditional.phGraph_out;
  }
  template <typename Work>
  void capture(CUgraph to, const Work& work) {
    CHECK_OK(
        cuStreamBeginCaptureToGraph(stream, to, after.data(), nullptr, after.size(), kThreadLocal));
    work();
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    const CUgraphNode* tail = nullptr;
    CUgraph into = nullptr;
    size_t count = 0;
    CHECK_OK(cuStreamGetCaptureInfo_v3(stream, &status, nullptr, &into, &tail, nullptr, &count));
    CHECK_EQ(into, to);
    after.assign(tail, tail + count);
    CUgraph ended = nullptr;
    CHECK_OK(cuStreamEndCapture(stream, &ended));
    CHECK_EQ(ended, to);
  }
  void count_down(CUdeviceptr counter, CUgraphConditionalHandle handle) const {
    const CountArguments arguments{counter, handle};
    CHECK_OK(device.launch(stream, "count_down", &arguments, sizeof arguments));
  }
  void set_from(CUdeviceptr word, CUgraphConditionalHandle handle) const {
    const CountArguments arguments{word, handle};
    CHECK_OK(device.launch(stream, "set_from", &arguments, sizeof arguments));
  }
  CUgraphExec instantiate(CUresult expected = CUDA_SUCCESS) const {
    CUgraphExec exec = nullptr;
    CHECK_EQ(cuGraphInstantiateWithFlags(&exec, graph, 0), expected);
    return exec;
  }
  void launch(CUgraphExec exec) const {
    CHECK_OK(cuGraphLaunch(exec, stream));
    CHECK_OK(cuStreamSynchronize(stream));
  }

  const Fixture& device;
  CUstream stream;
  CUgraph graph = nullptr;
  CUgraphNode last = nullptr;
  std::vector<CUgraphNode> after;  // what the next node depends on
};

void set_int(CUdeviceptr at, int value) { CHECK_OK(cuMemcpyHtoD_v2(at, &value, sizeof value)); }

int get_int(CUdeviceptr at) {
  int value = 0;
  CHECK_OK(cuMemcpyDtoH_v2(&value, at, sizeof value));
  return value;
}

}  // namespace

TEST(conditional_while_repeats_its_body_in_one_launch) {
  const Fixture device;
  Builder builder(device);
  const CUdeviceptr x = allocate(64), counter = allocate(4), done = allocate(4);
  CHECK_OK(cuMemsetD8_v2(x, 0, 64));
  set_int(done, 0);
  const CUgraphConditionalHandle handle = builder.handle(1);
  const CUgraph body = *builder.add(builder.graph, handle, CU_GRAPH_COND_TYPE_WHILE);
  const std::vector<CUgraphNode> loop = builder.after;
  builder.after.clear();
  builder.capture(body, [&] {
    CHECK_OK(device.add(builder.stream, x, x, 0, 16));
    builder.count_down(counter, handle);
  });
  builder.after = loop;
  builder.capture(builder.graph,
                  [&] { CHECK_OK(cuMemcpyDtoDAsync_v2(done, x, 4, builder.stream)); });
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_HOST;
  CHECK_OK(cuGraphNodeGetType(loop[0], &type));
  CHECK_EQ(type, CU_GRAPH_NODE_TYPE_CONDITIONAL);
  const CUgraphExec exec = builder.instantiate();
  CHECK_OK(cuGraphDestroy(builder.graph));
  CHECK_EQ(cuGraphNodeGetType(loop[0], &type), CUDA_ERROR_INVALID_VALUE);
  size_t count = 0;
  CHECK_EQ(cuGraphGetNodes(body, nullptr, &count), CUDA_ERROR_INVALID_VALUE);
  for (const int times : {1, 2, 1000}) {
    CHECK_OK(cuMemsetD8_v2(x, 0, 64));
    set_int(counter, times);
    const auto launches = remaskCallCount("cuGraphLaunch");
    builder.launch(exec);
    CHECK_EQ(remaskCallCount("cuGraphLaunch"), launches + 1);
    CHECK_EQ(download(x, 1)[0], static_cast<float>(times));
    CHECK_EQ(download(done, 1)[0], static_cast<float>(times));
    CHECK_EQ(get_int(counter), 0);
  }
  CHECK_OK(cuGraphExecDestroy(exec));
}

TEST(conditional_default_of_zero_skips_the_body_and_a_kernel_before_decides) {
  const Fixture device;
  Builder builder(device);
  const CUdeviceptr x = allocate(64), word = allocate(4);
  const CUgraphConditionalHandle handle = builder.handle(0);
  builder.capture(builder.graph, [&] { builder.set_from(word, handle); });
  CUgraph* const bodies = builder.add(builder.graph, handle, CU_GRAPH_COND_TYPE_IF, 2);
  builder.after.clear();
  builder.capture(bodies[0], [&] { CHECK_OK(device.fill(builder.stream, x, 1, 16)); });
  builder.after.clear();
  builder.capture(bodies[1], [&] { CHECK_OK(device.fill(builder.stream, x, 2, 16)); });
  const CUgraphExec exec = builder.instantiate();
  for (const int value : {0, 1, 0, 7}) {
    set_int(word, value);
    builder.launch(exec);
    CHECK_EQ(download(x, 1)[0], value ? 1.0f : 2.0f);
  }
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(builder.graph));
}

TEST(conditional_nodes_nest) {
  const Fixture device;
  Builder builder(device);
  const CUdeviceptr x = allocate(64), outer = allocate(4), inner = allocate(4);
  CHECK_OK(cuMemsetD8_v2(x, 0, 64));
  const CUgraphConditionalHandle outer_handle = builder.handle(1);
  const CUgraph body = *builder.add(builder.graph, outer_handle, CU_GRAPH_COND_TYPE_WHILE);
  builder.after.clear();
  // The inner loop's handle is the root's; its condition is set anew in each round.
  const CUgraphConditionalHandle inner_handle = builder.handle(0);
  builder.capture(body, [&] {
    CHECK_OK(cuMemsetD32Async(inner, 3, 1, builder.stream));
    builder.set_from(inner, inner_handle);
  });
  const CUgraph inner_body = *builder.add(body, inner_handle, CU_GRAPH_COND_TYPE_WHILE);
  const std::vector<CUgraphNode> inner_loop = builder.after;
  builder.after.clear();
  builder.capture(inner_body, [&] {
    CHECK_OK(device.add(builder.stream, x, x, 0, 16));
    builder.count_down(inner, inner_handle);
  });
  builder.after = inner_loop;
  builder.capture(body, [&] { builder.count_down(outer, outer_handle); });
  const CUgraphExec exec = builder.instantiate();
  set_int(outer, 5);
  builder.launch(exec);
  CHECK_EQ(download(x, 1)[0], 15.0f);
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(builder.graph));
}

TEST(conditional_loop_ends_by_a_word_that_the_host_writes) {
  const Fixture device;
  Builder builder(device);
  void* pinned = nullptr;
  CHECK_OK(cuMemHostAlloc(&pinned, 4, CU_MEMHOSTALLOC_DEVICEMAP));
  CUdeviceptr mapped = 0;
  CHECK_OK(cuMemHostGetDevicePointer_v2(&mapped, pinned, 0));
  volatile int* const word = static_cast<volatile int*>(pinned);
  *word = 1;
  const CUdeviceptr x = allocate(64);
  CHECK_OK(cuMemsetD8_v2(x, 0, 64));
  const CUgraphConditionalHandle handle = builder.handle(1);
  const CUgraph body = *builder.add(builder.graph, handle, CU_GRAPH_COND_TYPE_WHILE);
  builder.after.clear();
  builder.capture(body, [&] {
    CHECK_OK(device.add(builder.stream, x, x, 0, 16));
    builder.set_from(mapped, handle);
  });
  const CUgraphExec exec = builder.instantiate();
  CHECK_OK(cuGraphLaunch(exec, builder.stream));
  CHECK_EQ(cuStreamQuery(builder.stream), CUDA_ERROR_NOT_READY);
  *word = 0;
  CHECK_OK(cuStreamSynchronize(builder.stream));
  CHECK(download(x, 1)[0] >= 1.0f);
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(builder.graph));
  CHECK_OK(cuMemFreeHost(pinned));
}

TEST(conditional_bodies_take_no_host_work) {
  const Fixture device;
  Builder builder(device);
  const CUdeviceptr x = allocate(64);
  const CUgraphConditionalHandle handle = builder.handle(1);
  const CUgraph body = *builder.add(builder.graph, handle, CU_GRAPH_COND_TYPE_WHILE);
  CHECK_OK(cuStreamBeginCaptureToGraph(builder.stream, body, nullptr, nullptr, 0, kThreadLocal));
  CHECK_OK(device.fill(builder.stream, x, 1, 16));
  LogSince log;
  CHECK_EQ(cuLaunchHostFunc(
               builder.stream, [](void*) {}, nullptr),
           CUDA_ERROR_NOT_SUPPORTED);
  CHECK_LOGGED(log, "the body of a conditional node takes kernels");
  CUgraph ended = nullptr;
  CHECK_EQ(cuStreamEndCapture(builder.stream, &ended), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  CHECK(ended == nullptr);
  size_t count = 7;
  CHECK_OK(cuGraphGetNodes(body, nullptr, &count));
  CHECK_EQ(count, 0u);  // what the broken capture added is gone

  const CUevent event = new_event();
  CHECK_OK(cuStreamBeginCaptureToGraph(builder.stream, body, nullptr, nullptr, 0, kThreadLocal));
  CHECK_EQ(cuEventRecordWithFlags(event, builder.stream, CU_EVENT_RECORD_EXTERNAL),
           CUDA_ERROR_NOT_SUPPORTED);
  cuStreamEndCapture(builder.stream, &ended);
  CHECK_OK(cuEventDestroy_v2(event));
  CHECK_OK(cuGraphDestroy(builder.graph));
}

TEST(conditional_handles_and_nodes_are_checked) {
  const Fixture device;
  Builder builder(device), other(device);
  CUgraphConditionalHandle made = 0;
  const CUcontext context = device.context;
  CHECK_EQ(cuGraphConditionalHandleCreate(nullptr, builder.graph, context, 0, 0),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphConditionalHandleCreate(&made, builder.graph, context, 0, 2),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphConditionalHandleCreate(&made, builder.graph, context, 1, 0),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphConditionalHandleCreate(&made, builder.graph, nullptr, 0, 0),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphConditionalHandleCreate(&made, nullptr, context, 0, 0), CUDA_ERROR_INVALID_VALUE);
  const CUgraphConditionalHandle handle = builder.handle(1);
  const auto refused = [&](CUgraph graph, CUgraphNodeParams parameters, const char* words,
                           CUresult expected = CUDA_ERROR_INVALID_VALUE) {
    LogSince log;
    CUgraphNode node = nullptr;
    CHECK_EQ(cuGraphAddNode_v2(&node, graph, nullptr, nullptr, 0, &parameters), expected);
    CHECK_LOGGED(log, words);
  };
  const auto loop = [&](CUgraphConditionalHandle with, unsigned size = 1) {
    return Builder::parameters(context, with, CU_GRAPH_COND_TYPE_WHILE, size);
  };
  refused(builder.graph, loop(17), "is no conditional handle");
  refused(other.graph, loop(handle), "made for another graph");
  refused(builder.graph, loop(handle, 2), "2 bodies of a WHILE node");
  refused(builder.graph, loop(handle, 0), "0 bodies");
  refused(builder.graph, Builder::parameters(context, handle, CU_GRAPH_COND_TYPE_SWITCH, 3),
          "type 2", CUDA_ERROR_NOT_SUPPORTED);
  refused(builder.graph, Builder::parameters(nullptr, handle, CU_GRAPH_COND_TYPE_WHILE),
          "different contexts");
  CUgraphNodeParams dirty = loop(handle);
  dirty.reserved2 = 1;
  refused(builder.graph, dirty, "must be 0");
  CUgraphNodeParams kernel = loop(handle);
  kernel.type = CU_GRAPH_NODE_TYPE_KERNEL;
  refused(builder.graph, kernel, "only conditional nodes", CUDA_ERROR_NOT_SUPPORTED);
  LogSince log;
  CUgraphInstantiateParams instantiation{};
  CUgraphExec exec = nullptr;
  CHECK_EQ(cuGraphInstantiateWithParams(&exec, builder.graph, &instantiation),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(instantiation.result_out, CUDA_GRAPH_INSTANTIATE_CONDITIONAL_HANDLE_UNUSED);
  CHECK_LOGGED(log, "has no conditional node");
  const CUgraph body = *builder.add(builder.graph, handle, CU_GRAPH_COND_TYPE_WHILE);
  refused(builder.graph, loop(handle), "has a node already");
  CUgraphNode node = nullptr;
  CUgraphNodeParams second = loop(builder.handle());
  const CUgraphNode twice[] = {builder.last, builder.last};
  CHECK_EQ(cuGraphAddNode(&node, builder.graph, twice, 2, &second), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphAddNode(&node, body, twice, 1, &second), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphDestroy(body), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphInstantiateWithFlags(&exec, body, 0), CUDA_ERROR_INVALID_VALUE);
  for (const CUgraph graph : {builder.graph, other.graph}) CHECK_OK(cuGraphDestroy(graph));
}

TEST(conditional_graph_has_one_executable_and_is_no_child) {
  const Fixture device;
  Builder builder(device);
  const CUdeviceptr counter = allocate(4);
  const CUgraphConditionalHandle handle = builder.handle(1);
  const CUgraph body = *builder.add(builder.graph, handle, CU_GRAPH_COND_TYPE_WHILE);
  builder.after.clear();
  CHECK_OK(cuStreamBeginCaptureToGraph(builder.stream, body, nullptr, nullptr, 0, kThreadLocal));
  builder.instantiate(CUDA_ERROR_INVALID_VALUE);  // the capture goes on
  const CUstream other = new_stream();
  CHECK_EQ(cuStreamBeginCaptureToGraph(other, body, nullptr, nullptr, 0, kThreadLocal),
           CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuGraphDestroy(builder.graph), CUDA_ERROR_INVALID_VALUE);
  builder.count_down(counter, handle);
  CUgraph ended = nullptr;
  CHECK_OK(cuStreamEndCapture(builder.stream, &ended));
  const CUgraphExec exec = builder.instantiate();
  builder.instantiate(CUDA_ERROR_NOT_SUPPORTED);
  CHECK_OK(cuStreamBeginCapture_v2(builder.stream, kThreadLocal));
  CHECK_EQ(cuGraphLaunch(exec, builder.stream), CUDA_ERROR_NOT_SUPPORTED);
  CHECK_OK(cuStreamEndCapture(builder.stream, &ended));
  CHECK_OK(cuGraphDestroy(ended));
  CUgraphExecUpdateResultInfo info{};
  CHECK_EQ(cuGraphExecUpdate_v2(exec, builder.graph, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  CHECK_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED);
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphExecDestroy(builder.instantiate()));
  CHECK_OK(cuGraphDestroy(builder.graph));
}

TEST(conditional_that_nothing_set_and_a_stray_handle_fail_the_launch) {
  for (const bool stray : {false, true}) {
    const Fixture device;
    Builder builder(device);
    const CUdeviceptr word = allocate(4);
    set_int(word, 0);
    const CUgraphConditionalHandle handle = builder.handle(0, 0);
    builder.add(builder.graph, handle, CU_GRAPH_COND_TYPE_WHILE);
    const CUgraphExec exec = builder.instantiate();
    LogSince log;
    if (stray) {
      builder.set_from(word, handle);  // outside of the graph
    } else {
      CHECK_OK(cuGraphLaunch(exec, builder.stream));
    }
    CHECK_EQ(cuStreamSynchronize(builder.stream), CUDA_ERROR_LAUNCH_FAILED);
    CHECK_LOGGED(log, stray ? "whose graph does not run" : "WHILE node: nothing has set");
    CHECK_OK(cuGraphExecDestroy(exec));
    CHECK_OK(cuGraphDestroy(builder.graph));
  }
}

TEST(conditional_failure_in_a_body_ends_the_loop) {
  const Fixture device;
  Builder builder(device);
  const CUgraphConditionalHandle handle = builder.handle(1);
  const CUgraph body = *builder.add(builder.graph, handle, CU_GRAPH_COND_TYPE_WHILE);
  builder.after.clear();
  const int code = 8;
  builder.capture(body,
                  [&] { CHECK_OK(device.launch(builder.stream, "fail", &code, sizeof code)); });
  const CUgraphExec exec = builder.instantiate();
  LogSince log;
  CHECK_OK(cuGraphLaunch(exec, builder.stream));
  CHECK_EQ(cuStreamSynchronize(builder.stream), CUDA_ERROR_LAUNCH_FAILED);
  CHECK_LOGGED(log, "WHILE node: node 0, kernel fail");
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(builder.graph));
}

TEST(conditional_bodies_keep_and_check_their_memory) {
  const Fixture device;
  Builder builder(device);
  const CUdeviceptr x = allocate(64), counter = allocate(4);
  const CUgraphConditionalHandle handle = builder.handle(1);
  const CUgraph body = *builder.add(builder.graph, handle, CU_GRAPH_COND_TYPE_WHILE);
  builder.after.clear();
  builder.capture(body, [&] {
    CHECK_OK(device.fill(builder.stream, x, 1, 16));
    builder.count_down(counter, handle);
  });
  const CUgraphExec exec = builder.instantiate();
  CHECK_OK(cuMemFree_v2(x));
  CHECK_EQ(cuGraphLaunch(exec, builder.stream), CUDA_ERROR_INVALID_VALUE);
  CHECK_OK(cuGraphExecDestroy(exec));
  CHECK_OK(cuGraphDestroy(builder.graph));
}
