// What the tests share: a current context, and short forms of common calls.
#ifndef REMASK_DRIVER_TESTS_FIXTURE_H_
#define REMASK_DRIVER_TESTS_FIXTURE_H_

#include <string>
#include <vector>

#include "check.h"
#include "device_api.h"
#include "fake_kernels.h"

// Device 0's primary context, current and strict; leaves nothing behind.
class Fixture {
 public:
  explicit Fixture(bool strict = true, int device = 0);
  ~Fixture();

  CUcontext context = nullptr;
  CUmodule module = nullptr;
  const int device;

  CUfunction function(const char* name) const;
  // Launches with one packed argument buffer.
  CUresult launch(CUstream stream, const char* kernel, const void* arguments, size_t bytes) const;
  CUresult fill(CUstream stream, CUdeviceptr out, float value, int count) const;
  // out = a + delta, or a + 1 when delta is 0.
  CUresult add(CUstream stream, CUdeviceptr out, CUdeviceptr a, CUdeviceptr delta, int count) const;
  CUresult hold(CUstream stream) const;  // wait_gate

 private:
  unsigned long long allocations_ = 0, bytes_ = 0;
};

CUdeviceptr allocate(size_t bytes);
std::vector<float> download(CUdeviceptr from, size_t count);
CUstream new_stream(unsigned flags = CU_STREAM_NON_BLOCKING);
CUevent new_event();

// What the log said since it was made.
class LogSince {
 public:
  LogSince();
  std::string text();

 private:
  CUlogIterator position_ = 0;
};

struct FillArguments {
  CUdeviceptr out;
  float value;
  int count;
};
struct AddArguments {
  CUdeviceptr out, a, delta;
  int count;
};
constexpr size_t kAddBytes = 28;

#define CHECK_LOGGED(log, words) CHECK((log).text().find(words) != std::string::npos)

#endif  // REMASK_DRIVER_TESTS_FIXTURE_H_
