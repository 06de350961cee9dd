package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.invoke.MethodHandle;

/// Driver functions on streams and events, under their C names.
///
/// `cuEventElapsedTime` is the old export, which every driver keeps; `_v2` (12.8) has the same
/// shape and stands in where a driver should drop it.
final class StreamApi {
  private static final NativeLibrary LIBRARY = NativeLibraries.driver();
  private static final MethodHandle CU_STREAM_CREATE =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_INT), "cuStreamCreate");
  private static final MethodHandle CU_STREAM_DESTROY_V2 =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuStreamDestroy_v2");
  private static final MethodHandle CU_STREAM_SYNCHRONIZE =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuStreamSynchronize");
  private static final MethodHandle CU_STREAM_WAIT_EVENT =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG, JAVA_INT), "cuStreamWaitEvent");
  private static final MethodHandle CU_EVENT_CREATE =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_INT), "cuEventCreate");
  private static final MethodHandle CU_EVENT_DESTROY_V2 =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuEventDestroy_v2");
  private static final MethodHandle CU_EVENT_RECORD =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG), "cuEventRecord");
  private static final MethodHandle CU_EVENT_QUERY =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuEventQuery");
  private static final MethodHandle CU_EVENT_SYNCHRONIZE =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuEventSynchronize");
  private static final MethodHandle CU_EVENT_ELAPSED_TIME =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG),
          "cuEventElapsedTime",
          "cuEventElapsedTime_v2");

  private static final MethodHandle CU_STREAM_GET_CTX =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG), "cuStreamGetCtx");

  private StreamApi() {}

  static int cuStreamGetCtx(long stream, long context) {
    try {
      return (int) CU_STREAM_GET_CTX.invokeExact(stream, context);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuStreamCreate(long stream, int flags) {
    try {
      return (int) CU_STREAM_CREATE.invokeExact(stream, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuStreamDestroy_v2(long stream) {
    try {
      return (int) CU_STREAM_DESTROY_V2.invokeExact(stream);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuStreamSynchronize(long stream) {
    try {
      return (int) CU_STREAM_SYNCHRONIZE.invokeExact(stream);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuStreamWaitEvent(long stream, long event, int flags) {
    try {
      return (int) CU_STREAM_WAIT_EVENT.invokeExact(stream, event, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuEventCreate(long event, int flags) {
    try {
      return (int) CU_EVENT_CREATE.invokeExact(event, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuEventDestroy_v2(long event) {
    try {
      return (int) CU_EVENT_DESTROY_V2.invokeExact(event);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuEventRecord(long event, long stream) {
    try {
      return (int) CU_EVENT_RECORD.invokeExact(event, stream);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuEventQuery(long event) {
    try {
      return (int) CU_EVENT_QUERY.invokeExact(event);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuEventSynchronize(long event) {
    try {
      return (int) CU_EVENT_SYNCHRONIZE.invokeExact(event);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuEventElapsedTime(long milliseconds, long start, long end) {
    try {
      return (int) CU_EVENT_ELAPSED_TIME.invokeExact(milliseconds, start, end);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
