// Symbol lookup, the error log, and Remask's extensions for tests.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "address_space.h"
#include "call.h"
#include "device_api.h"
#include "objects.h"
#include "settings.h"

using namespace remask;

namespace {

// Which export a base name means for a caller that was built against a CUDA version; the rows of a
// name with the highest version come first. Names without a row are exported as they are.
struct Version {
  const char* base;
  int since;
  const char* exported;
};
constexpr Version kVersions[] = {
    {"cuDeviceTotalMem", 3020, "cuDeviceTotalMem_v2"},
    {"cuDeviceGetUuid", 11040, "cuDeviceGetUuid_v2"},
    {"cuCtxCreate", 13000, "cuCtxCreate_v4"},
    {"cuCtxCreate", 3020, "cuCtxCreate_v2"},
    {"cuCtxDestroy", 4000, "cuCtxDestroy_v2"},
    {"cuCtxPopCurrent", 4000, "cuCtxPopCurrent_v2"},
    {"cuCtxPushCurrent", 4000, "cuCtxPushCurrent_v2"},
    {"cuDevicePrimaryCtxRelease", 11000, "cuDevicePrimaryCtxRelease_v2"},
    {"cuDevicePrimaryCtxReset", 11000, "cuDevicePrimaryCtxReset_v2"},
    {"cuDevicePrimaryCtxSetFlags", 11000, "cuDevicePrimaryCtxSetFlags_v2"},
    {"cuMemGetInfo", 3020, "cuMemGetInfo_v2"},
    {"cuMemAlloc", 3020, "cuMemAlloc_v2"},
    {"cuMemFree", 3020, "cuMemFree_v2"},
    {"cuMemGetAddressRange", 3020, "cuMemGetAddressRange_v2"},
    {"cuMemAllocHost", 3020, "cuMemAllocHost_v2"},
    {"cuMemHostGetDevicePointer", 3020, "cuMemHostGetDevicePointer_v2"},
    {"cuMemHostRegister", 6050, "cuMemHostRegister_v2"},
    {"cuMemcpyHtoD", 3020, "cuMemcpyHtoD_v2"},
    {"cuMemcpyDtoH", 3020, "cuMemcpyDtoH_v2"},
    {"cuMemcpyDtoD", 3020, "cuMemcpyDtoD_v2"},
    {"cuMemcpyHtoDAsync", 3020, "cuMemcpyHtoDAsync_v2"},
    {"cuMemcpyDtoHAsync", 3020, "cuMemcpyDtoHAsync_v2"},
    {"cuMemcpyDtoDAsync", 3020, "cuMemcpyDtoDAsync_v2"},
    {"cuMemsetD8", 3020, "cuMemsetD8_v2"},
    {"cuMemsetD16", 3020, "cuMemsetD16_v2"},
    {"cuMemsetD32", 3020, "cuMemsetD32_v2"},
    {"cuStreamDestroy", 4000, "cuStreamDestroy_v2"},
    {"cuStreamBeginCapture", 10010, "cuStreamBeginCapture_v2"},
    {"cuStreamGetCaptureInfo", 13000, "cuStreamGetCaptureInfo_v3"},
    {"cuStreamGetCaptureInfo", 11030, "cuStreamGetCaptureInfo_v2"},
    {"cuEventDestroy", 4000, "cuEventDestroy_v2"},
    {"cuEventElapsedTime", 12080, "cuEventElapsedTime_v2"},
    {"cuGraphAddNode", 12030, "cuGraphAddNode_v2"},
    {"cuGraphAddNode", 12020, "cuGraphAddNode"},
    {"cuGraphInstantiate", 12000, "cuGraphInstantiateWithFlags"},
    {"cuGraphInstantiate", 11000, "cuGraphInstantiate_v2"},
    {"cuGraphExecUpdate", 12000, "cuGraphExecUpdate_v2"},
    {"cuGetProcAddress", 12000, "cuGetProcAddress_v2"},
};

void* find_export(const char* name) {
  static void* const self = [] {
    Dl_info info;
    const bool found = dladdr(reinterpret_cast<void*>(&find_export), &info) != 0;
    void* library = found ? dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD) : nullptr;
    return library ? library : dlopen(nullptr, RTLD_NOW);
  }();
  return dlsym(self, name);
}

// SUCCESS 0, SYMBOL_NOT_FOUND 1, VERSION_NOT_SUFFICIENT 2
int look_up(const char* symbol, int version, void** function) {
  *function = nullptr;
  bool known = false;
  for (const Version& row : kVersions) {
    if (std::strcmp(row.base, symbol) != 0) continue;
    known = true;
    if (version >= row.since) {
      *function = find_export(row.exported);
      return *function ? 0 : 1;
    }
  }
  if (known) return 2;
  if (std::strncmp(symbol, "cu", 2) == 0) *function = find_export(symbol);
  return *function ? 0 : 1;
}

CUresult get_address(const char* symbol, void** function, int version, int* status) {
  if (!symbol || !function) return refuse(CUDA_ERROR_INVALID_VALUE, "a pointer is null");
  const int found = look_up(symbol, version, function);
  if (status) *status = found;
  // With a status pointer the call itself succeeds.
  if (found == 0 || status) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_NOT_FOUND, "%s is not exported for version %d", symbol, version);
}

// All lines from *iterator on, or everything kept.
CUresult read_log(CUlogIterator* iterator, size_t capacity, std::string* text) {
  // "Everything" is one past the newest line, the unsigned distance being largest there.
  unsigned position = iterator ? *iterator : log_position() + 1;
  if (!log_read(&position, capacity, text)) return CUDA_ERROR_INVALID_VALUE;
  if (iterator) *iterator = position;
  return CUDA_SUCCESS;
}

}  // namespace

CUresult cuGetProcAddress(const char* symbol, void** function, int version, uint64_t) {
  static Call call("cuGetProcAddress");
  return call.run([&] { return get_address(symbol, function, version, nullptr); });
}

CUresult cuGetProcAddress_v2(const char* symbol, void** function, int version, uint64_t,
                             int* status) {
  static Call call("cuGetProcAddress_v2");
  return call.run([&] { return get_address(symbol, function, version, status); });
}

CUresult cuLogsRegisterCallback(CUlogsCallback callback, void* data, CUlogsCallbackHandle* handle) {
  static Call call("cuLogsRegisterCallback");
  return call.run([&]() -> CUresult {
    if (!callback) return refuse(CUDA_ERROR_INVALID_VALUE, "no callback");
    const uint64_t id = log_add_callback(callback, data);
    if (handle) *handle = reinterpret_cast<CUlogsCallbackHandle>(id);
    return CUDA_SUCCESS;
  });
}

CUresult cuLogsUnregisterCallback(CUlogsCallbackHandle handle) {
  static Call call("cuLogsUnregisterCallback");
  return call.run([&]() -> CUresult {
    return log_remove_callback(reinterpret_cast<uint64_t>(handle)) ? CUDA_SUCCESS
                                                                   : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuLogsCurrent(CUlogIterator* iterator, unsigned flags) {
  static Call call("cuLogsCurrent");
  return call.run([&]() -> CUresult {
    if (!iterator || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    *iterator = log_position();
    return CUDA_SUCCESS;
  });
}

CUresult cuLogsDumpToMemory(CUlogIterator* iterator, char* buffer, size_t* size, unsigned flags) {
  static Call call("cuLogsDumpToMemory");
  return call.run([&]() -> CUresult {
    if (!buffer || !size || *size == 0 || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    const size_t capacity = *size - 1;
    *size = 0;
    buffer[0] = 0;
    std::string text;
    const CUresult read = read_log(iterator, capacity, &text);
    if (read != CUDA_SUCCESS) return read;
    std::memcpy(buffer, text.c_str(), text.size() + 1);
    *size = text.size();
    return CUDA_SUCCESS;
  });
}

CUresult cuLogsDumpToFile(CUlogIterator* iterator, const char* path, unsigned flags) {
  static Call call("cuLogsDumpToFile");
  return call.run([&]() -> CUresult {
    if (!path || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    FILE* file = std::fopen(path, "we");
    if (!file) return CUDA_ERROR_INVALID_VALUE;
    std::string text;
    const CUresult read = read_log(iterator, SIZE_MAX, &text);
    std::fputs(text.c_str(), file);
    std::fclose(file);
    return read;
  });
}

int remaskSetFault(const char* spec) {
  return set_faults(spec) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

int remaskSetStrict(int on) {
  settings().strict = on != 0;
  return CUDA_SUCCESS;
}

int remaskSetEmulatorSeed(unsigned long long seed) {
  settings().seed = seed;
  settings().launches = 0;
  return CUDA_SUCCESS;
}

unsigned long long remaskCallCount(const char* call) { return call ? call_count(call) : 0; }

unsigned long long remaskLiveAllocations(void) {
  return AddressSpace::instance().live_allocations();
}

unsigned long long remaskLiveBytes(void) { return AddressSpace::instance().live_bytes(); }

const char* remaskThreadNames(void) {
  thread_local std::string names;  // valid until this thread asks again
  names = thread_names();
  return names.c_str();
}

// The name of the set of host kernels in use; where REMASK_HOST_KERNELS names none that can run,
// INVALID_VALUE and what is wrong with it. Valid for ever.
int remaskHostKernels(const char** name) {
  if (!name) return CUDA_ERROR_INVALID_VALUE;
  static const std::string& why = *new std::string([] {
    std::string text;
    remask_host_kernel_set(&text);
    return text;
  }());
  const char* set = remask_host_kernel_set(nullptr);
  *name = set ? set : why.c_str();
  return set ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
