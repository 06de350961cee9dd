package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.invoke.MethodHandle;

/// Driver functions on modules, kernels and launches, under their C names.
final class ModuleApi {
  private static final NativeLibrary LIBRARY = NativeLibraries.driver();
  private static final MethodHandle CU_MODULE_LOAD_DATA =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG), "cuModuleLoadData");
  private static final MethodHandle CU_MODULE_UNLOAD =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuModuleUnload");
  private static final MethodHandle CU_MODULE_GET_FUNCTION =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG), "cuModuleGetFunction");
  private static final MethodHandle CU_FUNC_LOAD =
      LIBRARY.optional(Linking.status(JAVA_LONG), "cuFuncLoad");
  private static final MethodHandle CU_FUNC_GET_PARAM_INFO =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG), "cuFuncGetParamInfo");
  private static final MethodHandle CU_FUNC_SET_ATTRIBUTE =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_INT, JAVA_INT), "cuFuncSetAttribute");
  private static final MethodHandle CU_LAUNCH_KERNEL =
      LIBRARY.required(
          Linking.status(
              JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT,
              JAVA_LONG, JAVA_LONG, JAVA_LONG),
          "cuLaunchKernel");

  private ModuleApi() {}

  static int cuModuleLoadData(long module, long image) {
    try {
      return (int) CU_MODULE_LOAD_DATA.invokeExact(module, image);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuModuleUnload(long module) {
    try {
      return (int) CU_MODULE_UNLOAD.invokeExact(module);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuModuleGetFunction(long function, long module, long name) {
    try {
      return (int) CU_MODULE_GET_FUNCTION.invokeExact(function, module, name);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  /// Whether there is a `cuFuncLoad`; the software device has nothing to load.
  static boolean has_cuFuncLoad() {
    return CU_FUNC_LOAD != null;
  }

  static int cuFuncLoad(long function) {
    try {
      return (int) CU_FUNC_LOAD.invokeExact(function);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuFuncGetParamInfo(long function, long index, long offset, long size) {
    try {
      return (int) CU_FUNC_GET_PARAM_INFO.invokeExact(function, index, offset, size);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuFuncSetAttribute(long function, int attribute, int value) {
    try {
      return (int) CU_FUNC_SET_ATTRIBUTE.invokeExact(function, attribute, value);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuLaunchKernel(
      long function,
      int gridX,
      int gridY,
      int gridZ,
      int blockX,
      int blockY,
      int blockZ,
      int sharedBytes,
      long stream,
      long parameters,
      long extra) {
    try {
      return (int)
          CU_LAUNCH_KERNEL.invokeExact(
              function,
              gridX,
              gridY,
              gridZ,
              blockX,
              blockY,
              blockZ,
              sharedBytes,
              stream,
              parameters,
              extra);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
