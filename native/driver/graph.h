// Graphs: what a capture recorded, and the list of operations that a launch replays.
#ifndef REMASK_DRIVER_GRAPH_H_
#define REMASK_DRIVER_GRAPH_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "conditional.h"
#include "cuda_types.h"
#include "stream_worker.h"

namespace remask {

struct GraphNode {
  CUgraphNode handle = nullptr;
  std::shared_ptr<const Operation> operation;  // null: a conditional node
  std::vector<uint32_t> dependencies;          // indices of earlier nodes, ascending
  CUcontext context = nullptr;                 // in which it works
  std::shared_ptr<const Conditional> conditional;

  CUgraphNodeType type() const {
    return conditional ? CU_GRAPH_NODE_TYPE_CONDITIONAL : operation->kind();
  }
};

// Nodes in the order they were captured or added, which respects their dependencies. Guarded by
// capture_mutex() from when it has a handle.
struct Graph {
  ~Graph();  // makes its nodes' handles unknown, those of a capture that broke, too

  CUgraph handle = nullptr;
  std::vector<std::shared_ptr<GraphNode>> nodes;
  std::vector<std::shared_ptr<Condition>> conditions;  // whose handles were made for it
  bool is_body = false;                                // of a conditional node
  std::weak_ptr<Graph> parent;                         // that holds this node
  std::weak_ptr<const void> instantiation;             // the last; see GraphExec

  void drop_nodes_from(size_t first);
  // Removes the handles of what it owns, bodies included, from the tables.
  void forget_handles() const;
};

// An instantiated graph's work: itself one operation, so that a launch allocates nothing.
class Program final : public Operation {
 public:
  // conditions: takes those of the program of a conditional node's body; null: this one keeps them.
  explicit Program(const Graph& graph,
                   std::vector<std::shared_ptr<Condition>>* conditions = nullptr);
  CUresult run(std::string* reason) const override;
  std::string describe() const override;
  bool has_conditions() const { return !conditions_.empty(); }

  // Why this program cannot take the place of `old`; SUCCESS when it can. `node` is the culprit.
  CUgraphExecUpdateResult compare(const Program& old, size_t* node) const;
  // The first allocation that was freed since, or null.
  const Allocation* first_freed() const;

 private:
  std::vector<std::shared_ptr<const Operation>> operations_;
  std::vector<std::vector<uint32_t>> dependencies_;
  std::vector<std::shared_ptr<Condition>> conditions_;  // of all its conditional nodes, nested too
};

struct GraphExec {
  CUgraphExec handle = nullptr;
  std::mutex mutex;  // of the rest
  std::shared_ptr<const Program> program;
  // Of a graph with conditional nodes there may be one executable at a time: while this lives.
  std::shared_ptr<const void> instantiation;
  uint64_t checked_epoch = 0;  // of the address space, when the program's memory was last seen live
  Marker last;                 // a launch runs after earlier launches of the same exec
};

}  // namespace remask

#endif  // REMASK_DRIVER_GRAPH_H_
