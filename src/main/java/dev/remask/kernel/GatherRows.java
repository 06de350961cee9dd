package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Copies the rows that an index on the device names.
public final class GatherRows {
  private static final String OPERATION = "gather_rows";

  private final Kernel bf16;
  private final Kernel f32;

  GatherRows(Module module) {
    bf16 = kernel(module, DType.BF16);
    f32 = kernel(module, DType.F32);
  }

  private static Kernel kernel(Module module, DType elementType) {
    return module.kernel(
        OPERATION + "_" + elementType,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.I32,
        Parameter.I32);
  }

  /// Writes `out[r] = in[index[r]]`.
  ///
  /// out `X[rows, width]`, in `X[T, width]`, index `i32[rows]` with 0 ≤ index < T (not checked
  /// here), X the given element type; all device memory, row-major; out and in must not overlap.
  /// Enqueues on `stream` and returns. Device thread only. Throws IllegalArgumentException if a
  /// buffer is too small or a size below 1, CudaException if the launch is refused.
  public void launch(
      Stream stream,
      DeviceBuffer out,
      DeviceBuffer in,
      DeviceBuffer index,
      int rows,
      int width,
      DType elementType) {
    Launch.requirePositive(OPERATION, "rows", rows);
    Launch.requirePositive(OPERATION, "width", width);
    Launch.requireBuffer(OPERATION, "out", out, elementType.bytes(), rows, width);
    Launch.requireBuffer(OPERATION, "in", in, elementType.bytes(), 1, width);
    Launch.requireBuffer(OPERATION, "index", index, Integer.BYTES, rows, 1);
    Kernel kernel = elementType == DType.BF16 ? bf16 : f32;
    kernel.set(0, out).set(1, in).set(2, index).set(3, rows).set(4, width);
    int items = Launch.ceilDiv(width, Launch.VECTOR_BYTES / elementType.bytes());
    int threads = Launch.threads(items);
    kernel.launch(stream, rows, Launch.chunks(items, threads), 1, threads, 0);
  }
}
