// Kernel launches: checks the configuration, packs the arguments, translates the pointers.
#include <cstring>

#include "call.h"
#include "conditional.h"
#include "device_api.h"
#include "memory_check.h"
#include "module.h"
#include "objects.h"
#include "settings.h"
#include "tensor_map.h"

using namespace remask;

namespace {

enum LaunchAttribute { kIgnore = 0, kCooperative = 2, kClusterDimension = 4, kLastKnown = 16 };

struct Request {
  CUfunction function;
  RemaskDim3 grid, block;
  unsigned shared_bytes;
  CUstream stream;
  void** parameters;  // one pointer per parameter, or
  void** extra;       // CU_LAUNCH_PARAM_BUFFER_POINTER and _SIZE
};

CUresult check_configuration(const Request& request, const Function& function) {
  const RemaskDim3 &g = request.grid, &b = request.block;
  const char* name = function.kernel->name;
  if (g.x == 0 || g.y == 0 || g.z == 0 || b.x == 0 || b.y == 0 || b.z == 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%s: grid (%u,%u,%u) block (%u,%u,%u) has a zero", name,
                  g.x, g.y, g.z, b.x, b.y, b.z);
  }
  if (g.x > kMaxGridX || g.y > kMaxGridYZ || g.z > kMaxGridYZ) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%s: grid (%u,%u,%u) is over (%u,%u,%u)", name, g.x,
                  g.y, g.z, kMaxGridX, kMaxGridYZ, kMaxGridYZ);
  }
  const unsigned long long threads = 1ull * b.x * b.y * b.z;
  if (b.x > kMaxBlockThreads || b.y > kMaxBlockThreads || b.z > kMaxBlockZ ||
      threads > kMaxBlockThreads || threads > function.kernel->max_block_threads) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%s: block (%u,%u,%u) is over %u threads", name, b.x,
                  b.y, b.z, function.kernel->max_block_threads);
  }
  if (request.shared_bytes > static_cast<unsigned>(function.max_dynamic_shared)) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "%s: %u bytes of dynamic shared memory, allowed are %d (cuFuncSetAttribute)",
                  name, request.shared_bytes, function.max_dynamic_shared.load());
  }
  return CUDA_SUCCESS;
}

CUresult unpack_extra(void** extra, const RemaskKernel& kernel, std::vector<char>* arguments) {
  const void* buffer = nullptr;
  const size_t* size = nullptr;
  for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
    if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) {
      buffer = extra[1];
    } else if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) {
      size = static_cast<const size_t*>(extra[1]);
    } else {
      return refuse(CUDA_ERROR_INVALID_VALUE, "%s: unknown entry %p in extra", kernel.name, *extra);
    }
  }
  if (!buffer || !size) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%s: extra lacks the buffer or its size", kernel.name);
  }
  // A larger buffer is what padding at the end of a C struct gives; a driver lets that pass.
  const bool fits = settings().strict ? *size == kernel.buffer_bytes : *size >= kernel.buffer_bytes;
  if (!fits) {
    return refuse(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
                  "%s: an argument buffer of %zu bytes, it takes %u", kernel.name, *size,
                  kernel.buffer_bytes);
  }
  const char* bytes = static_cast<const char*>(buffer);
  arguments->assign(bytes, bytes + kernel.buffer_bytes);
  return CUDA_SUCCESS;
}

CUresult pack_arguments(const Request& request, const RemaskKernel& kernel,
                        std::vector<char>* arguments) {
  if (request.parameters && request.extra) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%s: both kernelParams and extra", kernel.name);
  }
  if (request.extra) return unpack_extra(request.extra, kernel, arguments);
  if (kernel.parameter_count > 0 && !request.parameters) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%s: %u parameters and no arguments", kernel.name,
                  kernel.parameter_count);
  }
  arguments->assign(kernel.buffer_bytes, 0);
  for (unsigned i = 0; i < kernel.parameter_count; ++i) {
    const RemaskParameter& parameter = kernel.parameters[i];
    if (!request.parameters[i]) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "%s: argument %u is a null pointer", kernel.name, i);
    }
    std::memcpy(arguments->data() + parameter.offset, request.parameters[i], parameter.size);
  }
  return CUDA_SUCCESS;
}

// The live allocation that an argument points to, if a kernel of the device may use it.
CUresult find_argument(const Device& device, const RemaskKernel& kernel, unsigned argument,
                       uint64_t address, std::shared_ptr<Allocation>* found) {
  *found = AddressSpace::instance().find(address);
  if (!*found) {
    return refuse(CUDA_ERROR_ILLEGAL_ADDRESS, "%s: argument %u, 0x%llx, lies in no live allocation",
                  kernel.name, argument, static_cast<unsigned long long>(address));
  }
  if ((*found)->kind != Allocation::Kind::kDevice && settings().strict &&
      !((*found)->flags & CU_MEMHOSTALLOC_DEVICEMAP)) {
    return refuse(CUDA_ERROR_ILLEGAL_ADDRESS, "%s: argument %u is pinned memory that is not mapped",
                  kernel.name, argument);
  }
  if ((*found)->kind == Allocation::Kind::kDevice && (*found)->device != device.ordinal) {
    return refuse(CUDA_ERROR_ILLEGAL_ADDRESS, "%s: argument %u is memory of device %d", kernel.name,
                  argument, (*found)->device);
  }
  return CUDA_SUCCESS;
}

// A map of zeros stays as it is: the kernel must not use it, as it must not follow a null pointer.
CUresult translate_tensor_map(const Device& device, const RemaskKernel& kernel, unsigned argument,
                              char* at, MemoryUse* memory) {
  RemaskTensorMap map;
  std::memcpy(&map, at, sizeof map);
  static const char kZeros[sizeof map] = {};
  if (std::memcmp(at, kZeros, sizeof map) == 0) return CUDA_SUCCESS;
  if (map.magic != kRemaskTensorMapMagic) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "%s: argument %u is no tensor map that cuTensorMapEncodeTiled made", kernel.name,
                  argument);
  }
  std::shared_ptr<Allocation> allocation;
  const CUresult checked = find_argument(device, kernel, argument, map.address, &allocation);
  if (checked != CUDA_SUCCESS) return checked;
  const unsigned long long extent = tensor_map_extent(map);
  const uint64_t room = allocation->bytes - (map.address - allocation->address);
  if (settings().strict && extent > room) {
    return refuse(
        CUDA_ERROR_ILLEGAL_ADDRESS,
        "%s: argument %u, a tensor map of %llu bytes at offset %llu, reaches past the end "
        "of an allocation of %zu bytes",
        kernel.name, argument, extent,
        static_cast<unsigned long long>(map.address - allocation->address), allocation->bytes);
  }
  map.address = reinterpret_cast<unsigned long long>(allocation->host_pointer(map.address));
  std::memcpy(at, &map, sizeof map);
  memory->push_back(std::move(allocation));
  return CUDA_SUCCESS;
}

// Replaces device addresses by where their memory really is. Null stays null.
CUresult translate(const Device& device, const RemaskKernel& kernel, std::vector<char>* arguments,
                   MemoryUse* memory) {
  for (unsigned i = 0; i < kernel.parameter_count; ++i) {
    const RemaskParameter& parameter = kernel.parameters[i];
    char* const at = arguments->data() + parameter.offset;
    if (parameter.kind == kRemaskTensorMap) {
      const CUresult checked = translate_tensor_map(device, kernel, i, at, memory);
      if (checked != CUDA_SUCCESS) return checked;
    }
    if (parameter.kind != kRemaskPointer) continue;
    uint64_t address = 0;
    std::memcpy(&address, at, sizeof address);
    if (address == 0) continue;
    std::shared_ptr<Allocation> allocation;
    const CUresult checked = find_argument(device, kernel, i, address, &allocation);
    if (checked != CUDA_SUCCESS) return checked;
    const char* host = allocation->host_pointer(address);
    std::memcpy(at, &host, sizeof host);
    memory->push_back(std::move(allocation));
  }
  return CUDA_SUCCESS;
}

CUresult launch(Context& context, const Request& request) {
  const auto function = find_function(context, request.function);
  const auto stream = find_stream(context, request.stream);
  if (!function || !stream) return CUDA_ERROR_INVALID_HANDLE;
  const RemaskKernel& kernel = *function->kernel;
  if (function->context_handle != stream->context->handle) {
    return refuse(CUDA_ERROR_INVALID_HANDLE, "%s: function and stream belong to different contexts",
                  kernel.name);
  }
  CUresult checked = check_configuration(request, *function);
  std::vector<char> arguments;
  if (checked == CUDA_SUCCESS) checked = pack_arguments(request, kernel, &arguments);
  if (checked != CUDA_SUCCESS) return checked;
  MemoryUse memory;
  checked = translate(*stream->context->device, kernel, &arguments, &memory);
  if (checked != CUDA_SUCCESS) {
    if (settings().strict) return checked;
    // A driver finds out only when the kernel runs; then the context is broken.
    const std::string reason = std::string(kernel.name) + " was given an address that is not live";
    return submit(*stream,
                  std::make_shared<CallOperation>(CU_GRAPH_NODE_TYPE_KERNEL, reason,
                                                  [checked](std::string*) { return checked; }));
  }
  const RemaskLaunch description{
      request.grid,      request.block, request.shared_bytes, settings().threads, 0,
      &find_live_memory, nullptr,       &set_condition};
  return submit(*stream, std::make_shared<KernelOperation>(
                             kernel, description, std::move(arguments), std::move(memory)));
}

CUresult check_attributes(const CUlaunchConfig& config) {
  if (config.numAttrs > 0 && !config.attrs) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "%u attributes at null", config.numAttrs);
  }
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const CUlaunchAttribute& attribute = config.attrs[i];
    if (attribute.id < kIgnore || attribute.id > kLastKnown) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "there is no launch attribute %d", attribute.id);
    }
    const auto& cluster = attribute.clusterDim;
    if (attribute.id == kClusterDimension && (cluster.x != 1 || cluster.y != 1 || cluster.z != 1)) {
      return refuse(CUDA_ERROR_NOT_SUPPORTED, "clusters of blocks");
    }
    if (attribute.id == kCooperative && attribute.value != 0) {
      return refuse(CUDA_ERROR_NOT_SUPPORTED, "cooperative launches");
    }
    // The others are hints, or orders that a stream executed one by one keeps anyway.
  }
  return CUDA_SUCCESS;
}

}  // namespace

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                        CUstream stream, void** parameters, void** extra) {
  static Call call("cuLaunchKernel");
  return call.in_context([&](Context& context) {
    return launch(context, Request{function,
                                   {grid_x, grid_y, grid_z},
                                   {block_x, block_y, block_z},
                                   shared_bytes,
                                   stream,
                                   parameters,
                                   extra});
  });
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                          void** extra) {
  static Call call("cuLaunchKernelEx");
  return call.in_context([&](Context& context) -> CUresult {
    if (!config) return refuse(CUDA_ERROR_INVALID_VALUE, "the configuration is null");
    const CUresult checked = check_attributes(*config);
    if (checked != CUDA_SUCCESS) return checked;
    return launch(context, Request{function,
                                   {config->gridDimX, config->gridDimY, config->gridDimZ},
                                   {config->blockDimX, config->blockDimY, config->blockDimZ},
                                   config->sharedMemBytes,
                                   config->hStream,
                                   parameters,
                                   extra});
  });
}
