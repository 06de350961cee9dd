package dev.remask.testing;

/// Rows as 8-bit integers, and their products, as kernels/quantize.cu and kernels/gemm_int8.cu say:
/// every f32 operation in the same order, so that the bits must be the same.
///
/// @param bytes `s8[rows, width]`
/// @param scales `f32[rows]`
public record PlainInt8(byte[] bytes, float[] scales) {
  private static final float LARGEST = 127;
  private static final float LEAST = 0x1p-100f;

  /// The rows of `values`.
  public static PlainInt8 of(float[] values, int width) {
    int rows = values.length / width;
    var result = new PlainInt8(new byte[values.length], new float[rows]);
    for (int row = 0; row < rows; row++) {
      boolean finite = true;
      float largest = 0;
      for (int i = 0; i < width; i++) {
        float magnitude = Math.abs(values[row * width + i]);
        finite &= Float.isFinite(magnitude);
        largest = Math.max(largest, magnitude);
      }
      if (!finite || largest < LEAST) {
        result.scales[row] = finite ? 0 : Float.NaN;
        continue;
      }
      result.scales[row] = largest / LARGEST;
      float factor = LARGEST / largest;
      for (int i = 0; i < width; i++) {
        result.bytes[row * width + i] = (byte) Math.rint(values[row * width + i] * factor);
      }
    }
    return result;
  }

  /// The product of row `row` with row `column` of `w`, before w's scale.
  public float scaled(int row, PlainInt8 w, int column, int width) {
    int sum = 0;
    for (int i = 0; i < width; i++) {
      sum += bytes[row * width + i] * w.bytes[column * width + i];
    }
    return sum * scales[row];
  }
}
