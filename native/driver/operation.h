// What a stream executes. This layer knows nothing of the API: entry points have validated and
// translated everything before an operation exists.
//
// An operation is immutable once made, because a captured graph runs the same one at each replay.
#ifndef REMASK_DRIVER_OPERATION_H_
#define REMASK_DRIVER_OPERATION_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "address_space.h"
#include "cuda_types.h"
#include "kernel_table.h"

namespace remask {

using MemoryUse = std::vector<std::shared_ptr<Allocation>>;

class Operation {
 public:
  explicit Operation(CUgraphNodeType kind) : kind_(kind) {}
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // Runs on a stream's worker. Returns CUDA_SUCCESS or the error that breaks the context.
  virtual CUresult run(std::string* reason) const = 0;
  // What the log calls it.
  virtual std::string describe() const = 0;
  // Whether it runs although an earlier operation has broken the context.
  virtual bool runs_after_failure() const { return false; }
  // Allocations it reads or writes; their pages outlive the operation.
  virtual const MemoryUse& memory() const { return memory_; }

  CUgraphNodeType kind() const { return kind_; }

 protected:
  MemoryUse memory_;

 private:
  CUgraphNodeType kind_;
};

class KernelOperation final : public Operation {
 public:
  // arguments: the packed buffer, pointers translated.
  KernelOperation(const RemaskKernel& kernel, const RemaskLaunch& launch,
                  std::vector<char> arguments, MemoryUse memory);
  CUresult run(std::string* reason) const override;
  std::string describe() const override;

 private:
  const RemaskKernel& kernel_;
  RemaskLaunch launch_;
  std::vector<char> arguments_;
};

class CopyOperation final : public Operation {
 public:
  // staged: the source's bytes when the caller may overwrite the source at once; then `from` is
  // not read.
  CopyOperation(char* to, const char* from, size_t bytes, MemoryUse memory,
                std::vector<char> staged = {});
  CUresult run(std::string* reason) const override;
  std::string describe() const override;

 private:
  char* to_;
  const char* from_;
  size_t bytes_;
  std::vector<char> staged_;
};

class FillOperation final : public Operation {
 public:
  // `count` values of `width` (1, 2 or 4) bytes.
  FillOperation(char* to, unsigned value, int width, size_t count, MemoryUse memory);
  CUresult run(std::string* reason) const override;
  std::string describe() const override;

 private:
  char* to_;
  unsigned value_;
  int width_;
  size_t count_;
};

// Anything else: host functions, GEMMs.
class CallOperation final : public Operation {
 public:
  using Body = std::function<CUresult(std::string* reason)>;
  CallOperation(CUgraphNodeType kind, std::string name, Body body, MemoryUse memory = {},
                bool after_failure = false);
  CUresult run(std::string* reason) const override;
  std::string describe() const override { return name_; }
  bool runs_after_failure() const override { return after_failure_; }

 private:
  std::string name_;
  Body body_;
  bool after_failure_;
};

// When an event was reached; set by the worker, read by anyone.
class Timestamp {
 public:
  void set();
  // False while it is not set.
  bool get(std::chrono::steady_clock::time_point* time) const;

 private:
  mutable std::mutex mutex_;
  bool is_set_ = false;
  std::chrono::steady_clock::time_point time_;
};

// Does nothing but note the time, if asked: an event record.
class RecordOperation final : public Operation {
 public:
  explicit RecordOperation(std::shared_ptr<Timestamp> timestamp);
  CUresult run(std::string* reason) const override;
  std::string describe() const override { return "event record"; }
  bool runs_after_failure() const override { return true; }

 private:
  std::shared_ptr<Timestamp> timestamp_;
};

}  // namespace remask

#endif  // REMASK_DRIVER_OPERATION_H_
