// Deduces a kernel's parameter list, and an unpacker of its packed argument buffer, from the type
// of the C++ function that implements it.
//
// The layout is CUDA's: parameters in order, each at its natural alignment, by-value structs
// included. So host kernel, emulated kernel and real kernel agree as soon as their C++ types do.
//
//   void swiglu_f32(const RemaskLaunch& launch, float* out, const float* gate_up, int rows,
//                   int width);
//   static const RemaskKernel kKernels[] = {remask::host_kernel<swiglu_f32>("swiglu_f32"), ...};
//
// The emulator takes the type of the __global__ function instead:
//
//   using Arguments = remask::SignatureOf<decltype(&kernel)>;
//   auto values = Arguments::unpack(args);      // std::tuple, one value per parameter
//   std::apply(kernel, values);                 // in every fiber
//   Arguments::describe("swiglu_f32", max_block_threads, body)   // the RemaskKernel entry
#ifndef REMASK_DRIVER_KERNEL_SIGNATURE_H_
#define REMASK_DRIVER_KERNEL_SIGNATURE_H_

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernel_table.h"

namespace remask {

namespace ptx {
struct TensorMap;  // kernels/include/ptx_sm90a.h
}

// CUDA_ERROR_LAUNCH_FAILED: what a kernel that threw reports.
constexpr int kLaunchFailed = 719;

template <typename... Parameters>
struct Signature {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "kernel parameters are copied as bytes");
  static_assert((!std::is_reference_v<Parameters> && ...), "kernel parameters are values");

  static constexpr unsigned kCount = sizeof...(Parameters);
  using Values = std::tuple<std::remove_cv_t<Parameters>...>;

  // One element more than needed, so that a kernel without parameters still has an array.
  static constexpr std::array<RemaskParameter, kCount + 1> layout() {
    std::array<RemaskParameter, kCount + 1> result{};
    constexpr size_t sizes[] = {sizeof(Parameters)..., 0};
    constexpr size_t alignments[] = {alignof(Parameters)..., 1};
    constexpr RemaskParameterKind kinds[] = {kind<Parameters>()..., kRemaskValue};
    size_t offset = 0;
    for (unsigned i = 0; i < kCount; ++i) {
      offset = (offset + alignments[i] - 1) / alignments[i] * alignments[i];
      result[i] =
          RemaskParameter{static_cast<unsigned>(offset), static_cast<unsigned>(sizes[i]), kinds[i]};
      offset += sizes[i];
    }
    return result;
  }

  static constexpr std::array<RemaskParameter, kCount + 1> kParameters = layout();
  static constexpr unsigned kBufferBytes =
      kCount == 0
          ? 0
          : kParameters[kCount ? kCount - 1 : 0].offset + kParameters[kCount ? kCount - 1 : 0].size;

  // The values of a packed argument buffer, which may lie at any address.
  static Values unpack(const void* buffer) {
    return unpack(static_cast<const char*>(buffer), std::index_sequence_for<Parameters...>());
  }

  static constexpr RemaskKernel describe(const char* name, unsigned max_block_threads,
                                         RemaskKernelBody run) {
    return RemaskKernel{name, kParameters.data(), kCount, kBufferBytes, max_block_threads, run};
  }

 private:
  template <typename T>
  static constexpr RemaskParameterKind kind() {
    if (std::is_same_v<std::remove_cv_t<T>, ptx::TensorMap>) return kRemaskTensorMap;
    return std::is_pointer_v<T> ? kRemaskPointer : kRemaskValue;
  }

  template <typename T>
  static T load(const char* from) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
  }

  template <size_t... Index>
  static Values unpack(const char* buffer, std::index_sequence<Index...>) {
    (void)buffer;  // unused when there is no parameter
    return Values(load<std::tuple_element_t<Index, Values>>(buffer + kParameters[Index].offset)...);
  }
};

template <typename Function>
struct SignatureOfFunction;
template <typename... Parameters>
struct SignatureOfFunction<void (*)(Parameters...)> {
  using Type = Signature<Parameters...>;
};
// The signature of a kernel given the type of a pointer to it (void (*)(...)).
template <typename Function>
using SignatureOf = typename SignatureOfFunction<Function>::Type;

// cudaGraphSetConditional of a host kernel.
inline void set_graph_condition(const RemaskLaunch& launch, unsigned long long handle,
                                unsigned value) {
  if (!launch.set_condition || !launch.set_condition(handle, value)) {
    throw std::runtime_error("a condition was set whose graph does not run");
  }
}

// Host kernels take the launch first; it is no parameter of the kernel.
template <auto kFunction>
struct HostKernel;
template <typename... Parameters, void (*kFunction)(const RemaskLaunch&, Parameters...)>
struct HostKernel<kFunction> {
  using Arguments = Signature<Parameters...>;

  static int run(const RemaskLaunch* launch, const void* args, char* reason, size_t reason_bytes) {
    try {
      std::apply([launch](auto... values) { kFunction(*launch, values...); },
                 Arguments::unpack(args));
      return 0;
    } catch (const std::exception& failure) {
      std::snprintf(reason, reason_bytes, "%s", failure.what());
    } catch (...) {
      std::snprintf(reason, reason_bytes, "the kernel threw something that is no std::exception");
    }
    return kLaunchFailed;
  }
};

// The table entry of a host kernel. An exception that leaves it is CUDA_ERROR_LAUNCH_FAILED.
template <auto kFunction>
constexpr RemaskKernel host_kernel(const char* name, unsigned max_block_threads = 1024) {
  return HostKernel<kFunction>::Arguments::describe(name, max_block_threads,
                                                    &HostKernel<kFunction>::run);
}

}  // namespace remask

#endif  // REMASK_DRIVER_KERNEL_SIGNATURE_H_
