package dev.remask.model;

import dev.remask.kernel.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// Converts elements of a file's type to the type the kernels take.
final class Conversion {
  // A file's data may start at any byte.
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int BF16_SHIFT = 16;

  private Conversion() {}

  /// Converts `count` elements from the start of `from` to the start of `to`; to bf16 it rounds to
  /// nearest, ties to even. `fromType` must be loadable.
  static void convert(
      MemorySegment from, TensorType fromType, MemorySegment to, DType toType, int count) {
    boolean same =
        (fromType == TensorType.BF16 && toType == DType.BF16)
            || (fromType == TensorType.F32 && toType == DType.F32);
    if (same) {
      MemorySegment.copy(from, 0, to, 0, (long) count * toType.bytes());
      return;
    }
    // One plain loop per pair, so that the compiler can vectorise each.
    boolean toBf16 = toType == DType.BF16;
    switch (fromType) {
      case BF16 -> {
        for (long i = 0; i < count; i++) {
          to.set(INT, i * 4, from.get(SHORT, i * 2) << BF16_SHIFT);
        }
      }
      case F32 -> {
        for (long i = 0; i < count; i++) {
          to.set(SHORT, i * 2, toBf16(from.get(INT, i * 4)));
        }
      }
      case F16 -> {
        for (long i = 0; i < count; i++) {
          float value = Float.float16ToFloat(from.get(SHORT, i * 2));
          if (toBf16) {
            to.set(SHORT, i * 2, toBf16(Float.floatToRawIntBits(value)));
          } else {
            to.set(FLOAT, i * 4, value);
          }
        }
      }
      default -> throw new IllegalArgumentException(fromType + " is not loadable");
    }
  }

  /// The bf16 nearest to an f32, both as bits. A NaN stays one: rounding could carry it to
  /// infinity.
  static short toBf16(int bits) {
    boolean nan = (bits & 0x7fffffff) > 0x7f800000;
    int roundToEven = 0x7fff + ((bits >>> BF16_SHIFT) & 1);
    return (short) ((nan ? bits | 0x400000 : bits + roundToEven) >>> BF16_SHIFT);
  }
}
