package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Stores keys and values of a pass's queries to the rows of a cache that an index names.
public final class StoreKv {
  private static final String OPERATION = "store_kv";

  private final Kernel kernel;
  private final DType dtype;

  StoreKv(Module module, DType dtype) {
    this.dtype = dtype;
    kernel =
        module.kernel(
            OPERATION + "_" + dtype,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32,
            Parameter.I32);
  }

  /// Sizes of a launch: `rows` rows of `width` elements (K/V heads × head_dim), which in k and v
  /// start `stride` elements apart.
  public record Shape(int rows, int width, int stride) {
    /// Throws IllegalArgumentException if a size is below 1.
    public Shape {
      Launch.requirePositive(OPERATION, "rows", rows);
      Launch.requirePositive(OPERATION, "width", width);
    }
  }

  /// Writes `keys[cacheRows[r]] = k[r]` and `values[cacheRows[r]] = v[r]`; nothing where
  /// `cacheRows[r]` is negative.
  ///
  /// keys and values X[C, width], k and v X[rows, stride], which may be views of one buffer;
  /// cacheRows `i32[rows]`, each below C (not checked here) and named once; all device memory.
  /// Enqueues on `stream` and returns. Device thread only. Throws IllegalArgumentException if a
  /// buffer is too small, CudaException if the launch is refused.
  public void launch(
      Stream stream,
      DeviceBuffer keys,
      DeviceBuffer values,
      DeviceBuffer k,
      DeviceBuffer v,
      DeviceBuffer cacheRows,
      Shape shape) {
    int x = dtype.bytes();
    Launch.requireBuffer(OPERATION, "keys", keys, x, 1, shape.width);
    Launch.requireBuffer(OPERATION, "values", values, x, 1, shape.width);
    Launch.requireStrided(OPERATION, "k", k, x, shape.rows, shape.width, shape.stride);
    Launch.requireStrided(OPERATION, "v", v, x, shape.rows, shape.width, shape.stride);
    Launch.requireBuffer(OPERATION, "cacheRows", cacheRows, Integer.BYTES, shape.rows, 1);
    kernel.set(0, keys).set(1, values).set(2, k).set(3, v).set(4, cacheRows);
    kernel.set(5, shape.rows).set(6, shape.width).set(7, shape.stride);
    int items = Launch.ceilDiv(shape.width, Launch.VECTOR_BYTES / x);
    int threads = Launch.threads(items);
    kernel.launch(stream, shape.rows, Launch.chunks(items, threads), 1, threads, 0);
  }
}
