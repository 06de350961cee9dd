package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.invoke.MethodHandle;

/// Driver functions of the error log (CUDA 12.9 and the software device), under their C names.
///
/// Both are absent on older drivers, whose errors then come without the driver's own words.
final class LogApi {
  private static final NativeLibrary LIBRARY = NativeLibraries.driver();
  private static final MethodHandle CU_LOGS_CURRENT =
      LIBRARY.optional(Linking.status(JAVA_LONG, JAVA_INT), "cuLogsCurrent");
  private static final MethodHandle CU_LOGS_DUMP_TO_MEMORY =
      LIBRARY.optional(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT), "cuLogsDumpToMemory");

  private LogApi() {}

  static boolean has_cuLogsCurrent() {
    return CU_LOGS_CURRENT != null;
  }

  static int cuLogsCurrent(long iterator, int flags) {
    try {
      return (int) CU_LOGS_CURRENT.invokeExact(iterator, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static boolean has_cuLogsDumpToMemory() {
    return CU_LOGS_DUMP_TO_MEMORY != null;
  }

  static int cuLogsDumpToMemory(long iterator, long buffer, long size, int flags) {
    try {
      return (int) CU_LOGS_DUMP_TO_MEMORY.invokeExact(iterator, buffer, size, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
