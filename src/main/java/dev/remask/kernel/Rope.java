package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Rotary position embedding of the Q and K heads.
public final class Rope {
  private static final String OPERATION = "rope";

  private final Kernel kernel;
  private final DType dtype;

  /// How heads lie in a row: the first `rotatedHeads` heads of `headDim` elements (Q, then K) turn;
  /// rows start `rowStride` elements apart. headDim is even.
  public record Shape(int rowStride, int rotatedHeads, int headDim) {
    /// Throws IllegalArgumentException if the heads do not fit the stride or headDim is odd.
    public Shape {
      Launch.requirePositive(OPERATION, "rotatedHeads", rotatedHeads);
      Launch.requirePositive(OPERATION, "headDim", headDim);
      if (headDim % 2 != 0) {
        throw new IllegalArgumentException("rope: headDim is " + headDim + "; wanted an even one");
      }
      if ((long) rotatedHeads * headDim > rowStride) {
        throw new IllegalArgumentException(
            "rope: %d heads of %d do not fit rows of %d"
                .formatted(rotatedHeads, headDim, rowStride));
      }
    }
  }

  Rope(Module module, DType dtype) {
    this.dtype = dtype;
    kernel =
        module.kernel(
            OPERATION + "_" + dtype,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32,
            Parameter.I32,
            Parameter.I32);
  }

  /// Turns, in place, element i of a head's first half with element i of its second half by the
  /// angle of (position, i): `a' = a·cos − b·sin, b' = b·cos + a·sin`.
  ///
  /// qkv `X[rows, rowStride]`, cosSin `f32[P, headDim/2, 2]` (cosine, sine), positions `i32[rows]`
  /// with 0 ≤ position < P (not checked here); all device memory. f32 inside, one rounding.
  /// Enqueues on `stream` and returns. Device thread only. Throws IllegalArgumentException if a
  /// buffer is too small or rows below 1, CudaException if the launch is refused.
  public void launch(
      Stream stream,
      DeviceBuffer qkv,
      DeviceBuffer cosSin,
      DeviceBuffer positions,
      int rows,
      Shape shape) {
    Launch.requirePositive(OPERATION, "rows", rows);
    int rotated = shape.rotatedHeads * shape.headDim;
    Launch.requireStrided(OPERATION, "qkv", qkv, dtype.bytes(), rows, rotated, shape.rowStride);
    Launch.requireBuffer(OPERATION, "cosSin", cosSin, Float.BYTES, 1, shape.headDim);
    Launch.requireBuffer(OPERATION, "positions", positions, Integer.BYTES, rows, 1);
    kernel.set(0, qkv).set(1, cosSin).set(2, positions).set(3, rows);
    kernel.set(4, shape.rowStride).set(5, shape.rotatedHeads).set(6, shape.headDim);
    int items = Launch.ceilDiv(rotated / 2, Launch.VECTOR_BYTES / dtype.bytes());
    int threads = Launch.threads(items);
    kernel.launch(stream, rows, Launch.chunks(items, threads), 1, threads, 0);
  }
}
