// Conditional nodes of graphs: bodies that run while, or if, a variable is not 0, which kernels set
// (cudaGraphSetConditional) under its handle.
#ifndef REMASK_DRIVER_CONDITIONAL_H_
#define REMASK_DRIVER_CONDITIONAL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "operation.h"

namespace remask {

struct Graph;
class Program;

// The variable behind a CUgraphConditionalHandle.
struct Condition {
  Condition(const Graph* owner, CUcontext its_context, unsigned value_at_launch, bool assigned);
  ~Condition();  // its handle is unknown from then on
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  const CUgraphConditionalHandle handle;
  const Graph* const graph;  // that it was made for; an identity, never followed
  const CUcontext context;
  const unsigned default_value;
  const bool assigns_default;  // at each launch; otherwise it has no value before a kernel sets it
  bool has_node = false;       // guarded by capture_mutex()

  std::atomic<unsigned> value{0};
  std::atomic<bool> is_set{false};
  std::atomic<int> running{0};  // launches of its graph under way
};

std::shared_ptr<Condition> make_condition(const Graph& graph, CUcontext context,
                                          unsigned default_value, bool assigns_default);
// Null for a handle that is none.
std::shared_ptr<Condition> find_condition(CUgraphConditionalHandle handle);
// What kernels call: a RemaskSetCondition.
int set_condition(unsigned long long handle, unsigned value);

// What a conditional node is made of. The bodies are filled by captures after it was added.
struct Conditional {
  std::shared_ptr<Condition> condition;
  CUgraphConditionalNodeType type;
  std::vector<std::shared_ptr<Graph>> bodies;
  std::vector<CUgraph> handles;  // of the bodies: what the client's phGraph_out points to
};

// The conditions of a graph have their values at launch, and may be set, while this lives.
class RunningConditions {
 public:
  explicit RunningConditions(const std::vector<std::shared_ptr<Condition>>& conditions);
  ~RunningConditions();
  RunningConditions(const RunningConditions&) = delete;
  RunningConditions& operator=(const RunningConditions&) = delete;

 private:
  const std::vector<std::shared_ptr<Condition>>& conditions_;
};

// A conditional node of an executable graph, its bodies as they were when that was made.
class ConditionalOperation final : public Operation {
 public:
  // Adds the conditions of nested nodes to `conditions`.
  ConditionalOperation(const Conditional& node,
                       std::vector<std::shared_ptr<Condition>>* conditions);
  CUresult run(std::string* reason) const override;
  std::string describe() const override;

 private:
  // Whether the variable has a value, which it must when strict; INVALID_VALUE otherwise.
  CUresult read(unsigned* value, std::string* reason) const;

  std::shared_ptr<Condition> condition_;
  CUgraphConditionalNodeType type_;
  std::vector<std::shared_ptr<const Program>> bodies_;
};

}  // namespace remask

#endif  // REMASK_DRIVER_CONDITIONAL_H_
