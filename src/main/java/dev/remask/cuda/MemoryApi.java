package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.invoke.MethodHandle;

/// Driver functions on device and pinned memory and copies, under their C names.
final class MemoryApi {
  private static final NativeLibrary LIBRARY = NativeLibraries.driver();
  private static final MethodHandle CU_MEM_GET_INFO_V2 =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG), "cuMemGetInfo_v2");
  private static final MethodHandle CU_MEM_ALLOC_V2 =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG), "cuMemAlloc_v2");
  private static final MethodHandle CU_MEM_FREE_V2 =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuMemFree_v2");
  private static final MethodHandle CU_MEM_HOST_ALLOC =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG, JAVA_INT), "cuMemHostAlloc");
  private static final MethodHandle CU_MEM_FREE_HOST =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuMemFreeHost");
  private static final MethodHandle CU_MEM_HOST_GET_DEVICE_POINTER_V2 =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_INT), "cuMemHostGetDevicePointer_v2");
  private static final MethodHandle CU_MEMCPY_HTOD_ASYNC_V2 =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG), "cuMemcpyHtoDAsync_v2");
  private static final MethodHandle CU_MEMCPY_DTOH_ASYNC_V2 =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG), "cuMemcpyDtoHAsync_v2");
  private static final MethodHandle CU_MEMCPY_DTOD_ASYNC_V2 =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG), "cuMemcpyDtoDAsync_v2");
  private static final MethodHandle CU_MEMSET_D8_ASYNC =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_BYTE, JAVA_LONG, JAVA_LONG), "cuMemsetD8Async");

  private MemoryApi() {}

  static int cuMemGetInfo_v2(long freeBytes, long totalBytes) {
    try {
      return (int) CU_MEM_GET_INFO_V2.invokeExact(freeBytes, totalBytes);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuMemAlloc_v2(long address, long bytes) {
    try {
      return (int) CU_MEM_ALLOC_V2.invokeExact(address, bytes);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuMemFree_v2(long address) {
    try {
      return (int) CU_MEM_FREE_V2.invokeExact(address);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuMemHostAlloc(long pointer, long bytes, int flags) {
    try {
      return (int) CU_MEM_HOST_ALLOC.invokeExact(pointer, bytes, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuMemFreeHost(long pointer) {
    try {
      return (int) CU_MEM_FREE_HOST.invokeExact(pointer);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuMemHostGetDevicePointer_v2(long devicePointer, long pointer, int flags) {
    try {
      return (int) CU_MEM_HOST_GET_DEVICE_POINTER_V2.invokeExact(devicePointer, pointer, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuMemcpyHtoDAsync_v2(long destination, long source, long bytes, long stream) {
    try {
      return (int) CU_MEMCPY_HTOD_ASYNC_V2.invokeExact(destination, source, bytes, stream);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuMemcpyDtoHAsync_v2(long destination, long source, long bytes, long stream) {
    try {
      return (int) CU_MEMCPY_DTOH_ASYNC_V2.invokeExact(destination, source, bytes, stream);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuMemcpyDtoDAsync_v2(long destination, long source, long bytes, long stream) {
    try {
      return (int) CU_MEMCPY_DTOD_ASYNC_V2.invokeExact(destination, source, bytes, stream);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuMemsetD8Async(long destination, byte value, long bytes, long stream) {
    try {
      return (int) CU_MEMSET_D8_ASYNC.invokeExact(destination, value, bytes, stream);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
