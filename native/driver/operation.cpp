#include "operation.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "settings.h"

namespace remask {

KernelOperation::KernelOperation(const RemaskKernel& kernel, const RemaskLaunch& launch,
                                 std::vector<char> arguments, MemoryUse memory)
    : Operation(CU_GRAPH_NODE_TYPE_KERNEL),
      kernel_(kernel),
      launch_(launch),
      arguments_(std::move(arguments)) {
  memory_ = std::move(memory);
}

CUresult KernelOperation::run(std::string* reason) const {
  char text[512] = "";
  RemaskLaunch launch = launch_;
  launch.seed = next_launch_seed();
  const int result = kernel_.run(&launch, arguments_.data(), text, sizeof text);
  text[sizeof text - 1] = 0;
  if (result != 0) *reason = text;
  return static_cast<CUresult>(result);
}

std::string KernelOperation::describe() const {
  const RemaskDim3 &g = launch_.grid, &b = launch_.block;
  return std::string("kernel ") + kernel_.name + " grid (" + std::to_string(g.x) + "," +
         std::to_string(g.y) + "," + std::to_string(g.z) + ") block (" + std::to_string(b.x) + "," +
         std::to_string(b.y) + "," + std::to_string(b.z) + ")";
}

CopyOperation::CopyOperation(char* to, const char* from, size_t bytes, MemoryUse memory,
                             std::vector<char> staged)
    : Operation(CU_GRAPH_NODE_TYPE_MEMCPY),
      to_(to),
      from_(from),
      bytes_(bytes),
      staged_(std::move(staged)) {
  memory_ = std::move(memory);
}

CUresult CopyOperation::run(std::string*) const {
  std::memmove(to_, staged_.empty() ? from_ : staged_.data(), bytes_);
  return CUDA_SUCCESS;
}

std::string CopyOperation::describe() const {
  return "copy of " + std::to_string(bytes_) + " bytes";
}

FillOperation::FillOperation(char* to, unsigned value, int width, size_t count, MemoryUse memory)
    : Operation(CU_GRAPH_NODE_TYPE_MEMSET), to_(to), value_(value), width_(width), count_(count) {
  memory_ = std::move(memory);
}

CUresult FillOperation::run(std::string*) const {
  if (width_ == 1) {
    std::memset(to_, static_cast<int>(value_), count_);
  } else if (width_ == 2) {
    std::fill_n(reinterpret_cast<uint16_t*>(to_), count_, static_cast<uint16_t>(value_));
  } else {
    std::fill_n(reinterpret_cast<uint32_t*>(to_), count_, static_cast<uint32_t>(value_));
  }
  return CUDA_SUCCESS;
}

std::string FillOperation::describe() const {
  return "fill of " + std::to_string(count_ * static_cast<size_t>(width_)) + " bytes";
}

CallOperation::CallOperation(CUgraphNodeType kind, std::string name, Body body, MemoryUse memory,
                             bool after_failure)
    : Operation(kind),
      name_(std::move(name)),
      body_(std::move(body)),
      after_failure_(after_failure) {
  memory_ = std::move(memory);
}

CUresult CallOperation::run(std::string* reason) const { return body_(reason); }

void Timestamp::set() {
  const auto now = std::chrono::steady_clock::now();
  std::lock_guard<std::mutex> lock(mutex_);
  time_ = now;
  is_set_ = true;
}

bool Timestamp::get(std::chrono::steady_clock::time_point* time) const {
  std::lock_guard<std::mutex> lock(mutex_);
  *time = time_;
  return is_set_;
}

RecordOperation::RecordOperation(std::shared_ptr<Timestamp> timestamp)
    : Operation(CU_GRAPH_NODE_TYPE_KERNEL), timestamp_(std::move(timestamp)) {}

CUresult RecordOperation::run(std::string*) const {
  if (timestamp_) timestamp_->set();
  return CUDA_SUCCESS;
}

}  // namespace remask
