// Names, values and descriptions of CUresult and cublasStatus_t, as X macros.
#ifndef REMASK_DRIVER_CUDA_ERRORS_H_
#define REMASK_DRIVER_CUDA_ERRORS_H_

// X(name without CUDA_ERROR_, value, description)
// clang-format off
#define REMASK_CUDA_ERRORS(X) \
  X(INVALID_VALUE, 1, "invalid argument") \
  X(OUT_OF_MEMORY, 2, "out of memory") \
  X(NOT_INITIALIZED, 3, "initialization error") \
  X(DEINITIALIZED, 4, "driver shutting down") \
  X(PROFILER_DISABLED, 5, "profiler disabled") \
  X(PROFILER_NOT_INITIALIZED, 6, "profiler not initialized") \
  X(PROFILER_ALREADY_STARTED, 7, "profiler already started") \
  X(PROFILER_ALREADY_STOPPED, 8, "profiler already stopped") \
  X(STUB_LIBRARY, 34, "stub library") \
  X(CALL_REQUIRES_NEWER_DRIVER, 36, "call requires newer driver") \
  X(DEVICE_UNAVAILABLE, 46, "device unavailable") \
  X(NO_DEVICE, 100, "no CUDA-capable device is detected") \
  X(INVALID_DEVICE, 101, "invalid device ordinal") \
  X(DEVICE_NOT_LICENSED, 102, "device not licensed") \
  X(INVALID_IMAGE, 200, "device kernel image is invalid") \
  X(INVALID_CONTEXT, 201, "invalid device context") \
  X(CONTEXT_ALREADY_CURRENT, 202, "context already current") \
  X(MAP_FAILED, 205, "map failed") \
  X(UNMAP_FAILED, 206, "unmap failed") \
  X(ARRAY_IS_MAPPED, 207, "array is mapped") \
  X(ALREADY_MAPPED, 208, "already mapped") \
  X(NO_BINARY_FOR_GPU, 209, "no kernel image is available for execution on the device") \
  X(ALREADY_ACQUIRED, 210, "already acquired") \
  X(NOT_MAPPED, 211, "not mapped") \
  X(NOT_MAPPED_AS_ARRAY, 212, "not mapped as array") \
  X(NOT_MAPPED_AS_POINTER, 213, "not mapped as pointer") \
  X(ECC_UNCORRECTABLE, 214, "ecc uncorrectable") \
  X(UNSUPPORTED_LIMIT, 215, "unsupported limit") \
  X(CONTEXT_ALREADY_IN_USE, 216, "context already in use") \
  X(PEER_ACCESS_UNSUPPORTED, 217, "peer access unsupported") \
  X(INVALID_PTX, 218, "invalid ptx") \
  X(INVALID_GRAPHICS_CONTEXT, 219, "invalid graphics context") \
  X(NVLINK_UNCORRECTABLE, 220, "nvlink uncorrectable") \
  X(JIT_COMPILER_NOT_FOUND, 221, "jit compiler not found") \
  X(UNSUPPORTED_PTX_VERSION, 222, "unsupported ptx version") \
  X(JIT_COMPILATION_DISABLED, 223, "jit compilation disabled") \
  X(UNSUPPORTED_EXEC_AFFINITY, 224, "unsupported exec affinity") \
  X(UNSUPPORTED_DEVSIDE_SYNC, 225, "unsupported devside sync") \
  X(CONTAINED, 226, "contained") \
  X(INVALID_SOURCE, 300, "invalid source") \
  X(FILE_NOT_FOUND, 301, "file not found") \
  X(SHARED_OBJECT_SYMBOL_NOT_FOUND, 302, "shared object symbol not found") \
  X(SHARED_OBJECT_INIT_FAILED, 303, "shared object init failed") \
  X(OPERATING_SYSTEM, 304, "operating system") \
  X(INVALID_HANDLE, 400, "invalid resource handle") \
  X(ILLEGAL_STATE, 401, "illegal state") \
  X(LOSSY_QUERY, 402, "lossy query") \
  X(NOT_FOUND, 500, "named symbol not found") \
  X(NOT_READY, 600, "device not ready") \
  X(ILLEGAL_ADDRESS, 700, "an illegal memory access was encountered") \
  X(LAUNCH_OUT_OF_RESOURCES, 701, "too many resources requested for launch") \
  X(LAUNCH_TIMEOUT, 702, "launch timeout") \
  X(LAUNCH_INCOMPATIBLE_TEXTURING, 703, "launch incompatible texturing") \
  X(PEER_ACCESS_ALREADY_ENABLED, 704, "peer access already enabled") \
  X(PEER_ACCESS_NOT_ENABLED, 705, "peer access not enabled") \
  X(PRIMARY_CONTEXT_ACTIVE, 708, "cannot set while device is active in this process") \
  X(CONTEXT_IS_DESTROYED, 709, "context is destroyed") \
  X(ASSERT, 710, "assert") \
  X(TOO_MANY_PEERS, 711, "too many peers") \
  X(HOST_MEMORY_ALREADY_REGISTERED, 712, "host memory already registered") \
  X(HOST_MEMORY_NOT_REGISTERED, 713, "host memory not registered") \
  X(HARDWARE_STACK_ERROR, 714, "hardware stack error") \
  X(ILLEGAL_INSTRUCTION, 715, "illegal instruction") \
  X(MISALIGNED_ADDRESS, 716, "misaligned address") \
  X(INVALID_ADDRESS_SPACE, 717, "invalid address space") \
  X(INVALID_PC, 718, "invalid pc") \
  X(LAUNCH_FAILED, 719, "unspecified launch failure") \
  X(COOPERATIVE_LAUNCH_TOO_LARGE, 720, "cooperative launch too large") \
  X(TENSOR_MEMORY_LEAK, 721, "tensor memory leak") \
  X(NOT_PERMITTED, 800, "operation not permitted") \
  X(NOT_SUPPORTED, 801, "operation not supported") \
  X(SYSTEM_NOT_READY, 802, "system not ready") \
  X(SYSTEM_DRIVER_MISMATCH, 803, "system driver mismatch") \
  X(COMPAT_NOT_SUPPORTED_ON_DEVICE, 804, "compat not supported on device") \
  X(MPS_CONNECTION_FAILED, 805, "mps connection failed") \
  X(MPS_RPC_FAILURE, 806, "mps rpc failure") \
  X(MPS_SERVER_NOT_READY, 807, "mps server not ready") \
  X(MPS_MAX_CLIENTS_REACHED, 808, "mps max clients reached") \
  X(MPS_MAX_CONNECTIONS_REACHED, 809, "mps max connections reached") \
  X(MPS_CLIENT_TERMINATED, 810, "mps client terminated") \
  X(CDP_NOT_SUPPORTED, 811, "cdp not supported") \
  X(CDP_VERSION_MISMATCH, 812, "cdp version mismatch") \
  X(STREAM_CAPTURE_UNSUPPORTED, 900, "operation not permitted when stream is capturing") \
  X(STREAM_CAPTURE_INVALIDATED, 901, "operation failed due to a previous error during capture") \
  X(STREAM_CAPTURE_MERGE, 902, "operation would result in a merge of separate capture sequences") \
  X(STREAM_CAPTURE_UNMATCHED, 903, "capture was not ended in the same stream as it began") \
  X(STREAM_CAPTURE_UNJOINED, 904, "capturing stream has unjoined work") \
  X(STREAM_CAPTURE_ISOLATION, 905, "dependency created on uncaptured work in another stream") \
  X(STREAM_CAPTURE_IMPLICIT, 906, "operation would make the legacy stream depend on a capturing blocking stream") \
  X(CAPTURED_EVENT, 907, "operation not permitted on an event last recorded in a capturing stream") \
  X(STREAM_CAPTURE_WRONG_THREAD, 908, "attempt to terminate a thread-local capture sequence from another thread") \
  X(TIMEOUT, 909, "timeout") \
  X(GRAPH_EXEC_UPDATE_FAILURE, 910, "the graph update was not performed because it included changes which violated constraints specific to instantiated graph update") \
  X(EXTERNAL_DEVICE, 911, "external device") \
  X(INVALID_CLUSTER_SIZE, 912, "invalid cluster size") \
  X(FUNCTION_NOT_LOADED, 913, "function not loaded") \
  X(INVALID_RESOURCE_TYPE, 914, "invalid resource type") \
  X(INVALID_RESOURCE_CONFIGURATION, 915, "invalid resource configuration") \
  X(KEY_ROTATION, 916, "key rotation") \
  X(UNKNOWN, 999, "unknown error")

// X(name without CUBLAS_STATUS_, value)
#define REMASK_CUBLAS_STATUSES(X) \
  X(NOT_INITIALIZED, 1) \
  X(ALLOC_FAILED, 3) \
  X(INVALID_VALUE, 7) \
  X(ARCH_MISMATCH, 8) \
  X(MAPPING_ERROR, 11) \
  X(EXECUTION_FAILED, 13) \
  X(INTERNAL_ERROR, 14) \
  X(NOT_SUPPORTED, 15) \
  X(LICENSE_ERROR, 16)
// clang-format on

#endif  // REMASK_DRIVER_CUDA_ERRORS_H_
