// Modules, libraries and their functions. The image of a software module is a line of text: the
// code is in this library (or in the emulator's) already, and every kernel of the device can be
// looked up.
#ifndef REMASK_DRIVER_MODULE_H_
#define REMASK_DRIVER_MODULE_H_

#include <memory>
#include <string>

#include "objects.h"

namespace remask {

// The name of the operation in a software module's image. INVALID_IMAGE for anything else, but
// NO_BINARY_FOR_GPU for images of real GPUs.
CUresult parse_image(const void* image, std::string* operation);

std::shared_ptr<Module> make_module(Context& context, const std::string& operation);
// Its functions' handles go with it.
void unload(const std::shared_ptr<Module>& module);

// One handle per (module, name), as long as the module lives.
CUresult get_function(Module& module, const std::string& name, CUfunction* handle);
// What a CUfunction, or a CUkernel used as one, means in a context. Null after logging.
std::shared_ptr<Function> find_function(Context& context, CUfunction handle);

// The library's module in a context, made when first asked for.
std::shared_ptr<Module> module_of(Library& library, Context& context);
CUresult kernel_function(Context& context, const LibraryKernel& kernel, CUfunction* function);
// The kernel of that name on any device, or null: a library belongs to no device yet.
const RemaskKernel* any_kernel(const std::string& name);

// cuFuncGetParamInfo and cuKernelGetParamInfo.
CUresult parameter_info(const RemaskKernel& kernel, size_t index, size_t* offset, size_t* size);

}  // namespace remask

#endif  // REMASK_DRIVER_MODULE_H_
