package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Adds a layer's result to the residual stream and normalises the sum.
public final class RmsNorm {
  private static final String OPERATION = "rmsnorm";
  private static final int LANES = Launch.VECTOR_BYTES / Float.BYTES;

  private final Kernel kernel;
  private final DType dtype;

  RmsNorm(Module module, DType dtype) {
    this.dtype = dtype;
    kernel =
        module.kernel(
            OPERATION + "_" + dtype,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32,
            Parameter.F32);
  }

  /// `residual += delta`, then `out = residual / sqrt(mean(residual²) + epsilon) · weight`.
  ///
  /// residual f32[rows, width] (in and, with delta, out), deltaOrNull X[rows, width], weight
  /// `X[width]`, out `X[rows, width]`; all device memory, row-major, not overlapping. f32 inside,
  /// one rounding. Enqueues on `stream` and returns. Device thread only. Throws
  /// IllegalArgumentException if a buffer is too small or a size below 1, CudaException if the
  /// launch is refused.
  public void launch(
      Stream stream,
      DeviceBuffer out,
      DeviceBuffer residual,
      DeviceBuffer deltaOrNull,
      DeviceBuffer weight,
      int rows,
      int width,
      float epsilon) {
    Launch.requirePositive(OPERATION, "rows", rows);
    Launch.requirePositive(OPERATION, "width", width);
    Launch.requireBuffer(OPERATION, "out", out, dtype.bytes(), rows, width);
    Launch.requireBuffer(OPERATION, "residual", residual, Float.BYTES, rows, width);
    if (deltaOrNull != null) {
      Launch.requireBuffer(OPERATION, "delta", deltaOrNull, dtype.bytes(), rows, width);
    }
    Launch.requireBuffer(OPERATION, "weight", weight, dtype.bytes(), 1, width);
    kernel.set(0, out).set(1, residual).set(2, deltaOrNull).set(3, weight);
    kernel.set(4, rows).set(5, width).set(6, epsilon);
    kernel.launch(stream, rows, 1, 1, Launch.threads(Launch.ceilDiv(width, LANES)), 0);
  }
}
