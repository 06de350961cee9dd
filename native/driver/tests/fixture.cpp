#include "fixture.h"

#include <cstdlib>
#include <cstring>

Fixture::Fixture(bool strict, int ordinal) : device(ordinal) {
  CHECK_OK(cuInit(0));
  remaskSetStrict(strict);
  remaskSetFault(nullptr);
  allocations_ = remaskLiveAllocations();
  bytes_ = remaskLiveBytes();
  CHECK_OK(cuDevicePrimaryCtxRetain(&context, ordinal));
  CHECK_OK(cuCtxSetCurrent(context));
  CHECK_OK(cuModuleLoadData(&module, "REMASK-SOFTWARE-MODULE\nfake\n"));
}

Fixture::~Fixture() {
  remaskSetFault(nullptr);
  open_gate();
  CHECK_OK(cuDevicePrimaryCtxRelease_v2(device));
  CHECK_OK(cuCtxSetCurrent(nullptr));
  CHECK_EQ(remaskLiveAllocations(), allocations_);
  CHECK_EQ(remaskLiveBytes(), bytes_);
  CHECK_EQ(std::string(remaskThreadNames()), "");
}

CUfunction Fixture::function(const char* name) const {
  CUfunction found = nullptr;
  CHECK_OK(cuModuleGetFunction(&found, module, name));
  return found;
}

CUresult Fixture::launch(CUstream stream, const char* kernel, const void* arguments,
                         size_t bytes) const {
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, const_cast<void*>(arguments),
                   CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
  return cuLaunchKernel(function(kernel), 1, 1, 1, 1, 1, 1, 0, stream, nullptr, extra);
}

CUresult Fixture::fill(CUstream stream, CUdeviceptr out, float value, int count) const {
  const FillArguments arguments{out, value, count};
  return launch(stream, "fill_f32", &arguments, sizeof arguments);
}

CUresult Fixture::add(CUstream stream, CUdeviceptr out, CUdeviceptr a, CUdeviceptr delta,
                      int count) const {
  const AddArguments arguments{out, a, delta, count};
  return launch(stream, "add_f32", &arguments, kAddBytes);
}

CUresult Fixture::hold(CUstream stream) const { return launch(stream, "wait_gate", "", 0); }

CUdeviceptr allocate(size_t bytes) {
  CUdeviceptr address = 0;
  CHECK_OK(cuMemAlloc_v2(&address, bytes));
  return address;
}

std::vector<float> download(CUdeviceptr from, size_t count) {
  std::vector<float> values(count);
  CHECK_OK(cuMemcpyDtoH_v2(values.data(), from, count * sizeof(float)));
  return values;
}

CUstream new_stream(unsigned flags) {
  CUstream stream = nullptr;
  CHECK_OK(cuStreamCreate(&stream, flags));
  return stream;
}

CUevent new_event() {
  CUevent event = nullptr;
  CHECK_OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  return event;
}

LogSince::LogSince() { CHECK_OK(cuLogsCurrent(&position_, 0)); }

std::string LogSince::text() {
  char buffer[25600];
  size_t size = sizeof buffer;
  CUlogIterator from = position_;
  CHECK_OK(cuLogsDumpToMemory(&from, buffer, &size, 0));
  return std::string(buffer, size);
}

int main(int count, char** arguments) {
  setenv("REMASK_DEVICE_MEMORY", "64M", 1);
  setenv("REMASK_THREADS", "2", 1);
  int ran = 0;
  for (const check::Test& test : check::tests()) {
    bool wanted = count == 1;
    for (int i = 1; i < count; ++i) {
      wanted = wanted || std::strncmp(test.name, arguments[i], std::strlen(arguments[i])) == 0;
    }
    if (!wanted) continue;
    const int before = check::failures();
    test.body();
    std::printf("%s %s\n", check::failures() == before ? "ok  " : "FAIL", test.name);
    std::fflush(stdout);
    ++ran;
  }
  std::printf("%d tests, %d failures\n", ran, check::failures());
  return check::failures() == 0 && ran > 0 ? 0 : 1;
}
