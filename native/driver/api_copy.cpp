// Copies and fills. Pageable memory behaves as CUDA documents: an asynchronous copy from it has
// read it, and one into it has finished, when the call returns; pinned memory is really
// asynchronous.
#include "call.h"
#include "capture.h"
#include "device_api.h"
#include "memory_check.h"
#include "objects.h"
#include "settings.h"

using namespace remask;

namespace {

// What a pageable source is copied to so that the call can return; above that it is waited for.
constexpr size_t kStagingBytes = 16u << 20;

enum class Side { kDevice, kHost, kAny };

CUresult check_side(Side side, CUdeviceptr address, size_t bytes, const char* what,
                    HostRange* range) {
  return side == Side::kDevice ? check_device_range(address, bytes, what, range)
                               : check_any_range(address, bytes, what, range);
}

CUresult check_host_side(const HostRange& range, const char* what) {
  if (range.allocation && range.allocation->kind == Allocation::Kind::kDevice) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%s: a device address where a host address belongs",
                  what);
  }
  return CUDA_SUCCESS;
}

struct Copy {
  Side to_side, from_side;
  CUdeviceptr to, from;
  size_t bytes;
};

CUresult check_copy(const Copy& copy, HostRange* to, HostRange* from) {
  CUresult checked = check_side(copy.to_side, copy.to, copy.bytes, "destination", to);
  if (checked == CUDA_SUCCESS) {
    checked = check_side(copy.from_side, copy.from, copy.bytes, "source", from);
  }
  if (checked == CUDA_SUCCESS && copy.to_side == Side::kHost) {
    checked = check_host_side(*to, "destination");
  }
  if (checked == CUDA_SUCCESS && copy.from_side == Side::kHost) {
    checked = check_host_side(*from, "source");
  }
  return checked;
}

MemoryUse uses(const HostRange& to, const HostRange& from) {
  MemoryUse memory;
  if (to.allocation) memory.push_back(to.allocation);
  if (from.allocation && from.allocation != to.allocation) memory.push_back(from.allocation);
  return memory;
}

// After waiting: the error that the context's work ended in.
CUresult waited(Context& context, const Marker& marker) {
  marker.wait();
  const CUresult failed = context.health->error();
  return failed == CUDA_SUCCESS ? failed : refuse(failed, "work of this context failed");
}

CUresult copy_now(Context& context, const Copy& copy) {
  if (copy.bytes == 0) return CUDA_SUCCESS;
  CUresult checked = check_unsafe_call();
  HostRange to, from;
  if (checked == CUDA_SUCCESS) checked = check_copy(copy, &to, &from);
  if (checked != CUDA_SUCCESS) return checked;
  const auto stream = find_stream(context, nullptr);
  if (!stream) return CUDA_ERROR_CONTEXT_IS_DESTROYED;  // by another thread, since the call began
  Marker done;
  checked = submit(
      *stream,
      std::make_shared<CopyOperation>(to.pointer, from.pointer, copy.bytes, uses(to, from)), &done);
  return checked == CUDA_SUCCESS ? waited(context, done) : checked;
}

CUresult copy_async(Context& context, const Copy& copy, CUstream handle) {
  const auto stream = find_stream(context, handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  HostRange to, from;
  CUresult checked = copy.bytes == 0 ? CUDA_SUCCESS : check_copy(copy, &to, &from);
  if (checked != CUDA_SUCCESS || copy.bytes == 0) return checked;
  const bool pageable = to.is_pageable() || from.is_pageable();
  if (stream->capturing) {
    // A graph would read or write the client's memory at every replay: almost surely a mistake.
    if (pageable && settings().strict) {
      return check_not_capturing(*stream, "a copy of pageable memory in");
    }
    return submit(*stream, std::make_shared<CopyOperation>(to.pointer, from.pointer, copy.bytes,
                                                           uses(to, from)));
  }
  std::vector<char> staged;
  bool wait = to.is_pageable();
  if (from.is_pageable() && !wait) {
    if (copy.bytes <= kStagingBytes) {
      staged.assign(from.pointer, from.pointer + copy.bytes);
    } else {
      wait = true;
    }
  }
  Marker done;
  checked = submit(*stream,
                   std::make_shared<CopyOperation>(to.pointer, from.pointer, copy.bytes,
                                                   uses(to, from), std::move(staged)),
                   &done);
  return checked == CUDA_SUCCESS && wait ? waited(*stream->context, done) : checked;
}

CUresult check_fill(CUdeviceptr to, int width, size_t count, HostRange* range) {
  if (to % static_cast<unsigned>(width) != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "0x%llx is not aligned to %d bytes", to, width);
  }
  if (count > SIZE_MAX / 4) return refuse(CUDA_ERROR_INVALID_VALUE, "count is too large");
  return check_device_range(to, count * static_cast<size_t>(width), "destination", range);
}

CUresult fill_async(Context& context, CUdeviceptr to, unsigned value, int width, size_t count,
                    CUstream handle, Marker* done) {
  const auto stream = find_stream(context, handle);
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  if (count == 0) return CUDA_SUCCESS;
  HostRange range;
  const CUresult checked = check_fill(to, width, count, &range);
  if (checked != CUDA_SUCCESS) return checked;
  return submit(*stream,
                std::make_shared<FillOperation>(range.pointer, value, width, count,
                                                MemoryUse{range.allocation}),
                done);
}

CUresult fill_now(Context& context, CUdeviceptr to, unsigned value, int width, size_t count) {
  const CUresult allowed = check_unsafe_call();
  if (allowed != CUDA_SUCCESS) return allowed;
  Marker done;
  const CUresult checked = fill_async(context, to, value, width, count, nullptr, &done);
  return checked == CUDA_SUCCESS ? waited(context, done) : checked;
}

CUdeviceptr address_of(const void* host) { return reinterpret_cast<CUdeviceptr>(host); }

}  // namespace

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  static Call call("cuMemcpy");
  return call.in_context([&](Context& context) {
    return copy_now(context, {Side::kAny, Side::kAny, to, from, bytes});
  });
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  static Call call("cuMemcpyAsync");
  return call.in_context([&](Context& context) {
    return copy_async(context, {Side::kAny, Side::kAny, to, from, bytes}, stream);
  });
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
  static Call call("cuMemcpyHtoD_v2");
  return call.in_context([&](Context& context) {
    return copy_now(context, {Side::kDevice, Side::kHost, to, address_of(from), bytes});
  });
}

CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
  static Call call("cuMemcpyDtoH_v2");
  return call.in_context([&](Context& context) {
    return copy_now(context, {Side::kHost, Side::kDevice, address_of(to), from, bytes});
  });
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  static Call call("cuMemcpyDtoD_v2");
  return call.in_context([&](Context& context) {
    return copy_now(context, {Side::kDevice, Side::kDevice, to, from, bytes});
  });
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
  static Call call("cuMemcpyHtoDAsync_v2");
  return call.in_context([&](Context& context) {
    return copy_async(context, {Side::kDevice, Side::kHost, to, address_of(from), bytes}, stream);
  });
}

CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  static Call call("cuMemcpyDtoHAsync_v2");
  return call.in_context([&](Context& context) {
    return copy_async(context, {Side::kHost, Side::kDevice, address_of(to), from, bytes}, stream);
  });
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  static Call call("cuMemcpyDtoDAsync_v2");
  return call.in_context([&](Context& context) {
    return copy_async(context, {Side::kDevice, Side::kDevice, to, from, bytes}, stream);
  });
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
  static Call call("cuMemsetD8_v2");
  return call.in_context([&](Context& context) { return fill_now(context, to, value, 1, count); });
}

CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count) {
  static Call call("cuMemsetD16_v2");
  return call.in_context([&](Context& context) { return fill_now(context, to, value, 2, count); });
}

CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) {
  static Call call("cuMemsetD32_v2");
  return call.in_context([&](Context& context) { return fill_now(context, to, value, 4, count); });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
  static Call call("cuMemsetD8Async");
  return call.in_context(
      [&](Context& context) { return fill_async(context, to, value, 1, count, stream, nullptr); });
}

CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
  static Call call("cuMemsetD16Async");
  return call.in_context(
      [&](Context& context) { return fill_async(context, to, value, 2, count, stream, nullptr); });
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  static Call call("cuMemsetD32Async");
  return call.in_context(
      [&](Context& context) { return fill_async(context, to, value, 4, count, stream, nullptr); });
}
