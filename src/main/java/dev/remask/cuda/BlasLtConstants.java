package dev.remask.cuda;

/// The constants of `cublasLt.h` and `library_types.h` that are used here, under their C names;
/// AbiTest compares each of them with the ABI table.
final class BlasLtConstants {
  static final int CUBLAS_STATUS_SUCCESS = 0;
  static final int CUBLAS_STATUS_NOT_INITIALIZED = 1;
  static final int CUBLAS_STATUS_ALLOC_FAILED = 3;
  static final int CUBLAS_STATUS_INVALID_VALUE = 7;
  static final int CUBLAS_STATUS_ARCH_MISMATCH = 8;
  static final int CUBLAS_STATUS_MAPPING_ERROR = 11;
  static final int CUBLAS_STATUS_EXECUTION_FAILED = 13;
  static final int CUBLAS_STATUS_INTERNAL_ERROR = 14;
  static final int CUBLAS_STATUS_NOT_SUPPORTED = 15;
  static final int CUBLAS_STATUS_LICENSE_ERROR = 16;

  static final int CUBLAS_COMPUTE_32F = 68;
  static final int CUDA_R_32F = 0;
  static final int CUDA_R_16BF = 14;

  static final int CUBLAS_OP_N = 0;
  static final int CUBLAS_OP_T = 1;
  static final int CUBLASLT_MATMUL_DESC_TRANSA = 3;
  static final int CUBLASLT_MATMUL_DESC_TRANSB = 4;
  static final int CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1;

  private BlasLtConstants() {}
}
