package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Starts the residual stream with the tokens' rows of the embedding table.
public final class Embedding {
  private static final String OPERATION = "embed";
  private static final int LANES = Launch.VECTOR_BYTES / Float.BYTES;

  private final Kernel kernel;
  private final DType dtype;

  Embedding(Module module, DType dtype) {
    this.dtype = dtype;
    kernel =
        module.kernel(
            OPERATION + "_" + dtype,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32);
  }

  /// Writes `residual[r] = table[tokens[r]]`, widened to f32.
  ///
  /// residual f32[rows, width], table X[E, width], tokens i32[rows] with 0 ≤ id < E (not checked
  /// here: ids live on the device); all device memory, row-major. Enqueues on `stream` and returns.
  /// Device thread only. Throws IllegalArgumentException if a buffer is too small or a size below
  /// 1, CudaException if the launch is refused.
  public void launch(
      Stream stream,
      DeviceBuffer residual,
      DeviceBuffer table,
      DeviceBuffer tokens,
      int rows,
      int width) {
    Launch.requirePositive(OPERATION, "rows", rows);
    Launch.requirePositive(OPERATION, "width", width);
    Launch.requireBuffer(OPERATION, "residual", residual, Float.BYTES, rows, width);
    Launch.requireBuffer(OPERATION, "table", table, dtype.bytes(), 1, width);
    Launch.requireBuffer(OPERATION, "tokens", tokens, Integer.BYTES, rows, 1);
    kernel.set(0, residual).set(1, table).set(2, tokens).set(3, rows).set(4, width);
    int items = Launch.ceilDiv(width, LANES);
    int threads = Launch.threads(items);
    kernel.launch(stream, rows, Launch.chunks(items, threads), 1, threads, 0);
  }
}
