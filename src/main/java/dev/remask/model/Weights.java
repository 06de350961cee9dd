package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// A model's weights in one block of device memory, in the dtype of its kernels.
///
/// Matrices are row-major [outputs, inputs]. Q, K and V of a layer form one matrix, gate and up
/// another. The rotary table stands in the same block. Buffers are views, dead after close.
public final class Weights implements AutoCloseable {
  /// Two of these are pinned while loading; larger ones gain nothing (a copy's fixed cost is µs).
  private static final long CHUNK_BYTES = 8 << 20;

  /// One transformer block.
  ///
  /// @param attnNorm `X[D]`
  /// @param qkv X[(H + 2·Hkv)·hd, D]
  /// @param attnOut X[D, D]
  /// @param ffNorm `X[D]`
  /// @param gateUp X[2·F, D], gate first
  /// @param ffOut X[D, F]
  public record Layer(
      DeviceBuffer attnNorm,
      DeviceBuffer qkv,
      DeviceBuffer attnOut,
      DeviceBuffer ffNorm,
      DeviceBuffer gateUp,
      DeviceBuffer ffOut) {}

  private final DeviceMemory memory;
  private final DType dtype;
  private final DeviceBuffer embedding;
  private final List<Layer> layers;
  private final DeviceBuffer finalNorm;
  private final DeviceBuffer head;
  private final DeviceBuffer ropeTable;

  private Weights(DeviceMemory memory, WeightLayout layout, long ropeBytes, DType dtype) {
    this.memory = memory;
    this.dtype = dtype;
    embedding = view(layout.embedding());
    var views = new ArrayList<Layer>();
    for (WeightLayout.Layer layer : layout.layers()) {
      views.add(
          new Layer(
              view(layer.attnNorm()),
              view(layer.qkv()),
              view(layer.attnOut()),
              view(layer.ffNorm()),
              view(layer.gateUp()),
              view(layer.ffOut())));
    }
    layers = List.copyOf(views);
    finalNorm = view(layout.finalNorm());
    head = view(layout.head());
    ropeTable = memory.slice(layout.totalBytes(), ropeBytes);
  }

  /// Reads a model folder's tensors onto the device and waits until they are there.
  ///
  /// The checkpoint is checked against `config` before anything is allocated. Device thread only.
  /// Throws ModelException for the folder's faults, CudaException for the device's; either way
  /// nothing stays allocated.
  public static Weights load(
      Context context,
      Stream stream,
      Path folder,
      ModelConfig config,
      DType dtype,
      ProgressListener progress) {
    return load(context, stream, folder, config, dtype, null, progress);
  }

  /// The same into memory that somebody else owns, or from it where it is filled; then the folder's
  /// tensors are not read. `givenOrNull` null: into memory of its own.
  ///
  /// Throws ModelException besides if the memory is too small, or said to be filled and is not, as
  /// far as its rotary table shows.
  public static Weights load(
      Context context,
      Stream stream,
      Path folder,
      ModelConfig config,
      DType dtype,
      WeightMemory givenOrNull,
      ProgressListener progress) {
    var layout = new WeightLayout(config, dtype);
    if (givenOrNull != null) {
      requireRoom(folder, config, dtype, givenOrNull);
      if (givenOrNull.filled()) {
        return adopt(context, stream, folder, layout, config, dtype, givenOrNull, progress);
      }
    }
    try (SafeTensors checkpoint = SafeTensors.open(folder)) {
      layout.check(folder, checkpoint);
      long ropeBytes = RopeTable.bytes(config);
      DeviceMemory memory =
          givenOrNull == null
              ? context.allocate(layout.totalBytes() + ropeBytes)
              : context.adopt(givenOrNull.address(), layout.totalBytes() + ropeBytes);
      try {
        var weights = new Weights(memory, layout, ropeBytes, dtype);
        weights.fill(context, stream, layout, checkpoint, config, progress);
        return weights;
      } catch (RuntimeException | Error e) {
        try {
          memory.close();
        } catch (CudaException late) {
          e.addSuppressed(late);
        }
        if (e instanceof InternalError) {
          // The JVM's answer to SIGBUS: a mapped file is shorter than when it was opened.
          throw new ModelException(folder + ": a file changed while it was read", e);
        }
        throw e;
      }
    }
  }

  /// Device memory that the weights of such a model take, in bytes.
  public static long requiredBytes(ModelConfig config, DType dtype) {
    return new WeightLayout(config, dtype).totalBytes() + RopeTable.bytes(config);
  }

  private static void requireRoom(
      Path folder, ModelConfig config, DType dtype, WeightMemory given) {
    long required = requiredBytes(config, dtype);
    if (given.bytes() < required) {
      throw new ModelException(
          folder
              + ": the memory given for the weights has "
              + given.bytes()
              + " bytes; they take "
              + required
              + " in "
              + dtype);
    }
  }

  private static Weights adopt(
      Context context,
      Stream stream,
      Path folder,
      WeightLayout layout,
      ModelConfig config,
      DType dtype,
      WeightMemory given,
      ProgressListener progress) {
    long ropeBytes = RopeTable.bytes(config);
    DeviceMemory memory = context.adopt(given.address(), layout.totalBytes() + ropeBytes);
    try {
      var weights = new Weights(memory, layout, ropeBytes, dtype);
      weights.checkRopeTable(context, stream, folder, config);
      long total = layout.weightBytes() + ropeBytes;
      progress.onProgress(total, total);
      return weights;
    } catch (RuntimeException | Error e) {
      memory.close();
      throw e;
    }
  }

  /// The table's last row, at the end of all: it lies elsewhere for another model or dtype.
  private void checkRopeTable(Context context, Stream stream, Path folder, ModelConfig config) {
    var row = new float[config.headDim()];
    RopeTable.fill(row, config, config.maxSequenceLength() - 1);
    long bytes = (long) row.length * Float.BYTES;
    try (PinnedMemory found = context.allocatePinned(bytes)) {
      stream.copyToHost(found, 0, ropeTable.slice(ropeTable.bytes() - bytes, bytes), bytes);
      stream.synchronize();
      if (found.buffer().asFloatBuffer().mismatch(FloatBuffer.wrap(row)) >= 0) {
        throw new ModelException(
            folder
                + ": the memory given as filled with this model's weights in "
                + dtype
                + " does not hold them");
      }
    }
  }

  private void fill(
      Context context,
      Stream stream,
      WeightLayout layout,
      SafeTensors checkpoint,
      ModelConfig config,
      ProgressListener progress) {
    long ropeBytes = RopeTable.bytes(config);
    long total = layout.weightBytes() + ropeBytes;
    long[] done = {0};
    long largest = layout.regions().stream().mapToLong(WeightLayout.Region::bytes).max().orElse(0);
    long rowBytes = (long) config.headDim() * Float.BYTES;
    long chunk = Math.min(CHUNK_BYTES, Math.max(largest, ropeBytes)) / rowBytes * rowBytes;
    try (var uploader =
        new WeightUploader(
            context,
            stream,
            Math.max(chunk, rowBytes),
            bytes -> progress.onProgress(done[0] += bytes, total))) {
      for (WeightLayout.Region region : layout.regions()) {
        long offset = region.offset();
        for (WeightLayout.Source source : region.sources()) {
          long bytes = source.elements() * dtype.bytes();
          uploader.upload(
              checkpoint.data(source.tensor()),
              checkpoint.tensors().get(source.tensor()).type(),
              memory.slice(offset, bytes),
              dtype);
          offset += bytes;
        }
      }
      var row = new float[config.headDim()];
      uploader.upload(
          ropeTable,
          Math.toIntExact(rowBytes),
          (first, rows, into) -> {
            for (int i = 0; i < rows; i++) {
              RopeTable.fill(row, config, Math.toIntExact(first + i));
              MemorySegment.copy(row, 0, into, ValueLayout.JAVA_FLOAT, i * rowBytes, row.length);
            }
          });
    }
  }

  private DeviceBuffer view(WeightLayout.Region region) {
    return memory.slice(region.offset(), region.bytes());
  }

  /// The element type X of all weights.
  public DType dtype() {
    return dtype;
  }

  /// All of them, as another model of the same folder and dtype in the same CUDA context may use
  /// them while this one is open.
  public WeightMemory shared() {
    return new WeightMemory(memory.buffer().address(), memory.bytes(), true);
  }

  /// Device memory held, in bytes.
  public long bytes() {
    return memory.bytes();
  }

  /// X[E, D].
  public DeviceBuffer embedding() {
    return embedding;
  }

  /// The transformer blocks, first to last.
  public List<Layer> layers() {
    return layers;
  }

  /// `X[D]`.
  public DeviceBuffer finalNorm() {
    return finalNorm;
  }

  /// The LM head, X[E, D]; the embedding itself where the model ties them.
  public DeviceBuffer head() {
    return head;
  }

  /// Cosine and sine, f32[max_sequence_length, hd/2, 2].
  public DeviceBuffer ropeTable() {
    return ropeTable;
  }

  /// Frees the memory. Device thread only.
  @Override
  public void close() {
    memory.close();
  }
}
