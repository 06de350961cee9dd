#include "fake_kernels.h"

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <stdexcept>

#include "host/gemm.h"
#include "host/parallel.h"
#include "kernel_signature.h"
#include "tensor_map.h"

struct alignas(64) remask::ptx::TensorMap {
  unsigned long long opaque[16];
};

namespace {

std::mutex gate_mutex;
std::condition_variable gate_changed;
bool gate_is_open = true;
bool gate_was_reached = false;

void fill_f32(const RemaskLaunch&, float* out, float value, int count) {
  for (int i = 0; i < count; ++i) out[i] = value;
}

// out may be one of the inputs; delta may be null.
void add_f32(const RemaskLaunch&, float* out, const float* a, const float* delta, int count) {
  for (int i = 0; i < count; ++i) out[i] = a[i] + (delta ? delta[i] : 1.0f);
}

void apply_pair(const RemaskLaunch&, float* out, int count, Pair pair) {
  for (int i = 0; i < count; ++i) out[i] = out[i] * pair.scale + pair.offset;
}

void wait_gate(const RemaskLaunch&) {
  std::unique_lock<std::mutex> lock(gate_mutex);
  gate_was_reached = true;
  gate_changed.notify_all();
  gate_changed.wait(lock, [] { return gate_is_open; });
}

void describe_launch(const RemaskLaunch& launch, int* out) {
  const unsigned values[] = {launch.grid.x,  launch.grid.y,  launch.grid.z,      launch.block.x,
                             launch.block.y, launch.block.z, launch.shared_bytes};
  std::memcpy(out, values, sizeof values);
}

void fail(const RemaskLaunch&, int code) {
  throw std::runtime_error("told to fail with " + std::to_string(code));
}

void overrun(const RemaskLaunch&, char* out, int at) { out[at] = 0; }

// The first element of each of the tensor's rows; out stays as it is without a map.
void read_rows(const RemaskLaunch&, float* out, int, remask::ptx::TensorMap map) {
  RemaskTensorMap tensor;
  std::memcpy(&tensor, &map, sizeof tensor);
  if (tensor.magic != kRemaskTensorMapMagic) return;
  const auto* rows = reinterpret_cast<const char*>(tensor.address);
  for (unsigned long long row = 0; row < tensor.dim[1]; ++row) {
    std::memcpy(out + row, rows + row * tensor.stride16[0] * 16, sizeof(float));
  }
}

// Takes one from the counter and goes on while some are left.
void count_down(const RemaskLaunch& launch, int* counter, unsigned long long handle) {
  *counter -= 1;
  remask::set_graph_condition(launch, handle, *counter > 0);
}

// The condition is whether the word is not 0.
void set_from(const RemaskLaunch& launch, const int* word, unsigned long long handle) {
  remask::set_graph_condition(launch, handle, static_cast<unsigned>(*word));
}

const RemaskKernel kKernels[] = {
    remask::host_kernel<fill_f32>("fill_f32"),
    remask::host_kernel<add_f32>("add_f32", 256),
    remask::host_kernel<apply_pair>("apply_pair"),
    remask::host_kernel<wait_gate>("wait_gate"),
    remask::host_kernel<describe_launch>("describe_launch"),
    remask::host_kernel<fail>("fail"),
    remask::host_kernel<overrun>("overrun"),
    remask::host_kernel<read_rows>("read_rows"),
    remask::host_kernel<count_down>("count_down"),
    remask::host_kernel<set_from>("set_from"),
};
const RemaskKernelTable kTable = {REMASK_KERNEL_TABLE_VERSION, sizeof kKernels / sizeof kKernels[0],
                                  kKernels};

}  // namespace

void close_gate() {
  std::lock_guard<std::mutex> lock(gate_mutex);
  gate_is_open = false;
  gate_was_reached = false;
}

void open_gate() {
  std::lock_guard<std::mutex> lock(gate_mutex);
  gate_is_open = true;
  gate_changed.notify_all();
}

void await_gate_reached() {
  std::unique_lock<std::mutex> lock(gate_mutex);
  gate_changed.wait(lock, [] { return gate_was_reached; });
}

#ifdef REMASK_FAKE_EMULATOR

extern "C" const RemaskKernelTable* remask_emulator_kernels() { return &kTable; }

#else

const RemaskKernelTable* remask_host_kernels() { return &kTable; }

const char* remask_host_kernel_set(std::string*) { return "fake"; }

void remask_host_shutdown() {}

bool remask_gemm(void* out, const void* a, const void* w, int m, int n, int k, GemmTypes types,
                 bool accumulate, int, std::string* why) {
  if (types != GemmTypes::F32_F32) {
    if (why) *why = "the fake knows f32 only";
    return false;
  }
  auto* result = static_cast<float*>(out);
  const auto *left = static_cast<const float*>(a), *right = static_cast<const float*>(w);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      float sum = accumulate ? result[i * n + j] : 0;
      for (int t = 0; t < k; ++t) sum += left[i * k + t] * right[j * k + t];
      result[i * n + j] = sum;
    }
  }
  return true;
}

#endif
