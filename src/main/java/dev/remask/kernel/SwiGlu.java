package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// The gate of the feed-forward layer.
public final class SwiGlu {
  private static final String OPERATION = "swiglu";

  private final Kernel kernel;
  private final DType dtype;

  SwiGlu(Module module, DType dtype) {
    this.dtype = dtype;
    kernel =
        module.kernel(
            OPERATION + "_" + dtype,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32);
  }

  /// Writes `out = silu(gate) · up`, silu(g) = g / (1 + exp(−g)), in f32 with one rounding.
  ///
  /// out X[rows, width], gateUp X[rows, 2·width] with a row's gates before its ups; both device
  /// memory, row-major, not overlapping. Enqueues on `stream` and returns. Device thread only.
  /// Throws IllegalArgumentException if a buffer is too small or a size below 1, CudaException if
  /// the launch is refused.
  public void launch(Stream stream, DeviceBuffer out, DeviceBuffer gateUp, int rows, int width) {
    Launch.requirePositive(OPERATION, "rows", rows);
    Launch.requirePositive(OPERATION, "width", width);
    Launch.requireBuffer(OPERATION, "out", out, dtype.bytes(), rows, width);
    Launch.requireBuffer(OPERATION, "gateUp", gateUp, dtype.bytes(), rows, 2L * width);
    kernel.set(0, out).set(1, gateUp).set(2, rows).set(3, width);
    int items = Launch.ceilDiv(width, Launch.VECTOR_BYTES / dtype.bytes());
    int threads = Launch.threads(items);
    kernel.launch(stream, rows, Launch.chunks(items, threads), 1, threads, 0);
  }
}
