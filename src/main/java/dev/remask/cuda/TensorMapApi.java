package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.invoke.MethodHandle;

/// Driver functions on tensor maps, under their C names.
final class TensorMapApi {
  private static final NativeLibrary LIBRARY = NativeLibraries.driver();
  private static final MethodHandle CU_TENSOR_MAP_ENCODE_TILED =
      LIBRARY.required(
          Linking.status(
              JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
              JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT),
          "cuTensorMapEncodeTiled");

  private TensorMapApi() {}

  static int cuTensorMapEncodeTiled(
      long map,
      int type,
      int rank,
      long address,
      long dimensions,
      long strides,
      long box,
      long elementStrides,
      int interleave,
      int swizzle,
      int promotion,
      int fill) {
    try {
      return (int)
          CU_TENSOR_MAP_ENCODE_TILED.invokeExact(
              map,
              type,
              rank,
              address,
              dimensions,
              strides,
              box,
              elementStrides,
              interleave,
              swizzle,
              promotion,
              fill);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
