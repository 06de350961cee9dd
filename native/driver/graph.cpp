#include "graph.h"

#include <algorithm>

#include "objects.h"

namespace remask {

Graph::~Graph() {
  for (const auto& node : nodes) {
    if (node->handle) tables().nodes.remove(node->handle);
  }
}

Program::Program(const Graph& graph) : Operation(CU_GRAPH_NODE_TYPE_GRAPH) {
  for (const auto& node : graph.nodes) {
    operations_.push_back(node->operation);
    dependencies_.push_back(node->dependencies);
    const MemoryUse& used = node->operation->memory();
    memory_.insert(memory_.end(), used.begin(), used.end());
  }
  std::sort(memory_.begin(), memory_.end());
  memory_.erase(std::unique(memory_.begin(), memory_.end()), memory_.end());
}

CUresult Program::run(std::string* reason) const {
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
