// Libraries (images that belong to no context) and their kernels.
#include "call.h"
#include "device_api.h"
#include "module.h"

using namespace remask;

namespace {

CUresult null_argument() { return refuse(CUDA_ERROR_INVALID_VALUE, "an output pointer is null"); }

CUresult find_kernel(CUkernel handle, std::shared_ptr<LibraryKernel>* kernel) {
  *kernel = tables().kernels.find(handle);
  if (*kernel) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live kernel", static_cast<void*>(handle));
}

}  // namespace

CUresult cuLibraryLoadData(CUlibrary* library, const void* code, int*, void**, unsigned, int*,
                           void**, unsigned) {
  static Call call("cuLibraryLoadData");
  return call.initialised([&]() -> CUresult {
    if (!library) return null_argument();
    std::string operation;
    const CUresult parsed = parse_image(code, &operation);
    if (parsed != CUDA_SUCCESS) return parsed;
    auto made = std::make_shared<Library>();
    made->operation = operation;
    *library = tables().libraries.add(made);
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryUnload(CUlibrary handle) {
  static Call call("cuLibraryUnload");
  return call.initialised([&]() -> CUresult {
    const auto library = tables().libraries.remove(handle);
    if (!library) {
      return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live library", static_cast<void*>(handle));
    }
    std::lock_guard<std::mutex> lock(library->mutex);
    for (const auto& entry : library->kernels) tables().kernels.remove(entry.second->handle);
    for (const auto& entry : library->modules) unload(entry.second);
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary handle, const char* name) {
  static Call call("cuLibraryGetKernel");
  return call.initialised([&]() -> CUresult {
    if (!kernel || !name) return null_argument();
    const auto library = tables().libraries.find(handle);
    if (!library) {
      return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live library", static_cast<void*>(handle));
    }
    if (!any_kernel(name)) return refuse(CUDA_ERROR_NOT_FOUND, "no device has a kernel %s", name);
    std::lock_guard<std::mutex> lock(library->mutex);
    std::shared_ptr<LibraryKernel>& entry = library->kernels[name];
    if (!entry) {
      entry = std::make_shared<LibraryKernel>();
      entry->library = handle;
      entry->name = name;
      tables().kernels.add(entry);
    }
    *kernel = entry->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetModule(CUmodule* module, CUlibrary handle) {
  static Call call("cuLibraryGetModule");
  return call.in_context([&](Context& context) -> CUresult {
    if (!module) return null_argument();
    const auto library = tables().libraries.find(handle);
    if (!library) {
      return refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live library", static_cast<void*>(handle));
    }
    *module = module_of(*library, context)->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelGetFunction(CUfunction* function, CUkernel handle) {
  static Call call("cuKernelGetFunction");
  return call.in_context([&](Context& context) -> CUresult {
    if (!function) return null_argument();
    std::shared_ptr<LibraryKernel> kernel;
    const CUresult found = find_kernel(handle, &kernel);
    return found == CUDA_SUCCESS ? kernel_function(context, *kernel, function) : found;
  });
}

CUresult cuKernelGetName(const char** name, CUkernel handle) {
  static Call call("cuKernelGetName");
  return call.initialised([&]() -> CUresult {
    if (!name) return null_argument();
    std::shared_ptr<LibraryKernel> kernel;
    const CUresult found = find_kernel(handle, &kernel);
    if (found == CUDA_SUCCESS) *name = any_kernel(kernel->name)->name;
    return found;
  });
}

CUresult cuKernelGetParamInfo(CUkernel handle, size_t index, size_t* offset, size_t* size) {
  static Call call("cuKernelGetParamInfo");
  return call.initialised([&]() -> CUresult {
    std::shared_ptr<LibraryKernel> kernel;
    const CUresult found = find_kernel(handle, &kernel);
    if (found != CUDA_SUCCESS) return found;
    return parameter_info(*any_kernel(kernel->name), index, offset, size);
  });
}
