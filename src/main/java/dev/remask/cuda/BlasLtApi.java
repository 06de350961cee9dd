package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.invoke.MethodHandle;

/// cuBLASLt functions, under their C names: of libcublasLt beside a driver, of the software
/// device's own library otherwise.
final class BlasLtApi {
  private static final NativeLibrary LIBRARY = NativeLibraries.blasLt();
  private static final MethodHandle CUBLASLT_CREATE =
      LIBRARY.required(Linking.status(JAVA_LONG), "cublasLtCreate");
  private static final MethodHandle CUBLASLT_DESTROY =
      LIBRARY.required(Linking.status(JAVA_LONG), "cublasLtDestroy");
  private static final MethodHandle CUBLASLT_GET_VERSION =
      LIBRARY.required(FunctionDescriptor.of(JAVA_LONG), "cublasLtGetVersion");
  private static final MethodHandle CUBLASLT_MATMUL_DESC_CREATE =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_INT, JAVA_INT), "cublasLtMatmulDescCreate");
  private static final MethodHandle CUBLASLT_MATMUL_DESC_DESTROY =
      LIBRARY.required(Linking.status(JAVA_LONG), "cublasLtMatmulDescDestroy");
  private static final MethodHandle CUBLASLT_MATMUL_DESC_SET_ATTRIBUTE =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG),
          "cublasLtMatmulDescSetAttribute");
  private static final MethodHandle CUBLASLT_MATRIX_LAYOUT_CREATE =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG),
          "cublasLtMatrixLayoutCreate");
  private static final MethodHandle CUBLASLT_MATRIX_LAYOUT_DESTROY =
      LIBRARY.required(Linking.status(JAVA_LONG), "cublasLtMatrixLayoutDestroy");
  private static final MethodHandle CUBLASLT_MATMUL_PREFERENCE_CREATE =
      LIBRARY.required(Linking.status(JAVA_LONG), "cublasLtMatmulPreferenceCreate");
  private static final MethodHandle CUBLASLT_MATMUL_PREFERENCE_DESTROY =
      LIBRARY.required(Linking.status(JAVA_LONG), "cublasLtMatmulPreferenceDestroy");
  private static final MethodHandle CUBLASLT_MATMUL_PREFERENCE_SET_ATTRIBUTE =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG),
          "cublasLtMatmulPreferenceSetAttribute");
  private static final MethodHandle CUBLASLT_MATMUL_ALGO_GET_HEURISTIC =
      LIBRARY.required(
          Linking.status(
              JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT,
              JAVA_LONG, JAVA_LONG),
          "cublasLtMatmulAlgoGetHeuristic");
  private static final MethodHandle CUBLASLT_MATMUL =
      LIBRARY.required(
          Linking.status(
              JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
              JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
              JAVA_LONG, JAVA_LONG),
          "cublasLtMatmul");

  private BlasLtApi() {}

  static int cublasLtCreate(long handle) {
    try {
      return (int) CUBLASLT_CREATE.invokeExact(handle);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtDestroy(long handle) {
    try {
      return (int) CUBLASLT_DESTROY.invokeExact(handle);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static long cublasLtGetVersion() {
    try {
      return (long) CUBLASLT_GET_VERSION.invokeExact();
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatmulDescCreate(long descriptor, int computeType, int scaleType) {
    try {
      return (int) CUBLASLT_MATMUL_DESC_CREATE.invokeExact(descriptor, computeType, scaleType);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatmulDescDestroy(long descriptor) {
    try {
      return (int) CUBLASLT_MATMUL_DESC_DESTROY.invokeExact(descriptor);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatmulDescSetAttribute(
      long descriptor, int attribute, long value, long bytes) {
    try {
      return (int)
          CUBLASLT_MATMUL_DESC_SET_ATTRIBUTE.invokeExact(descriptor, attribute, value, bytes);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatrixLayoutCreate(
      long layout, int type, long rows, long columns, long leadingDimension) {
    try {
      return (int)
          CUBLASLT_MATRIX_LAYOUT_CREATE.invokeExact(layout, type, rows, columns, leadingDimension);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatrixLayoutDestroy(long layout) {
    try {
      return (int) CUBLASLT_MATRIX_LAYOUT_DESTROY.invokeExact(layout);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatmulPreferenceCreate(long preference) {
    try {
      return (int) CUBLASLT_MATMUL_PREFERENCE_CREATE.invokeExact(preference);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatmulPreferenceDestroy(long preference) {
    try {
      return (int) CUBLASLT_MATMUL_PREFERENCE_DESTROY.invokeExact(preference);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatmulPreferenceSetAttribute(
      long preference, int attribute, long value, long bytes) {
    try {
      return (int)
          CUBLASLT_MATMUL_PREFERENCE_SET_ATTRIBUTE.invokeExact(preference, attribute, value, bytes);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatmulAlgoGetHeuristic(
      long handle,
      long descriptor,
      long layoutA,
      long layoutB,
      long layoutC,
      long layoutD,
      long preference,
      int requested,
      long results,
      long found) {
    try {
      return (int)
          CUBLASLT_MATMUL_ALGO_GET_HEURISTIC.invokeExact(
              handle,
              descriptor,
              layoutA,
              layoutB,
              layoutC,
              layoutD,
              preference,
              requested,
              results,
              found);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cublasLtMatmul(
      long handle,
      long descriptor,
      long alpha,
      long a,
      long layoutA,
      long b,
      long layoutB,
      long beta,
      long c,
      long layoutC,
      long d,
      long layoutD,
      long algorithm,
      long workspace,
      long workspaceBytes,
      long stream) {
    try {
      return (int)
          CUBLASLT_MATMUL.invokeExact(
              handle,
              descriptor,
              alpha,
              a,
              layoutA,
              b,
              layoutB,
              beta,
              c,
              layoutC,
              d,
              layoutD,
              algorithm,
              workspace,
              workspaceBytes,
              stream);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
