package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import java.util.ArrayList;
import java.util.List;

/// The keys and values that cached sequences attend to: for each layer X[C, kvHeads · headDim] of
/// keys, then as much of values, C the limits' maxCacheTokens. Zeroes at first. Who owns which rows
/// is the caller's business.
final class KvCache implements AutoCloseable {
  /// One layer's part.
  record Layer(DeviceBuffer keys, DeviceBuffer values) {}

  private final DeviceMemory memory;
  private final List<Layer> layers;

  /// Throws CudaException if the memory is not there; nothing stays allocated then. Device thread.
  KvCache(Context context, Stream stream, ModelConfig config, DType dtype, int rows) {
    long bytes = matrixBytes(config, dtype, rows);
    memory = context.allocate(bytes(config, dtype, rows));
    try {
      stream.fill(memory.buffer(), (byte) 0);
    } catch (RuntimeException e) {
      memory.close();
      throw e;
    }
    var all = new ArrayList<Layer>(config.layers());
    for (long i = 0; i < config.layers(); i++) {
      all.add(
          new Layer(memory.slice(2 * i * bytes, bytes), memory.slice((2 * i + 1) * bytes, bytes)));
    }
    layers = List.copyOf(all);
  }

  /// Device memory that a cache of so many rows takes; 0 for none.
  static long bytes(ModelConfig config, DType dtype, int rows) {
    return Math.multiplyExact(matrixBytes(config, dtype, rows), 2L * config.layers());
  }

  /// Keys or values of a layer.
  private static long matrixBytes(ModelConfig config, DType dtype, int rows) {
    long width = (long) config.kvHeads() * config.headDim() * dtype.bytes();
    return WeightLayout.aligned(Math.multiplyExact(width, (long) rows));
  }

  List<Layer> layers() {
    return layers;
  }

  long bytes() {
    return memory.bytes();
  }

  @Override
  public void close() {
    memory.close();
  }
}
