package dev.remask.cuda;

import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_ALLOC_FAILED;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_ARCH_MISMATCH;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_EXECUTION_FAILED;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_INTERNAL_ERROR;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_INVALID_VALUE;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_LICENSE_ERROR;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_MAPPING_ERROR;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_NOT_INITIALIZED;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_NOT_SUPPORTED;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_SUCCESS;

/// The one place where cuBLASLt's statuses become exceptions.
final class BlasLtStatus {
  private BlasLtStatus() {}

  static void check(int status, String function, Object arguments) {
    if (status != CUBLAS_STATUS_SUCCESS) {
      throw failure(status, function, arguments.toString());
    }
  }

  static CudaException failure(int status, String function, String arguments) {
    return CudaException.status(
        function, arguments, name(status), status, hint(status), DriverLog.drain());
  }

  private static String name(int status) {
    return switch (status) {
      case CUBLAS_STATUS_NOT_INITIALIZED -> "CUBLAS_STATUS_NOT_INITIALIZED";
      case CUBLAS_STATUS_ALLOC_FAILED -> "CUBLAS_STATUS_ALLOC_FAILED";
      case CUBLAS_STATUS_INVALID_VALUE -> "CUBLAS_STATUS_INVALID_VALUE";
      case CUBLAS_STATUS_ARCH_MISMATCH -> "CUBLAS_STATUS_ARCH_MISMATCH";
      case CUBLAS_STATUS_MAPPING_ERROR -> "CUBLAS_STATUS_MAPPING_ERROR";
      case CUBLAS_STATUS_EXECUTION_FAILED -> "CUBLAS_STATUS_EXECUTION_FAILED";
      case CUBLAS_STATUS_INTERNAL_ERROR -> "CUBLAS_STATUS_INTERNAL_ERROR";
      case CUBLAS_STATUS_NOT_SUPPORTED -> "CUBLAS_STATUS_NOT_SUPPORTED";
      case CUBLAS_STATUS_LICENSE_ERROR -> "CUBLAS_STATUS_LICENSE_ERROR";
      default -> "unknown cuBLAS status";
    };
  }

  private static String hint(int status) {
    return switch (status) {
      case CUBLAS_STATUS_NOT_INITIALIZED ->
          "cuBLASLt and the driver do not fit, or the device has no memory left";
      case CUBLAS_STATUS_ALLOC_FAILED -> "no memory left";
      case CUBLAS_STATUS_NOT_SUPPORTED ->
          "cuBLASLt has no algorithm for this product; REMASK_GEMM=own uses Remask's kernel";
      default -> "";
    };
  }
}
