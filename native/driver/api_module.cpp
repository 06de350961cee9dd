// Modules and functions.

#include "call.h"
#include "capture.h"
#include "device_api.h"
#include "module.h"

using namespace remask;

namespace {

enum FunctionAttribute {
  kMaxThreadsPerBlock = 0,
  kSharedSizeBytes = 1,
  kNumRegisters = 4,
  kMaxDynamicSharedBytes = 8,
  kSharedMemoryCarveout = 9,
  kAttributeCount = 16,
};

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

CUresult load(Context& context, CUmodule* module, const void* image) {
  if (!module) return null_argument();
  const CUresult allowed = check_unsafe_call();
  if (allowed != CUDA_SUCCESS) return allowed;
  std::string operation;
  const CUresult parsed = parse_image(image, &operation);
  if (parsed != CUDA_SUCCESS) return parsed;
  const auto made = make_module(context, operation);
  const CUresult alive = context.check_alive();
  if (alive == CUDA_SUCCESS) {
    *module = made->handle;
  } else {
    unload(made);
  }
  return alive;
}

}  // namespace

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  static Call call("cuModuleLoadData");
  return call.in_context([&](Context& context) { return load(context, module, image); });
}

CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned, int*, void**) {
  static Call call("cuModuleLoadDataEx");
  return call.in_context([&](Context& context) { return load(context, module, image); });
}

CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  static Call call("cuModuleLoadFatBinary");
  return call.in_context([&](Context& context) { return load(context, module, image); });
}

CUresult cuModuleUnload(CUmodule handle) {
  static Call call("cuModuleUnload");
  return call.releasing([&](Context&) -> CUresult {
    const auto module = tables().modules.find(handle);
    if (!module) {
      return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live module", static_cast<void*>(handle));
    }
    const CUresult allowed = check_unsafe_call();
    if (allowed == CUDA_SUCCESS) unload(module);
    return allowed;
  });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule handle, const char* name) {
  static Call call("cuModuleGetFunction");
  return call.in_context([&](Context&) -> CUresult {
    if (!function || !name) return null_argument();
    const auto module = tables().modules.find(handle);
    if (!module) {
      return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live module", static_cast<void*>(handle));
    }
    return get_function(*module, name, function);
  });
}

CUresult cuModuleGetLoadingMode(int* mode) {
  static Call call("cuModuleGetLoadingMode");
  return call.run([&]() -> CUresult {
    if (!mode) return null_argument();
    *mode = 1;  // CU_MODULE_EAGER_LOADING
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncGetAttribute(int* value, int attribute, CUfunction handle) {
  static Call call("cuFuncGetAttribute");
  return call.in_context([&](Context& context) -> CUresult {
    if (!value) return null_argument();
    const auto function = find_function(context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    if (attribute < 0 || attribute >= kAttributeCount) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "there is no function attribute %d", attribute);
    }
    switch (attribute) {
      case kMaxThreadsPerBlock:
        *value = static_cast<int>(function->kernel->max_block_threads);
        break;
      case kNumRegisters:
        *value = 32;  // no registers here; clients divide by it
        break;
      case kMaxDynamicSharedBytes:
        *value = function->max_dynamic_shared;
        break;
      case kSharedMemoryCarveout:
        *value = -1;  // the device's choice
        break;
      default:
        *value = 0;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncSetAttribute(CUfunction handle, int attribute, int value) {
  static Call call("cuFuncSetAttribute");
  return call.in_context([&](Context& context) -> CUresult {
    const auto function = find_function(context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    if (attribute == kSharedMemoryCarveout && value >= -1 && value <= 100) return CUDA_SUCCESS;
    if (attribute != kMaxDynamicSharedBytes || value < 0 ||
        value > static_cast<int>(kSharedBytesOptIn)) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "function attribute %d cannot be %d", attribute,
                    value);
    }
    function->max_dynamic_shared = value;
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncSetCacheConfig(CUfunction handle, int) {
  static Call call("cuFuncSetCacheConfig");
  return call.in_context([&](Context& context) -> CUresult {
    return find_function(context, handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuFuncGetParamInfo(CUfunction handle, size_t index, size_t* offset, size_t* size) {
  static Call call("cuFuncGetParamInfo");
  return call.in_context([&](Context& context) -> CUresult {
    const auto function = find_function(context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    return parameter_info(*function->kernel, index, offset, size);
  });
}

CUresult cuFuncGetName(const char** name, CUfunction handle) {
  static Call call("cuFuncGetName");
  return call.in_context([&](Context& context) -> CUresult {
    if (!name) return null_argument();
    const auto function = find_function(context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    *name = function->kernel->name;
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncLoad(CUfunction handle) {
  static Call call("cuFuncLoad");
  return call.in_context([&](Context& context) -> CUresult {
    return find_function(context, handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuFuncGetModule(CUmodule* module, CUfunction handle) {
  static Call call("cuFuncGetModule");
  return call.in_context([&](Context& context) -> CUresult {
    if (!module) return null_argument();
    const auto function = find_function(context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    *module = function->module;
    return CUDA_SUCCESS;
  });
}
