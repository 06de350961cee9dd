package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.kernel.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// Every bit pattern of the 16-bit types, and random f32 ones against a rounding done in double.
class ConversionTest {
  private static final long SEED = 0xbf16;

  @Test
  void toBf16_roundsToNearest_tiesToEven() {
    assertEquals(0x3f80, toBf16(1f));
    assertEquals(0x3f80, toBf16(1f + 0x1p-8f)); // halfway: down to even
    assertEquals(0x3f82, toBf16(1f + 3 * 0x1p-8f)); // halfway: up to even
    assertEquals(0x3f81, toBf16(Math.nextUp(1f + 0x1p-8f)));
    assertEquals(0x7f80, toBf16(Float.MAX_VALUE));
    assertEquals(0xff80, toBf16(Float.NEGATIVE_INFINITY));
    assertEquals(0x8000, toBf16(-0f));
    assertEquals(0x0000, toBf16(Float.MIN_VALUE));
  }

  @Test
  void toBf16_keepsNan() {
    for (int bits : new int[] {0x7f800001, 0x7fffffff, 0xffffffff, 0xff800001, 0x7fc00000}) {
      int rounded = Conversion.toBf16(bits) & 0xffff;
      assertTrue(Float.isNaN(Float.intBitsToFloat(rounded << 16)), Integer.toHexString(bits));
    }
  }

  @Test
  void toBf16_isNearest_onRandomBits() {
    var random = new Random(SEED);
    for (int i = 0; i < 200_000; i++) {
      float value = Float.intBitsToFloat(random.nextInt());
      int rounded = toBf16(value);
      if ((rounded & 0x7f80) == 0x7f80) {
        continue; // NaN, infinite, or rounded to infinity: the distance says nothing
      }
      double found = Math.abs((double) Float.intBitsToFloat(rounded << 16) - value);
      for (int neighbour : new int[] {rounded - 1, rounded + 1}) {
        double other = Math.abs((double) Float.intBitsToFloat((neighbour & 0xffff) << 16) - value);
        assertTrue(
            !(other < found) && (other != found || (rounded & 1) == 0),
            "seed " + SEED + ": " + value);
      }
    }
  }

  @Test
  void convert_everyPair_unaligned() {
    float[] values = {0, 1, -2.5f, 65504, 6e-8f, 1 / 3f, -0f};
    for (TensorType from : new TensorType[] {TensorType.BF16, TensorType.F16, TensorType.F32}) {
      int width = from.bits() / 8;
      MemorySegment source = MemorySegment.ofArray(new byte[values.length * width + 1]).asSlice(1);
      var exact = new float[values.length];
      for (int i = 0; i < values.length; i++) {
        int bits = Float.floatToRawIntBits(values[i]);
        switch (from) {
          case F32 -> {
            source.set(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) i * 4, values[i]);
            exact[i] = values[i];
          }
          case F16 -> {
            short half = Float.floatToFloat16(values[i]);
            source.set(ValueLayout.JAVA_SHORT_UNALIGNED, (long) i * 2, half);
            exact[i] = Float.float16ToFloat(half);
          }
          default -> {
            short half = Conversion.toBf16(bits);
            source.set(ValueLayout.JAVA_SHORT_UNALIGNED, (long) i * 2, half);
            exact[i] = Float.intBitsToFloat(half << 16);
          }
        }
      }
      for (DType to : DType.values()) {
        MemorySegment target = MemorySegment.ofArray(new byte[values.length * to.bytes()]);
        Conversion.convert(source, from, target, to, values.length);
        for (int i = 0; i < values.length; i++) {
          int wanted = Float.floatToRawIntBits(exact[i]);
          int found =
              to == DType.F32
                  ? target.get(ValueLayout.JAVA_INT_UNALIGNED, i * 4L)
                  : target.get(ValueLayout.JAVA_SHORT_UNALIGNED, i * 2L) & 0xffff;
          assertEquals(
              to == DType.F32 ? wanted : Conversion.toBf16(wanted) & 0xffff,
              found,
              from + " to " + to + " of " + values[i]);
        }
      }
    }
  }

  private static int toBf16(float value) {
    return Conversion.toBf16(Float.floatToRawIntBits(value)) & 0xffff;
  }
}
