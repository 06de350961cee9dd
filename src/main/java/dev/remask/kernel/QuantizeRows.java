package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Rows as 8-bit integers with a scale each: weights once, activations before each product.
public final class QuantizeRows {
  private static final String OPERATION = "quantize";

  private final Kernel kernel;
  private final DType dtype;

  QuantizeRows(Module module, DType dtype) {
    this.dtype = dtype;
    kernel =
        module.kernel(
            "quantize_rows_" + dtype,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32);
  }

  /// Writes `scale = max|x| / 127` of each row and `out = x · (127 / max|x|)`, rounded to nearest
  /// even, in f32.
  ///
  /// out `s8[rows, width]`, scales `f32[rows]`, in X[rows, width]; all device memory, row-major,
  /// not overlapping. A row of nothing but |x| < 2⁻¹⁰⁰ is one of zeros with scale 0; one that holds
  /// a NaN or an infinity has the scale NaN. The same bits on every device. Enqueues on `stream`
  /// and returns. Device thread only. Throws IllegalArgumentException if a buffer is too small or a
  /// size below 1, CudaException if the launch is refused.
  public void launch(
      Stream stream, DeviceBuffer out, DeviceBuffer scales, DeviceBuffer in, int rows, int width) {
    Launch.requirePositive(OPERATION, "rows", rows);
    Launch.requirePositive(OPERATION, "width", width);
    Launch.requireBuffer(OPERATION, "out", out, Byte.BYTES, rows, width);
    Launch.requireBuffer(OPERATION, "scales", scales, Float.BYTES, rows, 1);
    Launch.requireBuffer(OPERATION, "in", in, dtype.bytes(), rows, width);
    kernel.set(0, out).set(1, scales).set(2, in).set(3, rows).set(4, width);
    int threads = Launch.threads(Launch.ceilDiv(width, Launch.VECTOR_BYTES / dtype.bytes()));
    kernel.launch(stream, rows, 1, 1, threads, 0);
  }
}
