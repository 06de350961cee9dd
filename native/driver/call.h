// What every exported function passes through: counting, injected faults, exceptions, and the
// checks that all calls share. An entry point is
//
//   CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
//     static Call call("cuMemAlloc_v2");
//     return call.in_context([&](Context& context) -> CUresult { ... });
//   }
#ifndef REMASK_DRIVER_CALL_H_
#define REMASK_DRIVER_CALL_H_

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "cuda_types.h"
#include "log.h"

namespace remask {

struct Context;

// One exported function. Register before the first call (a function-local static does).
class Call {
 public:
  explicit Call(const char* name);

  // No check at all, beyond an injected fault.
  template <typename Body>
  CUresult run(Body&& body) {
    const Scope scope(*this);
    try {
      if (const int fault = begin()) return static_cast<CUresult>(fault);
      return body();
    } catch (const std::bad_alloc&) {
      return refuse(CUDA_ERROR_OUT_OF_MEMORY, "the host is out of memory");
    } catch (const std::exception& failure) {
      return refuse(CUDA_ERROR_UNKNOWN, "%s", failure.what());
    }
  }

  // After cuInit only.
  template <typename Body>
  CUresult initialised(Body&& body) {
    return run([&]() -> CUresult {
      const CUresult checked = check_initialised();
      return checked != CUDA_SUCCESS ? checked : body();
    });
  }

  // With a current context that has not failed.
  template <typename Body>
  CUresult in_context(Body&& body) {
    return run([&]() -> CUresult {
      std::shared_ptr<Context> context;
      const CUresult checked = check_context(&context);
      if (checked != CUDA_SUCCESS) return checked;
      const CUresult failed = check_health(*context);
      return failed != CUDA_SUCCESS ? failed : body(*context);
    });
  }

  // Gives something back: done even in a context that has failed, which the result then says.
  template <typename Body>
  CUresult releasing(Body&& body) {
    return run([&]() -> CUresult {
      std::shared_ptr<Context> context;
      const CUresult checked = check_context(&context);
      if (checked != CUDA_SUCCESS) return checked;
      const CUresult released = body(*context);
      return released != CUDA_SUCCESS ? released : check_health(*context);
    });
  }

  template <typename Body>
  cublasStatus_t blas(Body&& body) {
    const Scope scope(*this);
    try {
      if (const int fault = begin()) return static_cast<cublasStatus_t>(fault);
      return body();
    } catch (const std::exception& failure) {
      return refuse(CUBLAS_STATUS_INTERNAL_ERROR, "%s", failure.what());
    }
  }

  // Counts; returns the error to inject or 0.
  int begin();

  const char* name() const { return name_; }

  // The call this thread is in, for the log; "" outside of any.
  static const char* current_name();

 private:
  // Makes this the thread's current call; calls do not nest except from host callbacks.
  class Scope {
   public:
    explicit Scope(const Call& call);
    ~Scope();

   private:
    const Call* outer_;
  };

  CUresult check_initialised() const;
  CUresult check_context(std::shared_ptr<Context>* context) const;
  static CUresult check_health(const Context& context);

  friend uint64_t call_count(const std::string& call);

  const char* name_;
  std::string plain_name_;  // without _v2 and the like
  std::atomic<uint64_t> count_{0};
  Call* next_;
};

// Times a function was called, all its versions together; null-safe, any spelling.
uint64_t call_count(const std::string& call);

// "cuMemAlloc:3:OUT_OF_MEMORY,…"; null or "" clears. False, with a log line, when malformed.
bool set_faults(const char* spec);

}  // namespace remask

#endif  // REMASK_DRIVER_CALL_H_
