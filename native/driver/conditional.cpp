#include "conditional.h"

#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "graph.h"
#include "handles.h"
#include "settings.h"

namespace remask {
namespace {

// Conditions live as long as a graph or an executable that uses them: the registry holds none.
struct Registry {
  std::shared_mutex mutex;
  std::unordered_map<uint64_t, std::weak_ptr<Condition>> conditions;
};

Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

}  // namespace

Condition::Condition(const Graph* owner, CUcontext its_context, unsigned value_at_launch,
                     bool assigned)
    : handle(next_handle()),
      graph(owner),
      context(its_context),
      default_value(value_at_launch),
      assigns_default(assigned) {}

Condition::~Condition() {
  std::unique_lock<std::shared_mutex> lock(registry().mutex);
  registry().conditions.erase(handle);
}

std::shared_ptr<Condition> make_condition(const Graph& graph, CUcontext context,
                                          unsigned default_value, bool assigns_default) {
  auto made = std::make_shared<Condition>(&graph, context, default_value, assigns_default);
  std::unique_lock<std::shared_mutex> lock(registry().mutex);
  registry().conditions[made->handle] = made;
  return made;
}

std::shared_ptr<Condition> find_condition(CUgraphConditionalHandle handle) {
  std::shared_lock<std::shared_mutex> lock(registry().mutex);
  const auto found = registry().conditions.find(handle);
  return found == registry().conditions.end() ? nullptr : found->second.lock();
}

int set_condition(unsigned long long handle, unsigned value) {
  const auto condition = find_condition(handle);
  if (!condition || condition->running == 0) return 0;
  condition->value = value;
  condition->is_set = true;
  return 1;
}

RunningConditions::RunningConditions(const std::vector<std::shared_ptr<Condition>>& conditions)
    : conditions_(conditions) {
  for (const auto& condition : conditions_) {
    condition->value = condition->default_value;
    condition->is_set = condition->assigns_default;
    ++condition->running;
  }
}

RunningConditions::~RunningConditions() {
  for (const auto& condition : conditions_) --condition->running;
}

ConditionalOperation::ConditionalOperation(const Conditional& node,
                                           std::vector<std::shared_ptr<Condition>>* conditions)
    : Operation(CU_GRAPH_NODE_TYPE_CONDITIONAL), condition_(node.condition), type_(node.type) {
  for (const auto& body : node.bodies) {
    bodies_.push_back(std::make_shared<Program>(*body, conditions));
    const MemoryUse& used = bodies_.back()->memory();
    memory_.insert(memory_.end(), used.begin(), used.end());
  }
}

CUresult ConditionalOperation::read(unsigned* value, std::string* reason) const {
  *value = condition_->is_set ? condition_->value.load() : 0;
  if (condition_->is_set || !settings().strict) return CUDA_SUCCESS;
  // On a card it would have any value, perhaps that of an earlier launch.
  *reason = "nothing has set its condition in this launch, and it has no default";
  return CUDA_ERROR_LAUNCH_FAILED;
}

CUresult ConditionalOperation::run(std::string* reason) const {
  unsigned value = 0;
  CUresult result = read(&value, reason);
  if (type_ == CU_GRAPH_COND_TYPE_IF) {
    const size_t body = value != 0 ? 0 : 1;
    if (result == CUDA_SUCCESS && body < bodies_.size()) result = bodies_[body]->run(reason);
    return result;
  }
  while (result == CUDA_SUCCESS && value != 0) {
    result = bodies_.front()->run(reason);
    value = condition_->value;
  }
  return result;
}

std::string ConditionalOperation::describe() const {
  return type_ == CU_GRAPH_COND_TYPE_IF ? "IF node" : "WHILE node";
}

}  // namespace remask
