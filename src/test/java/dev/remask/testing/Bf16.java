package dev.remask.testing;

/// bfloat16 in Java: the upper half of an f32, rounded to nearest, ties to even.
public final class Bf16 {
  /// Half the distance from 1 to the next value: the largest relative error of one rounding.
  public static final double UNIT_ROUNDOFF = 0x1p-8;

  private Bf16() {}

  /// The bits of the nearest bf16.
  public static short toBits(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) (bits >>> 16 | 0x40);
    }
    return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
  }

  /// The value of bf16 bits; exact.
  public static float fromBits(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /// The nearest value that bf16 holds.
  public static float round(float value) {
    return fromBits(toBits(value));
  }

  /// [#round(float)] of each.
  public static float[] round(float[] values) {
    var rounded = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      rounded[i] = round(values[i]);
    }
    return rounded;
  }
}
