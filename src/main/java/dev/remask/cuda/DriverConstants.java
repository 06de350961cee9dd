package dev.remask.cuda;

/// The constants of `cuda.h` that are used here, under their C names; AbiTest compares each of them
/// with the ABI table.
final class DriverConstants {
  static final int CUDA_SUCCESS = 0;
  static final int CUDA_ERROR_INVALID_VALUE = 1;
  static final int CUDA_ERROR_OUT_OF_MEMORY = 2;
  static final int CUDA_ERROR_NOT_INITIALIZED = 3;
  static final int CUDA_ERROR_DEINITIALIZED = 4;
  static final int CUDA_ERROR_STUB_LIBRARY = 34;
  static final int CUDA_ERROR_NO_DEVICE = 100;
  static final int CUDA_ERROR_INVALID_DEVICE = 101;
  static final int CUDA_ERROR_INVALID_IMAGE = 200;
  static final int CUDA_ERROR_INVALID_CONTEXT = 201;
  static final int CUDA_ERROR_NO_BINARY_FOR_GPU = 209;
  static final int CUDA_ERROR_INVALID_PTX = 218;
  static final int CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222;
  static final int CUDA_ERROR_INVALID_HANDLE = 400;
  static final int CUDA_ERROR_NOT_FOUND = 500;
  static final int CUDA_ERROR_NOT_READY = 600;
  static final int CUDA_ERROR_ILLEGAL_ADDRESS = 700;
  static final int CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701;
  static final int CUDA_ERROR_LAUNCH_TIMEOUT = 702;
  static final int CUDA_ERROR_LAUNCH_FAILED = 719;
  static final int CUDA_ERROR_NOT_SUPPORTED = 801;
  static final int CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803;
  static final int CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900;
  static final int CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901;
  static final int CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE = 910;
  static final int CUDA_ERROR_UNKNOWN = 999;

  static final int CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16;
  static final int CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75;
  static final int CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76;

  static final int CU_GRAPH_NODE_TYPE_CONDITIONAL = 13;
  static final int CU_GRAPH_COND_ASSIGN_DEFAULT = 1;
  static final int CU_GRAPH_COND_TYPE_IF = 0;
  static final int CU_GRAPH_COND_TYPE_WHILE = 1;

  static final int CU_STREAM_NON_BLOCKING = 1;
  static final int CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1;
  static final int CU_EVENT_DEFAULT = 0;
  static final int CU_MEMHOSTALLOC_DEVICEMAP = 2;
  static final int CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8;

  static final int CU_LAUNCH_PARAM_END_AS_INT = 0;
  static final int CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT = 1;
  static final int CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT = 2;

  static final int CU_TENSOR_MAP_DATA_TYPE_INT32 = 3;
  static final int CU_TENSOR_MAP_DATA_TYPE_FLOAT32 = 7;
  static final int CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 = 9;
  static final int CU_TENSOR_MAP_INTERLEAVE_NONE = 0;
  static final int CU_TENSOR_MAP_SWIZZLE_NONE = 0;
  static final int CU_TENSOR_MAP_SWIZZLE_32B = 1;
  static final int CU_TENSOR_MAP_SWIZZLE_64B = 2;
  static final int CU_TENSOR_MAP_SWIZZLE_128B = 3;
  static final int CU_TENSOR_MAP_L2_PROMOTION_L2_256B = 3;
  static final int CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE = 0;

  private DriverConstants() {}
}
