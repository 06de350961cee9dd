// Primary and created contexts, and the calling thread's stack of them.
#include "call.h"
#include "capture.h"
#include "device_api.h"
#include "objects.h"

using namespace remask;

namespace {

constexpr unsigned kApiVersion = 3020;  // what contexts of a current driver report

// SCHED (3 bits), MAP_HOST, LMEM_RESIZE_TO_MAX, COREDUMP_ENABLE, USER_COREDUMP, SYNC_MEMOPS.
constexpr unsigned kAllFlags = 0x7 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80;

CUresult check_device(CUdevice device, Device** found) {
  *found = find_device(device);
  if (*found) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_DEVICE, "there is no device %d", device);
}

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

CUresult check_flags(unsigned flags) {
  if ((flags & ~kAllFlags) == 0) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_VALUE, "context flags 0x%x do not exist", flags);
}

CUresult release_primary(CUdevice number, bool reset) {
  Device* device = nullptr;
  const CUresult checked = check_device(number, &device);
  if (checked != CUDA_SUCCESS) return checked;
  std::shared_ptr<Context> gone;
  {
    std::lock_guard<std::mutex> lock(device->primary_mutex);
    if (!reset) {
      if (device->primary_references == 0) {
        return refuse(CUDA_ERROR_INVALID_CONTEXT, "the primary context is not retained");
      }
      if (--device->primary_references > 0) return CUDA_SUCCESS;
    }
    // After a reset the next retain makes a new context; references to the old one are void.
    device->primary_references = 0;
    gone.swap(device->primary);
  }
  if (gone) destroy_context(gone);
  return CUDA_SUCCESS;
}

CUresult set_primary_flags(CUdevice number, unsigned flags) {
  Device* device = nullptr;
  CUresult checked = check_device(number, &device);
  if (checked == CUDA_SUCCESS) checked = check_flags(flags);
  if (checked != CUDA_SUCCESS) return checked;
  std::lock_guard<std::mutex> lock(device->primary_mutex);
  device->primary_flags = flags;
  return CUDA_SUCCESS;
}

CUresult create(CUcontext* context, unsigned flags, CUdevice number) {
  if (!context) return null_argument();
  Device* device = nullptr;
  CUresult checked = check_device(number, &device);
  if (checked == CUDA_SUCCESS) checked = check_flags(flags);
  if (checked != CUDA_SUCCESS) return checked;
  const std::shared_ptr<Context> made = create_context(*device, false, flags);
  context_stack().push_back(made);
  *context = made->handle;
  return CUDA_SUCCESS;
}

CUresult find_context(CUcontext handle, std::shared_ptr<Context>* context) {
  *context = tables().contexts.find(handle);
  if (*context) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_CONTEXT, "%p is no live context", static_cast<void*>(handle));
}

CUresult destroy(CUcontext handle) {
  std::shared_ptr<Context> context;
  const CUresult checked = find_context(handle, &context);
  if (checked != CUDA_SUCCESS) return checked;
  if (context->primary) {
    return refuse(CUDA_ERROR_INVALID_CONTEXT, "primary contexts are released, not destroyed");
  }
  auto& stack = context_stack();
  if (!stack.empty() && stack.back() == context) stack.pop_back();
  destroy_context(context);
  return CUDA_SUCCESS;
}

CUresult push(CUcontext handle) {
  std::shared_ptr<Context> context;
  const CUresult checked = find_context(handle, &context);
  if (checked == CUDA_SUCCESS) context_stack().push_back(context);
  return checked;
}

CUresult pop(CUcontext* context) {
  auto& stack = context_stack();
  if (stack.empty() || !stack.back()) {
    return refuse(CUDA_ERROR_INVALID_CONTEXT, "the calling thread has no current context");
  }
  if (context) *context = stack.back()->handle;
  stack.pop_back();
  return CUDA_SUCCESS;
}

}  // namespace

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice number) {
  static Call call("cuDevicePrimaryCtxRetain");
  return call.initialised([&]() -> CUresult {
    if (!context) return null_argument();
    Device* device = nullptr;
    const CUresult checked = check_device(number, &device);
    if (checked != CUDA_SUCCESS) return checked;
    std::lock_guard<std::mutex> lock(device->primary_mutex);
    if (!device->primary) device->primary = create_context(*device, true, device->primary_flags);
    ++device->primary_references;
    *context = device->primary->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  static Call call("cuDevicePrimaryCtxRelease");
  return call.initialised([&] { return release_primary(device, false); });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  static Call call("cuDevicePrimaryCtxRelease_v2");
  return call.initialised([&] { return release_primary(device, false); });
}

CUresult cuDevicePrimaryCtxReset(CUdevice device) {
  static Call call("cuDevicePrimaryCtxReset");
  return call.initialised([&] { return release_primary(device, true); });
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  static Call call("cuDevicePrimaryCtxReset_v2");
  return call.initialised([&] { return release_primary(device, true); });
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned flags) {
  static Call call("cuDevicePrimaryCtxSetFlags");
  return call.initialised([&] { return set_primary_flags(device, flags); });
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
  static Call call("cuDevicePrimaryCtxSetFlags_v2");
  return call.initialised([&] { return set_primary_flags(device, flags); });
}

CUresult cuDevicePrimaryCtxGetState(CUdevice number, unsigned* flags, int* active) {
  static Call call("cuDevicePrimaryCtxGetState");
  return call.initialised([&]() -> CUresult {
    if (!flags || !active) return null_argument();
    Device* device = nullptr;
    const CUresult checked = check_device(number, &device);
    if (checked != CUDA_SUCCESS) return checked;
    std::lock_guard<std::mutex> lock(device->primary_mutex);
    *flags = device->primary_flags;
    *active = device->primary != nullptr;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
  static Call call("cuCtxCreate_v2");
  return call.initialised([&] { return create(context, flags, device); });
}

CUresult cuCtxCreate_v3(CUcontext* context, void* affinity, int count, unsigned flags,
                        CUdevice device) {
  static Call call("cuCtxCreate_v3");
  return call.initialised([&]() -> CUresult {
    if (affinity && count > 0) {
      return refuse(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY, "execution affinity is not supported");
    }
    return create(context, flags, device);
  });
}

CUresult cuCtxCreate_v4(CUcontext* context, void* parameters, unsigned flags, CUdevice device) {
  static Call call("cuCtxCreate_v4");
  return call.initialised([&]() -> CUresult {
    if (parameters) return refuse(CUDA_ERROR_NOT_SUPPORTED, "context parameters must be null");
    return create(context, flags, device);
  });
}

CUresult cuCtxDestroy(CUcontext context) {
  static Call call("cuCtxDestroy");
  return call.initialised([&] { return destroy(context); });
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  static Call call("cuCtxDestroy_v2");
  return call.initialised([&] { return destroy(context); });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  static Call call("cuCtxGetCurrent");
  return call.initialised([&]() -> CUresult {
    if (!context) return null_argument();
    const auto& stack = context_stack();
    *context = stack.empty() || !stack.back() ? nullptr : stack.back()->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetCurrent(CUcontext handle) {
  static Call call("cuCtxSetCurrent");
  return call.initialised([&]() -> CUresult {
    auto& stack = context_stack();
    std::shared_ptr<Context> context;
    if (handle) {
      const CUresult checked = find_context(handle, &context);
      if (checked != CUDA_SUCCESS) return checked;
    }
    if (!stack.empty()) stack.pop_back();
    if (context) stack.push_back(context);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPushCurrent(CUcontext context) {
  static Call call("cuCtxPushCurrent");
  return call.initialised([&] { return push(context); });
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  static Call call("cuCtxPushCurrent_v2");
  return call.initialised([&] { return push(context); });
}

CUresult cuCtxPopCurrent(CUcontext* context) {
  static Call call("cuCtxPopCurrent");
  return call.initialised([&] { return pop(context); });
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  static Call call("cuCtxPopCurrent_v2");
  return call.initialised([&] { return pop(context); });
}

CUresult cuCtxSynchronize(void) {
  static Call call("cuCtxSynchronize");
  return call.in_context([&](Context& context) -> CUresult {
    const CUresult allowed = check_unsafe_call();
    if (allowed != CUDA_SUCCESS) return allowed;
    for (const auto& stream : context.all_streams()) stream->worker->last().wait();
    const CUresult failed = context.health->error();
    return failed == CUDA_SUCCESS ? failed : refuse(failed, "work of this context failed");
  });
}

CUresult cuCtxGetDevice(CUdevice* device) {
  static Call call("cuCtxGetDevice");
  return call.in_context([&](Context& context) -> CUresult {
    if (!device) return null_argument();
    *device = context.device->ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetFlags(unsigned* flags) {
  static Call call("cuCtxGetFlags");
  return call.in_context([&](Context& context) -> CUresult {
    if (!flags) return null_argument();
    *flags = context.flags;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetId(CUcontext handle, unsigned long long* id) {
  static Call call("cuCtxGetId");
  return call.initialised([&]() -> CUresult {
    if (!id) return null_argument();
    std::shared_ptr<Context> context;
    if (handle) {
      const CUresult checked = find_context(handle, &context);
      if (checked != CUDA_SUCCESS) return checked;
    } else if (!context_stack().empty()) {
      context = context_stack().back();
    }
    if (!context) return refuse(CUDA_ERROR_INVALID_CONTEXT, "no current context");
    *id = reinterpret_cast<uint64_t>(context->handle);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetApiVersion(CUcontext handle, unsigned* version) {
  static Call call("cuCtxGetApiVersion");
  return call.initialised([&]() -> CUresult {
    if (!version) return null_argument();
    std::shared_ptr<Context> context;
    const CUresult checked = handle ? find_context(handle, &context) : CUDA_SUCCESS;
    if (checked == CUDA_SUCCESS) *version = kApiVersion;
    return checked;
  });
}

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  static Call call("cuCtxGetStreamPriorityRange");
  return call.in_context([&](Context&) -> CUresult {
    if (least) *least = 0;
    if (greatest) *greatest = 0;
    return CUDA_SUCCESS;
  });
}
