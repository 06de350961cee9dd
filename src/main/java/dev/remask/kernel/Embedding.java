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
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32);
  }

  /// Writes `residual[r] = table[tokens[tokenIndex[r]]]`, widened to f32; zeros where
  /// `tokenIndex[r]` is negative.
  ///
  /// residual `f32[rows, width]`, table `X[E, width]`, tokens `i32[C]` with 0 ≤ id < E where it is
  /// read, tokenIndex `i32[rows]` with values below C (neither is checked here: both live on the
  /// device); all device memory, row-major. Enqueues on `stream` and returns. Device thread only.
  /// Throws IllegalArgumentException if a buffer is too small or a size below 1, CudaException if
  /// the launch is refused.
  public void launch(
      Stream stream,
      DeviceBuffer residual,
      DeviceBuffer table,
      DeviceBuffer tokens,
      DeviceBuffer tokenIndex,
      int rows,
      int width) {
    Launch.requirePositive(OPERATION, "rows", rows);
    Launch.requirePositive(OPERATION, "width", width);
    Launch.requireBuffer(OPERATION, "residual", residual, Float.BYTES, rows, width);
    Launch.requireBuffer(OPERATION, "table", table, dtype.bytes(), 1, width);
    Launch.requireBuffer(OPERATION, "tokens", tokens, Integer.BYTES, 1, 1);
    Launch.requireBuffer(OPERATION, "tokenIndex", tokenIndex, Integer.BYTES, rows, 1);
    kernel.set(0, residual).set(1, table).set(2, tokens).set(3, tokenIndex);
    kernel.set(4, rows).set(5, width);
    int items = Launch.ceilDiv(width, LANES);
    int threads = Launch.threads(items);
    kernel.launch(stream, rows, Launch.chunks(items, threads), 1, threads, 0);
  }
}
