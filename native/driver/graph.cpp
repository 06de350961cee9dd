#include "graph.h"

#include <algorithm>

#include "objects.h"

namespace remask {

Graph::~Graph() {
  for (const auto& node : nodes) {
    if (node->handle) tables().nodes.remove(node->handle);
  }
}

void Graph::drop_nodes_from(size_t first) {
  for (size_t i = first; i < nodes.size(); ++i) {
    if (nodes[i]->handle) tables().nodes.remove(nodes[i]->handle);
  }
  nodes.resize(std::min(first, nodes.size()));
}

void Graph::forget_handles() const {
  for (const auto& node : nodes) {
    if (node->handle) tables().nodes.remove(node->handle);
    if (!node->conditional) continue;
    for (const auto& body : node->conditional->bodies) {
      tables().graphs.remove(body->handle);
      body->forget_handles();
    }
  }
}

Program::Program(const Graph& graph, std::vector<std::shared_ptr<Condition>>* conditions)
    : Operation(CU_GRAPH_NODE_TYPE_GRAPH) {
  if (!conditions) conditions = &conditions_;
  for (const auto& node : graph.nodes) {
    auto operation = node->operation;
    if (node->conditional) {
      conditions->push_back(node->conditional->condition);
      operation = std::make_shared<ConditionalOperation>(*node->conditional, conditions);
    }
    dependencies_.push_back(node->dependencies);
    const MemoryUse& used = operation->memory();
    memory_.insert(memory_.end(), used.begin(), used.end());
    operations_.push_back(std::move(operation));
  }
  std::sort(memory_.begin(), memory_.end());
  memory_.erase(std::unique(memory_.begin(), memory_.end()), memory_.end());
}

CUresult Program::run(std::string* reason) const {
  const RunningConditions running(conditions_);
  for (size_t i = 0; i < operations_.size(); ++i) {
    const CUresult result = operations_[i]->run(reason);
    if (result != CUDA_SUCCESS) {
      *reason = "node " + std::to_string(i) + ", " + operations_[i]->describe() + ": " + *reason;
      return result;
    }
  }
  return CUDA_SUCCESS;
}

std::string Program::describe() const {
  return "graph of " + std::to_string(operations_.size()) + " nodes";
}

CUgraphExecUpdateResult Program::compare(const Program& old, size_t* node) const {
  *node = 0;
  if (operations_.size() != old.operations_.size()) {
    return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
  }
  for (size_t i = 0; i < operations_.size(); ++i) {
    *node = i;
    if (dependencies_[i] != old.dependencies_[i]) {
      return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    }
    if (operations_[i]->kind() != old.operations_[i]->kind()) {
      return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
    }
    if (operations_[i]->kind() == CU_GRAPH_NODE_TYPE_CONDITIONAL) {
      return CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED;
    }
  }
  return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

const Allocation* Program::first_freed() const {
  for (const auto& allocation : memory_) {
    if (!allocation->live.load(std::memory_order_acquire)) return allocation.get();
  }
  return nullptr;
}

}  // namespace remask
