// Graphs: instantiation, launch, update.
#include <cstring>

#include "call.h"
#include "capture.h"
#include "device_api.h"
#include "objects.h"
#include "settings.h"

using namespace remask;

namespace {

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

CUresult find_graph(CUgraph handle, std::shared_ptr<Graph>* graph) {
  *graph = tables().graphs.find(handle);
  if (*graph) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_VALUE, "%p is no live graph", static_cast<void*>(handle));
}

CUresult find_exec(CUgraphExec handle, std::shared_ptr<GraphExec>* exec) {
  *exec = tables().execs.find(handle);
  if (*exec) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_VALUE, "%p is no live executable graph",
                static_cast<void*>(handle));
}

// Freed memory would be read and written all the same, because the graph holds it: a client that
// asked for strictness is told.
CUresult check_memory(const Program& program) {
  const Allocation* freed = settings().strict ? program.first_freed() : nullptr;
  if (!freed) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_VALUE,
                "the graph uses %zu bytes at 0x%llx that were freed after its capture",
                freed->bytes, static_cast<unsigned long long>(freed->address));
}

// Everything in the bodies works in the conditional node's context.
CUresult check_bodies(const Graph& graph) {
  for (const auto& node : graph.nodes) {
    if (!node->conditional) continue;
    for (const auto& body : node->conditional->bodies) {
      for (const auto& inner : body->nodes) {
        if (inner->context != node->context) {
          return refuse(CUDA_ERROR_INVALID_VALUE,
                        "the body of a conditional node works in another context than the node");
        }
      }
      const CUresult checked = check_bodies(*body);
      if (checked != CUDA_SUCCESS) return checked;
    }
  }
  return CUDA_SUCCESS;
}

CUresult check_handles_used(const Graph& graph) {
  for (const auto& condition : graph.conditions) {
    if (!condition->has_node) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "conditional handle 0x%llx has no conditional node",
                    static_cast<unsigned long long>(condition->handle));
    }
  }
  for (const auto& node : graph.nodes) {
    if (!node->conditional) continue;
    for (const auto& body : node->conditional->bodies) {
      const CUresult checked = check_handles_used(*body);
      if (checked != CUDA_SUCCESS) return checked;
    }
  }
  return CUDA_SUCCESS;
}

// What makes the graph one that cannot be instantiated now. With capture_mutex() held.
CUresult check_structure(const Graph& graph, CUgraphInstantiateResult* why) {
  *why = CUDA_GRAPH_INSTANTIATE_ERROR;
  if (graph.is_body) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "this is the body of a conditional node, which runs with the node's graph only");
  }
  if (is_captured_into(graph)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "a capture into the graph has not ended");
  }
  if (!graph.instantiation.expired()) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED,
                  "a graph with conditional nodes has one executable at a time; destroy it first");
  }
  const CUresult used = check_handles_used(graph);
  if (used != CUDA_SUCCESS) {
    *why = CUDA_GRAPH_INSTANTIATE_CONDITIONAL_HANDLE_UNUSED;
    return used;
  }
  return check_bodies(graph);
}

CUresult instantiate(CUgraphExec* exec, CUgraph handle, CUgraphInstantiateResult* why = nullptr) {
  CUgraphInstantiateResult ignored;
  if (!why) why = &ignored;
  *why = CUDA_GRAPH_INSTANTIATE_ERROR;
  if (!exec) return null_argument();
  std::shared_ptr<Graph> graph;
  const CUresult found = find_graph(handle, &graph);
  if (found != CUDA_SUCCESS) return found;
  auto made = std::make_shared<GraphExec>();
  std::shared_ptr<Program> program;
  {
    std::lock_guard<std::mutex> lock(capture_mutex());
    const CUresult sound = check_structure(*graph, why);
    if (sound != CUDA_SUCCESS) return sound;
    program = std::make_shared<Program>(*graph);
    if (program->has_conditions()) {
      made->instantiation = std::make_shared<int>(0);
      graph->instantiation = made->instantiation;
    }
  }
  const uint64_t epoch = AddressSpace::instance().epoch();
  const CUresult checked = check_memory(*program);
  if (checked != CUDA_SUCCESS) return checked;
  made->program = std::move(program);
  made->checked_epoch = epoch;
  *exec = tables().execs.add(made);
  *why = CUDA_GRAPH_INSTANTIATE_SUCCESS;
  return CUDA_SUCCESS;
}

CUresult instantiate_with_log(CUgraphExec* exec, CUgraph graph, CUgraphNode* error_node, char* log,
                              size_t log_bytes) {
  if (error_node) *error_node = nullptr;
  if (log && log_bytes > 0) log[0] = 0;
  return instantiate(exec, graph);
}

CUresult check_flags(unsigned long long flags) {
  // AUTO_FREE_ON_LAUNCH, UPLOAD, USE_NODE_PRIORITY change nothing here; DEVICE_LAUNCH (4) would.
  if ((flags & ~0xfull) == 0 && !(flags & 4)) return CUDA_SUCCESS;
  return refuse(flags & 4 ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE,
                "instantiation flags 0x%llx", flags);
}

CUresult launch(Context& context, CUgraphExec handle, CUstream stream_handle) {
  std::shared_ptr<GraphExec> exec;
  const CUresult found = find_exec(handle, &exec);
  if (found != CUDA_SUCCESS) return found;
  const auto stream = find_stream(context, stream_handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  std::lock_guard<std::mutex> lock(exec->mutex);
  if (stream->capturing && exec->program->has_conditions()) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED,
                  "a graph with conditional nodes cannot be a child of another graph");
  }
  const uint64_t epoch = AddressSpace::instance().epoch();
  if (epoch != exec->checked_epoch) {
    const CUresult checked = check_memory(*exec->program);
    if (checked != CUDA_SUCCESS) return checked;
    exec->checked_epoch = epoch;
  }
  // Launches of one exec follow one another even in different streams.
  std::vector<Marker> after;
  if (exec->last.progress && exec->last.progress != stream->worker->progress()) {
    after.push_back(exec->last);
  }
  Marker launched;
  const CUresult result = submit(*stream, exec->program, &launched, std::move(after));
  if (result == CUDA_SUCCESS && launched.progress) exec->last = std::move(launched);
  return result;
}

CUresult update(CUgraphExec exec_handle, CUgraph graph_handle, CUgraphExecUpdateResultInfo* info) {
  *info = {CU_GRAPH_EXEC_UPDATE_ERROR, nullptr, nullptr};
  std::shared_ptr<GraphExec> exec;
  std::shared_ptr<Graph> graph;
  CUresult checked = find_exec(exec_handle, &exec);
  if (checked == CUDA_SUCCESS) checked = find_graph(graph_handle, &graph);
  if (checked != CUDA_SUCCESS) return checked;
  std::shared_ptr<Program> program;
  {
    std::lock_guard<std::mutex> lock(capture_mutex());
    program = std::make_shared<Program>(*graph);
  }
  checked = check_memory(*program);
  if (checked != CUDA_SUCCESS) return checked;
  std::lock_guard<std::mutex> lock(exec->mutex);
  size_t node = 0;
  info->result = program->compare(*exec->program, &node);
  if (info->result == CU_GRAPH_EXEC_UPDATE_SUCCESS) {
    // Launches that are queued keep the old program.
    exec->program = std::move(program);
    exec->checked_epoch = 0;
    return CUDA_SUCCESS;
  }
  if (node < graph->nodes.size()) info->errorNode = graph->nodes[node]->handle;
  return refuse(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "%s, at node %zu",
                info->result == CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED
                    ? "a node changed its type"
                : info->result == CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED
                    ? "conditional nodes cannot be updated"
                    : "number or dependencies of the nodes changed",
                node);
}

}  // namespace

CUresult cuGraphCreate(CUgraph* graph, unsigned flags) {
  static Call call("cuGraphCreate");
  return call.initialised([&]() -> CUresult {
    if (!graph) return null_argument();
    if (flags != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "flags must be 0");
    *graph = tables().graphs.add(std::make_shared<Graph>());
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphDestroy(CUgraph handle) {
  static Call call("cuGraphDestroy");
  return call.initialised([&]() -> CUresult {
    std::shared_ptr<Graph> graph;
    const CUresult found = find_graph(handle, &graph);
    if (found != CUDA_SUCCESS) return found;
    std::lock_guard<std::mutex> lock(capture_mutex());
    if (graph->is_body) {
      return refuse(CUDA_ERROR_INVALID_VALUE,
                    "this is the body of a conditional node, which goes with the node's graph");
    }
    if (is_captured_into(*graph)) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "a capture into the graph has not ended");
    }
    if (tables().graphs.remove(handle)) graph->forget_handles();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode* nodes, size_t* count) {
  static Call call("cuGraphGetNodes");
  return call.initialised([&]() -> CUresult {
    if (!count) return null_argument();
    std::shared_ptr<Graph> graph;
    const CUresult found = find_graph(handle, &graph);
    if (found != CUDA_SUCCESS) return found;
    std::lock_guard<std::mutex> lock(capture_mutex());
    if (!nodes) {
      *count = graph->nodes.size();
      return CUDA_SUCCESS;
    }
    for (size_t i = 0; i < *count; ++i) {
      nodes[i] = i < graph->nodes.size() ? graph->nodes[i]->handle : nullptr;
    }
    *count = std::min(*count, graph->nodes.size());
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType* type) {
  static Call call("cuGraphNodeGetType");
  return call.initialised([&]() -> CUresult {
    if (!type) return null_argument();
    const auto node = tables().nodes.find(handle);
    if (!node) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "%p is no live node", static_cast<void*>(handle));
    }
    *type = node->type();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, CUgraphNode* error_node, char* log,
                            size_t log_bytes) {
  static Call call("cuGraphInstantiate");
  return call.in_context(
      [&](Context&) { return instantiate_with_log(exec, graph, error_node, log, log_bytes); });
}

CUresult cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode* error_node, char* log,
                               size_t log_bytes) {
  static Call call("cuGraphInstantiate_v2");
  return call.in_context(
      [&](Context&) { return instantiate_with_log(exec, graph, error_node, log, log_bytes); });
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  static Call call("cuGraphInstantiateWithFlags");
  return call.in_context([&](Context&) -> CUresult {
    const CUresult checked = check_flags(flags);
    return checked == CUDA_SUCCESS ? instantiate(exec, graph) : checked;
  });
}

CUresult cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                      CUgraphInstantiateParams* parameters) {
  static Call call("cuGraphInstantiateWithParams");
  return call.in_context([&](Context&) -> CUresult {
    if (!parameters) return null_argument();
    parameters->hErrNode_out = nullptr;
    CUresult result = check_flags(parameters->flags);
    parameters->result_out = CUDA_GRAPH_INSTANTIATE_ERROR;
    if (result == CUDA_SUCCESS) result = instantiate(exec, graph, &parameters->result_out);
    return result;
  });
}

CUresult cuGraphUpload(CUgraphExec handle, CUstream stream) {
  static Call call("cuGraphUpload");
  return call.in_context([&](Context& context) -> CUresult {
    std::shared_ptr<GraphExec> exec;
    const CUresult found = find_exec(handle, &exec);
    if (found != CUDA_SUCCESS) return found;
    return find_stream(context, stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  static Call call("cuGraphLaunch");
  return call.in_context([&](Context& context) { return launch(context, exec, stream); });
}

CUresult cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphNode* error_node,
                           CUgraphExecUpdateResult* result) {
  static Call call("cuGraphExecUpdate");
  return call.in_context([&](Context&) {
    CUgraphExecUpdateResultInfo info;
    const CUresult updated = update(exec, graph, &info);
    if (error_node) *error_node = info.errorNode;
    if (result) *result = info.result;
    return updated;
  });
}

CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo* info) {
  static Call call("cuGraphExecUpdate_v2");
  return call.in_context([&](Context&) -> CUresult {
    if (!info) return null_argument();
    return update(exec, graph, info);
  });
}

CUresult cuGraphExecDestroy(CUgraphExec handle) {
  static Call call("cuGraphExecDestroy");
  return call.initialised([&]() -> CUresult {
    // Queued launches hold the program; CUDA allows this.
    if (tables().execs.remove(handle)) return CUDA_SUCCESS;
    return refuse(CUDA_ERROR_INVALID_VALUE, "%p is no live executable graph",
                  static_cast<void*>(handle));
  });
}
