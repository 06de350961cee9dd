// Conditional nodes, and captures that fill the graphs of their bodies.
#include <algorithm>
#include <cstring>

#include "call.h"
#include "capture.h"
#include "device_api.h"
#include "objects.h"

using namespace remask;

namespace {

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

CUresult find_graph(CUgraph handle, std::shared_ptr<Graph>* graph) {
  *graph = tables().graphs.find(handle);
  if (*graph) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_VALUE, "%p is no live graph", static_cast<void*>(handle));
}

// The graph's nodes that the client names, ascending. With capture_mutex() held.
CUresult find_dependencies(const Graph& graph, const CUgraphNode* dependencies,
                           const CUgraphEdgeData* edges, size_t count,
                           std::vector<uint32_t>* indices) {
  if (count > 0 && !dependencies) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%zu dependencies at null", count);
  }
  for (size_t i = 0; i < count; ++i) {
    static const CUgraphEdgeData kPlain = {};
    if (edges && std::memcmp(&edges[i], &kPlain, sizeof kPlain) != 0) {
      return refuse(CUDA_ERROR_NOT_SUPPORTED, "edge %zu is none of full completion", i);
    }
    const auto at = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const auto& node) {
      return node->handle && node->handle == dependencies[i];
    });
    if (at == graph.nodes.end()) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "dependency %zu, %p, is no node of the graph", i,
                    static_cast<void*>(dependencies[i]));
    }
    const auto index = static_cast<uint32_t>(at - graph.nodes.begin());
    if (std::count(indices->begin(), indices->end(), index) > 0) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "dependency %zu is there twice", i);
    }
    indices->push_back(index);
  }
  std::sort(indices->begin(), indices->end());
  return CUDA_SUCCESS;
}

CUresult create_handle(CUgraphConditionalHandle* handle, CUgraph graph_handle,
                       CUcontext context_handle, unsigned default_value, unsigned flags) {
  if (!handle) return null_argument();
  if ((flags & ~CU_GRAPH_COND_ASSIGN_DEFAULT) != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "flags 0x%x of a conditional handle do not exist",
                  flags);
  }
  if (!(flags & CU_GRAPH_COND_ASSIGN_DEFAULT) && default_value != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "a default of %u without CU_GRAPH_COND_ASSIGN_DEFAULT, which applies it",
                  default_value);
  }
  if (!tables().contexts.find(context_handle)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%p is no live context",
                  static_cast<void*>(context_handle));
  }
  std::shared_ptr<Graph> graph;
  const CUresult found = find_graph(graph_handle, &graph);
  if (found != CUDA_SUCCESS) return found;
  std::lock_guard<std::mutex> lock(capture_mutex());
  graph->conditions.push_back(make_condition(*graph, context_handle, default_value,
                                             (flags & CU_GRAPH_COND_ASSIGN_DEFAULT) != 0));
  *handle = graph->conditions.back()->handle;
  return CUDA_SUCCESS;
}

// Whether `graph` or one that it lies in is the one that the condition was made for.
bool may_use(std::shared_ptr<const Graph> graph, const Condition& condition) {
  for (; graph; graph = graph->parent.lock()) {
    if (graph.get() == condition.graph) return true;
  }
  return false;
}

CUresult check_unused_bytes(const CUgraphNodeParams& parameters) {
  static const char kZeros[sizeof parameters] = {};
  const char* const rest = reinterpret_cast<const char*>(&parameters.conditional + 1);
  const size_t rest_bytes = reinterpret_cast<const char*>(&parameters + 1) - rest;
  if (std::memcmp(parameters.reserved0, kZeros, sizeof parameters.reserved0) == 0 &&
      std::memcmp(rest, kZeros, rest_bytes) == 0) {
    return CUDA_SUCCESS;
  }
  return refuse(CUDA_ERROR_INVALID_VALUE,
                "bytes of the node's parameters that are unused must be 0");
}

// With capture_mutex() held.
CUresult check_conditional(const std::shared_ptr<Graph>& graph,
                           const CUDA_CONDITIONAL_NODE_PARAMS& parameters,
                           const std::shared_ptr<Condition>& condition) {
  if (!condition) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "0x%llx is no conditional handle",
                  static_cast<unsigned long long>(parameters.handle));
  }
  if (!may_use(graph, *condition)) {
    return refuse(
        CUDA_ERROR_INVALID_VALUE,
        "the conditional handle was made for another graph, which this one is no part of");
  }
  if (condition->has_node) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "the conditional handle has a node already");
  }
  if (parameters.ctx != condition->context) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "node and handle name different contexts");
  }
  const bool is_if = parameters.type == CU_GRAPH_COND_TYPE_IF;
  if (!is_if && parameters.type != CU_GRAPH_COND_TYPE_WHILE) {
    return refuse(parameters.type == CU_GRAPH_COND_TYPE_SWITCH ? CUDA_ERROR_NOT_SUPPORTED
                                                               : CUDA_ERROR_INVALID_VALUE,
                  "conditional nodes of type %d", parameters.type);
  }
  if (parameters.size != 1 && !(is_if && parameters.size == 2)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%u bodies of %s node", parameters.size,
                  is_if ? "an IF" : "a WHILE");
  }
  return CUDA_SUCCESS;
}

CUresult add_node(CUgraphNode* node_handle, CUgraph graph_handle, const CUgraphNode* dependencies,
                  const CUgraphEdgeData* edges, size_t count, CUgraphNodeParams* parameters) {
  if (!node_handle || !parameters) return null_argument();
  std::shared_ptr<Graph> graph;
  CUresult checked = find_graph(graph_handle, &graph);
  if (checked != CUDA_SUCCESS) return checked;
  if (parameters->type != CU_GRAPH_NODE_TYPE_CONDITIONAL) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED,
                  "nodes of type %d are added by capture; only conditional nodes are by name",
                  parameters->type);
  }
  checked = check_unused_bytes(*parameters);
  if (checked != CUDA_SUCCESS) return checked;
  std::lock_guard<std::mutex> lock(capture_mutex());
  CUDA_CONDITIONAL_NODE_PARAMS& wanted = parameters->conditional;
  const auto condition = find_condition(wanted.handle);
  checked = check_conditional(graph, wanted, condition);
  auto node = std::make_shared<GraphNode>();
  if (checked == CUDA_SUCCESS) {
    checked = find_dependencies(*graph, dependencies, edges, count, &node->dependencies);
  }
  if (checked != CUDA_SUCCESS) return checked;
  auto conditional = std::make_shared<Conditional>();
  conditional->condition = condition;
  conditional->type = wanted.type;
  for (unsigned i = 0; i < wanted.size; ++i) {
    auto body = std::make_shared<Graph>();
    body->is_body = true;
    body->parent = graph;
    conditional->handles.push_back(tables().graphs.add(body));
    conditional->bodies.push_back(std::move(body));
  }
  wanted.phGraph_out = conditional->handles.data();
  node->context = wanted.ctx;
  node->conditional = std::move(conditional);
  condition->has_node = true;
  *node_handle = tables().nodes.add(node);
  graph->nodes.push_back(std::move(node));
  return CUDA_SUCCESS;
}

}  // namespace

CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle* handle, CUgraph graph,
                                        CUcontext context, unsigned default_value, unsigned flags) {
  static Call call("cuGraphConditionalHandleCreate");
  return call.initialised(
      [&] { return create_handle(handle, graph, context, default_value, flags); });
}

CUresult cuGraphAddNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                        size_t count, CUgraphNodeParams* parameters) {
  static Call call("cuGraphAddNode");
  return call.initialised(
      [&] { return add_node(node, graph, dependencies, nullptr, count, parameters); });
}

CUresult cuGraphAddNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                           const CUgraphEdgeData* edges, size_t count,
                           CUgraphNodeParams* parameters) {
  static Call call("cuGraphAddNode_v2");
  return call.initialised(
      [&] { return add_node(node, graph, dependencies, edges, count, parameters); });
}

CUresult cuStreamBeginCaptureToGraph(CUstream handle, CUgraph graph_handle,
                                     const CUgraphNode* dependencies, const CUgraphEdgeData* edges,
                                     size_t count, CUstreamCaptureMode mode) {
  static Call call("cuStreamBeginCaptureToGraph");
  return call.in_context([&](Context& context) -> CUresult {
    std::shared_ptr<Graph> graph;
    const CUresult found = find_graph(graph_handle, &graph);
    if (found != CUDA_SUCCESS) return found;
    const auto stream = find_stream(context, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    std::vector<uint32_t> indices;
    {
      std::lock_guard<std::mutex> lock(capture_mutex());
      const CUresult known = find_dependencies(*graph, dependencies, edges, count, &indices);
      if (known != CUDA_SUCCESS) return known;
    }
    return begin_capture(*stream, mode, std::move(graph), std::move(indices));
  });
}
