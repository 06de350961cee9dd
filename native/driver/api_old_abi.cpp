// The bare names whose ABI is that of CUDA before 3.2, with 32-bit addresses and sizes (or, for
// cuStreamBeginCapture, without a mode). A driver still exports them. Nobody means them, but
// binding one by mistake would corrupt memory: each refuses and names its successor.
#include "call.h"
#include "device_api.h"

using namespace remask;

// Old parameters are not read, so the C types do not matter.
#define REMASK_OLD_ABI(name, successor)                                                      \
  extern "C" REMASK_EXPORT CUresult name(void) {                                             \
    static Call call(#name);                                                                 \
    return call.run([]() -> CUresult {                                                       \
      return refuse(CUDA_ERROR_NOT_SUPPORTED, "an ABI of before CUDA 3.2; bind " successor); \
    });                                                                                      \
  }

REMASK_OLD_ABI(cuDeviceTotalMem, "cuDeviceTotalMem_v2")
REMASK_OLD_ABI(cuCtxCreate, "cuCtxCreate_v2")
REMASK_OLD_ABI(cuMemGetInfo, "cuMemGetInfo_v2")
REMASK_OLD_ABI(cuMemAlloc, "cuMemAlloc_v2")
REMASK_OLD_ABI(cuMemFree, "cuMemFree_v2")
REMASK_OLD_ABI(cuMemGetAddressRange, "cuMemGetAddressRange_v2")
REMASK_OLD_ABI(cuMemAllocHost, "cuMemAllocHost_v2")
REMASK_OLD_ABI(cuMemHostGetDevicePointer, "cuMemHostGetDevicePointer_v2")
REMASK_OLD_ABI(cuMemcpyHtoD, "cuMemcpyHtoD_v2")
REMASK_OLD_ABI(cuMemcpyDtoH, "cuMemcpyDtoH_v2")
REMASK_OLD_ABI(cuMemcpyDtoD, "cuMemcpyDtoD_v2")
REMASK_OLD_ABI(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2")
REMASK_OLD_ABI(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2")
REMASK_OLD_ABI(cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2")
REMASK_OLD_ABI(cuMemsetD8, "cuMemsetD8_v2")
REMASK_OLD_ABI(cuMemsetD16, "cuMemsetD16_v2")
REMASK_OLD_ABI(cuMemsetD32, "cuMemsetD32_v2")
REMASK_OLD_ABI(cuStreamBeginCapture, "cuStreamBeginCapture_v2")
