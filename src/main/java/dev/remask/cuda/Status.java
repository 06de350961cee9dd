package dev.remask.cuda;

import static dev.remask.cuda.DriverConstants.CUDA_ERROR_ILLEGAL_ADDRESS;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_INVALID_CONTEXT;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_INVALID_DEVICE;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_INVALID_IMAGE;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_INVALID_PTX;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_LAUNCH_FAILED;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_LAUNCH_TIMEOUT;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_NO_BINARY_FOR_GPU;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_NO_DEVICE;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_OUT_OF_MEMORY;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_STUB_LIBRARY;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
import static dev.remask.cuda.DriverConstants.CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
import static dev.remask.cuda.DriverConstants.CUDA_SUCCESS;

/// The one place where statuses become exceptions.
///
/// The overloads take plain values instead of a varargs array, so that a call that succeeds
/// allocates nothing.
final class Status {
  private Status() {}

  static void check(int status, String function) {
    if (status != CUDA_SUCCESS) {
      throw failure(status, function, "");
    }
  }

  static void check(int status, String function, String name, long value) {
    if (status != CUDA_SUCCESS) {
      throw failure(status, function, name + "=" + value);
    }
  }

  static void check(int status, String function, Object subject) {
    if (status != CUDA_SUCCESS) {
      throw failure(status, function, subject.toString());
    }
  }

  static void check(int status, String function, Object subject, Object other) {
    if (status != CUDA_SUCCESS) {
      throw failure(status, function, subject + ", " + other);
    }
  }

  static CudaException failure(int status, String function, String arguments) {
    return failure(NativeLibraries.driverQuery(), status, function, arguments);
  }

  /// For calls made before a library has been chosen for the process.
  static CudaException failure(DriverQuery query, int status, String function, String arguments) {
    String name = query.errorName(status);
    String log = NativeLibraries.isFixedTo(query.library()) ? DriverLog.drain() : "";
    return CudaException.status(function, arguments, name, status, hint(status), log);
  }

  private static String hint(int status) {
    return switch (status) {
      case CUDA_ERROR_OUT_OF_MEMORY ->
          "the device has no memory left for this; close other users of it, or load with smaller"
              + " limits of tokens and rows";
      case CUDA_ERROR_NO_DEVICE ->
          "the driver sees no device; check nvidia-smi and CUDA_VISIBLE_DEVICES";
      case CUDA_ERROR_INVALID_DEVICE -> "there is no device with this number";
      case CUDA_ERROR_STUB_LIBRARY ->
          "the libcuda.so.1 that was loaded is the toolkit's stub; take its folder out of"
              + " LD_LIBRARY_PATH";
      case CUDA_ERROR_INVALID_CONTEXT -> "no context is current on the calling thread";
      case CUDA_ERROR_NO_BINARY_FOR_GPU,
          CUDA_ERROR_INVALID_IMAGE,
          CUDA_ERROR_INVALID_PTX,
          CUDA_ERROR_UNSUPPORTED_PTX_VERSION ->
          "the kernel image does not fit this device or driver; images of nvcc 13 need driver 580"
              + " or newer, of nvcc 12.8 driver 570 or newer";
      case CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_LAUNCH_FAILED, CUDA_ERROR_LAUNCH_TIMEOUT ->
          "a kernel that ran earlier failed; the context is unusable and must be closed";
      case CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES ->
          "too many threads, registers or argument bytes for this kernel";
      case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH ->
          "the kernel module and libcuda.so.1 are of different versions; reboot after an update";
      case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED ->
          "this call is not allowed while a stream is being captured";
      default -> "";
    };
  }
}
