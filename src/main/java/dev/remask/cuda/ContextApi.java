package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.invoke.MethodHandle;

/// Driver functions on contexts, under their C names. See [Linking] for the rules of a binding.
final class ContextApi {
  private static final NativeLibrary LIBRARY = NativeLibraries.driver();
  private static final MethodHandle CU_DEVICE_PRIMARY_CTX_RETAIN =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_INT), "cuDevicePrimaryCtxRetain");
  private static final MethodHandle CU_DEVICE_PRIMARY_CTX_RELEASE_V2 =
      LIBRARY.required(Linking.status(JAVA_INT), "cuDevicePrimaryCtxRelease_v2");
  private static final MethodHandle CU_CTX_SET_CURRENT =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuCtxSetCurrent");

  private static final MethodHandle CU_CTX_PUSH_CURRENT_V2 =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuCtxPushCurrent_v2");
  private static final MethodHandle CU_CTX_POP_CURRENT_V2 =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuCtxPopCurrent_v2");
  private static final MethodHandle CU_CTX_GET_DEVICE =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuCtxGetDevice");

  private ContextApi() {}

  static int cuCtxPushCurrent_v2(long context) {
    try {
      return (int) CU_CTX_PUSH_CURRENT_V2.invokeExact(context);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuCtxPopCurrent_v2(long context) {
    try {
      return (int) CU_CTX_POP_CURRENT_V2.invokeExact(context);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuCtxGetDevice(long device) {
    try {
      return (int) CU_CTX_GET_DEVICE.invokeExact(device);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuDevicePrimaryCtxRetain(long context, int device) {
    try {
      return (int) CU_DEVICE_PRIMARY_CTX_RETAIN.invokeExact(context, device);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuDevicePrimaryCtxRelease_v2(int device) {
    try {
      return (int) CU_DEVICE_PRIMARY_CTX_RELEASE_V2.invokeExact(device);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuCtxSetCurrent(long context) {
    try {
      return (int) CU_CTX_SET_CURRENT.invokeExact(context);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
