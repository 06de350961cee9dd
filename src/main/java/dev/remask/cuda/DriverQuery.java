package dev.remask.cuda;

import static dev.remask.cuda.DriverConstants.CUDA_SUCCESS;
import static dev.remask.cuda.DriverConstants.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
import static dev.remask.cuda.DriverConstants.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR;
import static dev.remask.cuda.DriverConstants.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/// Initialises one driver library and asks it about its devices.
///
/// These handles belong to an instance, because `auto` and `info` look at libraries that the
/// process may then not use; everything else is linked once, against the library that was chosen.
/// Any thread.
final class DriverQuery {
  /// What one device says of itself.
  record Properties(
      int handle, String name, long totalBytes, int computeCapability, int multiprocessors) {}

  private static final int MAX_NAME_BYTES = 256;

  private final NativeLibrary library;
  private final MethodHandle init;
  private final MethodHandle driverVersion;
  private final MethodHandle deviceCount;
  private final MethodHandle device;
  private final MethodHandle deviceName;
  private final MethodHandle deviceAttribute;
  private final MethodHandle deviceTotalBytes;
  private final MethodHandle errorName;

  DriverQuery(NativeLibrary library) {
    this.library = library;
    init = library.required(Linking.status(JAVA_INT), "cuInit");
    driverVersion = library.required(Linking.status(JAVA_LONG), "cuDriverGetVersion");
    deviceCount = library.required(Linking.status(JAVA_LONG), "cuDeviceGetCount");
    device = library.required(Linking.status(JAVA_LONG, JAVA_INT), "cuDeviceGet");
    deviceName = library.required(Linking.status(JAVA_LONG, JAVA_INT, JAVA_INT), "cuDeviceGetName");
    deviceAttribute =
        library.required(Linking.status(JAVA_LONG, JAVA_INT, JAVA_INT), "cuDeviceGetAttribute");
    deviceTotalBytes = library.required(Linking.status(JAVA_LONG, JAVA_INT), "cuDeviceTotalMem_v2");
    errorName = library.required(Linking.status(JAVA_INT, JAVA_LONG), "cuGetErrorName");
  }

  NativeLibrary library() {
    return library;
  }

  /// Initialises the driver; repeating it costs nothing.
  void initialize() {
    check(invoke(init, 0), "cuInit", "flags=0");
  }

  int driverVersion() {
    return readInt(driverVersion, "cuDriverGetVersion");
  }

  int deviceCount() {
    return readInt(deviceCount, "cuDeviceGetCount");
  }

  Properties properties(int ordinal) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(MAX_NAME_BYTES, 8);
      String arguments = "device=" + ordinal;
      check(invoke(device, out.address(), ordinal), "cuDeviceGet", arguments);
      int handle = out.get(JAVA_INT, 0);
      check(invoke(deviceTotalBytes, out.address(), handle), "cuDeviceTotalMem_v2", arguments);
      long totalBytes = out.get(JAVA_LONG, 0);
      int major = attribute(out, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, handle);
      int minor = attribute(out, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, handle);
      int multiprocessors = attribute(out, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, handle);
      check(
          invoke(deviceName, out.address(), MAX_NAME_BYTES, handle), "cuDeviceGetName", arguments);
      return new Properties(
          handle, out.getString(0), totalBytes, major * 10 + minor, multiprocessors);
    }
  }

  /// The name of a status, for example `CUDA_ERROR_OUT_OF_MEMORY`.
  String errorName(int status) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_LONG);
      if (invokeErrorName(status, out.address()) == CUDA_SUCCESS) {
        return Linking.text(out.get(JAVA_LONG, 0));
      }
      return "unknown CUDA error";
    }
  }

  private int attribute(MemorySegment out, int attribute, int handle) {
    check(
        invoke(deviceAttribute, out.address(), attribute, handle),
        "cuDeviceGetAttribute",
        "attribute=" + attribute);
    return out.get(JAVA_INT, 0);
  }

  private int readInt(MethodHandle handle, String function) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      check(invoke(handle, out.address()), function, "");
      return out.get(JAVA_INT, 0);
    }
  }

  private void check(int status, String function, String arguments) {
    if (status != CUDA_SUCCESS) {
      throw Status.failure(this, status, function, arguments);
    }
  }

  private static int invoke(MethodHandle handle, int value) {
    try {
      return (int) handle.invokeExact(value);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  private static int invoke(MethodHandle handle, long out) {
    try {
      return (int) handle.invokeExact(out);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  private static int invoke(MethodHandle handle, long out, int value) {
    try {
      return (int) handle.invokeExact(out, value);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  private static int invoke(MethodHandle handle, long out, int value, int other) {
    try {
      return (int) handle.invokeExact(out, value, other);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  private int invokeErrorName(int status, long out) {
    try {
      return (int) errorName.invokeExact(status, out);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
