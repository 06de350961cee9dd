#include "module.h"

#include <cstring>

#include "log.h"

namespace remask {
namespace {

constexpr char kMagic[] = "REMASK-SOFTWARE-MODULE\n";
constexpr size_t kOperationBytes = 256;

// Reads no byte past the first one that differs: an image comes without a length.
bool starts_with(const void* image, const char* bytes, size_t count) {
  const char* text = static_cast<const char*>(image);
  for (size_t i = 0; i < count; ++i) {
    if (text[i] != bytes[i]) return false;
  }
  return true;
}

}  // namespace

CUresult parse_image(const void* image, std::string* operation) {
  if (!image) return refuse(CUDA_ERROR_INVALID_VALUE, "the image is null");
  // A fatbin, in its wrapper or bare, and a cubin (ELF).
  if (starts_with(image, "\x50\xed\x55\xba", 4) || starts_with(image, "\xb1\x43\x62\x46", 4) ||
      starts_with(image,
                  "\x7f"
                  "ELF",
                  4)) {
    return refuse(CUDA_ERROR_NO_BINARY_FOR_GPU,
                  "this is an image for a GPU; the software device takes software modules");
  }
  const size_t length = sizeof kMagic - 1;
  if (!starts_with(image, kMagic, length)) {
    return refuse(CUDA_ERROR_INVALID_IMAGE, "the image is no software module");
  }
  const char* name = static_cast<const char*>(image) + length;
  const size_t end = strnlen(name, kOperationBytes);
  if (end == kOperationBytes || end < 2 || name[end - 1] != '\n') {
    return refuse(CUDA_ERROR_INVALID_IMAGE, "the software module names no operation");
  }
  operation->assign(name, end - 1);
  return CUDA_SUCCESS;
}

std::shared_ptr<Module> make_module(Context& context, const std::string& operation) {
  auto module = std::make_shared<Module>();
  module->context = context.shared_from_this();
  module->operation = operation;
  tables().modules.add(module);
  return module;
}

CUresult get_function(Module& module, const std::string& name, CUfunction* handle) {
  std::lock_guard<std::mutex> lock(module.mutex);
  const auto known = module.functions.find(name);
  if (known != module.functions.end()) {
    *handle = known->second->handle;
    return CUDA_SUCCESS;
  }
  const RemaskKernel* kernel = module.context->device->find_kernel(name);
  if (!kernel) {
    return refuse(CUDA_ERROR_NOT_FOUND, "%s has no kernel %s", module.context->device->name.c_str(),
                  name.c_str());
  }
  auto function = std::make_shared<Function>();
  function->kernel = kernel;
  function->context = module.context;
  function->context_handle = module.context->handle;
  function->module = module.handle;
  *handle = tables().functions.add(function);
  module.functions[name] = std::move(function);
  return CUDA_SUCCESS;
}

void unload(const std::shared_ptr<Module>& module) {
  tables().modules.remove(module->handle);
  std::lock_guard<std::mutex> lock(module->mutex);
  for (const auto& entry : module->functions) tables().functions.remove(entry.second->handle);
}

std::shared_ptr<Module> module_of(Library& library, Context& context) {
  std::lock_guard<std::mutex> lock(library.mutex);
  std::shared_ptr<Module>& module = library.modules[context.handle];
  if (!module) module = make_module(context, library.operation);
  return module;
}

CUresult kernel_function(Context& context, const LibraryKernel& kernel, CUfunction* function) {
  const auto library = tables().libraries.find(kernel.library);
  if (!library) return refuse(CUDA_ERROR_INVALID_HANDLE, "the kernel's library was unloaded");
  return get_function(*module_of(*library, context), kernel.name, function);
}

const RemaskKernel* any_kernel(const std::string& name) {
  for (const auto& device : devices()) {
    if (const RemaskKernel* kernel = device->find_kernel(name)) return kernel;
  }
  return nullptr;
}

CUresult parameter_info(const RemaskKernel& kernel, size_t index, size_t* offset, size_t* size) {
  if (!offset) return refuse(CUDA_ERROR_INVALID_VALUE, "the output pointer is null");
  if (index >= kernel.parameter_count) return CUDA_ERROR_INVALID_VALUE;  // how clients find the end
  *offset = kernel.parameters[index].offset;
  if (size) *size = kernel.parameters[index].size;
  return CUDA_SUCCESS;
}

std::shared_ptr<Function> find_function(Context& context, CUfunction handle) {
  std::shared_ptr<Function> function = tables().functions.find(handle);
  if (function) return function;
  const auto kernel = tables().kernels.find(reinterpret_cast<CUkernel>(handle));
  CUfunction resolved = nullptr;
  if (kernel) {
    if (kernel_function(context, *kernel, &resolved) != CUDA_SUCCESS) return nullptr;
    return tables().functions.find(resolved);
  }
  refuse(CUDA_ERROR_INVALID_HANDLE, "%p is no live function", static_cast<void*>(handle));
  return nullptr;
}

}  // namespace remask
