// Graphs: what a capture recorded, and the list of operations that a launch replays.
#ifndef REMASK_DRIVER_GRAPH_H_
#define REMASK_DRIVER_GRAPH_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_types.h"
#include "stream_worker.h"

namespace remask {

struct GraphNode {
  CUgraphNode handle = nullptr;
  std::shared_ptr<const Operation> operation;
  std::vector<uint32_t> dependencies;  // indices of earlier nodes, ascending
};

// Nodes in the order they were captured, which respects their dependencies.
struct Graph {
  ~Graph();  // makes its nodes' handles unknown, those of a capture that broke, too

  CUgraph handle = nullptr;
  std::vector<std::shared_ptr<GraphNode>> nodes;
};

// An instantiated graph's work: itself one operation, so that a launch allocates nothing.
class Program final : public Operation {
 public:
  explicit Program(const Graph& graph);
  CUresult run(std::string* reason) const override;
  std::string describe() const override;

  // Why this program cannot take the place of `old`; SUCCESS when it can. `node` is the culprit.
  CUgraphExecUpdateResult compare(const Program& old, size_t* node) const;
  // The first allocation that was freed since, or null.
  const Allocation* first_freed() const;

 private:
  std::vector<std::shared_ptr<const Operation>> operations_;
  std::vector<std::vector<uint32_t>> dependencies_;
};

struct GraphExec {
  CUgraphExec handle = nullptr;
  std::mutex mutex;  // of the rest
  std::shared_ptr<const Program> program;
  uint64_t checked_epoch = 0;  // of the address space, when the program's memory was last seen live
  Marker last;                 // a launch runs after earlier launches of the same exec
};

}  // namespace remask

#endif  // REMASK_DRIVER_GRAPH_H_
