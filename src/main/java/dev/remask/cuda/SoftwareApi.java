package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.invoke.MethodHandle;

/// The software device's extensions for tests, under their C names.
final class SoftwareApi {
  private static final NativeLibrary LIBRARY = NativeLibraries.software();
  private static final MethodHandle REMASK_SET_FAULT =
      LIBRARY.required(Linking.status(JAVA_LONG), "remaskSetFault");
  private static final MethodHandle REMASK_SET_STRICT =
      LIBRARY.required(Linking.status(JAVA_INT), "remaskSetStrict");
  private static final MethodHandle REMASK_SET_EMULATOR_SEED =
      LIBRARY.required(Linking.status(JAVA_LONG), "remaskSetEmulatorSeed");
  private static final MethodHandle REMASK_CALL_COUNT =
      LIBRARY.required(FunctionDescriptor.of(JAVA_LONG, JAVA_LONG), "remaskCallCount");
  private static final MethodHandle REMASK_LIVE_ALLOCATIONS =
      LIBRARY.required(FunctionDescriptor.of(JAVA_LONG), "remaskLiveAllocations");
  private static final MethodHandle REMASK_LIVE_BYTES =
      LIBRARY.required(FunctionDescriptor.of(JAVA_LONG), "remaskLiveBytes");
  private static final MethodHandle REMASK_THREAD_NAMES =
      LIBRARY.required(FunctionDescriptor.of(JAVA_LONG), "remaskThreadNames");
  private static final MethodHandle REMASK_HOST_KERNELS =
      LIBRARY.required(Linking.status(JAVA_LONG), "remaskHostKernels");

  private SoftwareApi() {}

  static int remaskSetFault(long specification) {
    try {
      return (int) REMASK_SET_FAULT.invokeExact(specification);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int remaskSetStrict(int on) {
    try {
      return (int) REMASK_SET_STRICT.invokeExact(on);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int remaskSetEmulatorSeed(long seed) {
    try {
      return (int) REMASK_SET_EMULATOR_SEED.invokeExact(seed);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static long remaskCallCount(long call) {
    try {
      return (long) REMASK_CALL_COUNT.invokeExact(call);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static long remaskLiveAllocations() {
    try {
      return (long) REMASK_LIVE_ALLOCATIONS.invokeExact();
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static long remaskLiveBytes() {
    try {
      return (long) REMASK_LIVE_BYTES.invokeExact();
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int remaskHostKernels(long name) {
    try {
      return (int) REMASK_HOST_KERNELS.invokeExact(name);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static long remaskThreadNames() {
    try {
      return (long) REMASK_THREAD_NAMES.invokeExact();
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
