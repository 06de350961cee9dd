package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import dev.remask.kernel.Gemm;
import dev.remask.kernel.Operations;
import dev.remask.kernel.QuantizeRows;
import dev.remask.kernel.Weight;
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
///
/// In memory of their own the matrices of the layers and of the LM head are packed, once, where the
/// device's products want that ([Gemm#packs]): in place, with the same bytes. Not the embedding,
/// whose rows are looked up, nor a head that is the embedding.
public final class Weights implements AutoCloseable {
  /// Two of these are pinned while loading; larger ones gain nothing (a copy's fixed cost is µs).
  private static final long CHUNK_BYTES = 2 << 20;

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
      Weight qkv,
      Weight attnOut,
      DeviceBuffer ffNorm,
      Weight gateUp,
      Weight ffOut) {}

  private final DeviceMemory memory;
  private final DType dtype;
  private final Weight.Layout layout;
  private final DeviceBuffer embedding;
  private final List<Layer> layers;
  private final DeviceBuffer finalNorm;
  private final Weight head;
  private final DeviceBuffer ropeTable;

  private Weights(
      DeviceMemory memory, WeightLayout places, long ropeBytes, DType dtype, Weight.Layout layout) {
    this.memory = memory;
    this.dtype = dtype;
    this.layout = layout;
    embedding = view(places.embedding());
    var views = new ArrayList<Layer>();
    for (WeightLayout.Layer layer : places.layers()) {
      views.add(
          new Layer(
              view(layer.attnNorm()),
              weight(layer.qkv(), layout),
              weight(layer.attnOut(), layout),
              view(layer.ffNorm()),
              weight(layer.gateUp(), layout),
              weight(layer.ffOut(), layout)));
    }
    layers = List.copyOf(views);
    finalNorm = view(places.finalNorm());
    head = weight(places.head(), places.tied() ? Weight.Layout.ROWS : layout);
    ropeTable = memory.slice(places.totalBytes(), ropeBytes);
  }

  /// Reads a model folder's tensors onto the device and waits until they are there.
  ///
  /// The checkpoint is checked against `config` before anything is allocated. Device thread only.
  /// Throws ModelException for the folder's faults, CudaException for the device's; either way
  /// nothing stays allocated.
  public static Weights load(
      Context context,
      Stream stream,
      Operations operations,
      Path folder,
      ModelConfig config,
      Quantization quantization,
      ProgressListener progress) {
    return load(context, stream, operations, folder, config, quantization, null, progress);
  }

  /// The same into memory that somebody else owns, or from it where it is filled; then the folder's
  /// tensors are not read. `givenOrNull` null: into memory of its own.
  ///
  /// Throws ModelException besides if the memory is too small, or said to be filled and is not, as
  /// far as its rotary table shows.
  public static Weights load(
      Context context,
      Stream stream,
      Operations operations,
      Path folder,
      ModelConfig config,
      Quantization quantization,
      WeightMemory givenOrNull,
      ProgressListener progress) {
    DType dtype = operations.dtype();
    Gemm gemm = operations.gemm();
    var layout = new WeightLayout(config, dtype, quantization);
    if (givenOrNull != null) {
      requireRoom(folder, config, dtype, quantization, givenOrNull);
      requireReadable(folder, dtype, quantization, gemm, givenOrNull);
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
        boolean packs = givenOrNull == null && gemm.packs(dtype);
        Weight.Layout lie =
            quantization == Quantization.INT8
                ? Weight.Layout.INT8
                : packs ? Weight.Layout.PACKED : Weight.Layout.ROWS;
        var weights = new Weights(memory, layout, ropeBytes, dtype, lie);
        weights.fill(context, stream, operations, layout, checkpoint, config, progress);
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
  public static long requiredBytes(ModelConfig config, DType dtype, Quantization quantization) {
    return new WeightLayout(config, dtype, quantization).totalBytes() + RopeTable.bytes(config);
  }

  private static void requireRoom(
      Path folder, ModelConfig config, DType dtype, Quantization quantization, WeightMemory given) {
    long required = requiredBytes(config, dtype, quantization);
    if (given.bytes() < required) {
      throw new ModelException(
          folder
              + ": the memory given for the weights has "
              + given.bytes()
              + " bytes; they take "
              + required
              + " in "
              + dtype
              + (quantization == Quantization.NONE ? "" : " with " + quantization));
    }
  }

  private static void requireReadable(
      Path folder, DType dtype, Quantization quantization, Gemm gemm, WeightMemory given) {
    boolean quantizes = quantization == Quantization.INT8;
    if (given.filled() && quantizes != (given.layout() == Weight.Layout.INT8)) {
      throw new ModelException(
          folder
              + ": the memory given as filled with this model's weights holds them "
              + given.layout()
              + "; quantize is "
              + quantization);
    }
    boolean readable =
        quantizes
            || given.layout() == Weight.Layout.ROWS
            || (given.layout() == Weight.Layout.PACKED && gemm.packs(dtype));
    if (!readable) {
      throw new ModelException(
          folder
              + ": the memory given for the weights holds them "
              + given.layout()
              + ", which "
              + gemm.name(Weight.Layout.ROWS)
              + " does not read");
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
      var weights = new Weights(memory, layout, ropeBytes, dtype, given.layout());
      weights.checkRopeTable(context, stream, folder, config);
      long total = layout.sourceBytes() + ropeBytes;
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
      Operations operations,
      WeightLayout places,
      SafeTensors checkpoint,
      ModelConfig config,
      ProgressListener progress) {
    long ropeBytes = RopeTable.bytes(config);
    long total = places.sourceBytes() + ropeBytes;
    long[] done = {0};
    long largest = places.regions().stream().mapToLong(WeightLayout.Region::bytes).max().orElse(0);
    long rowBytes = (long) config.headDim() * Float.BYTES;
    long chunk = Math.min(CHUNK_BYTES, Math.max(largest, ropeBytes)) / rowBytes * rowBytes;
    chunk = Math.max(chunk, Math.max(rowBytes, places.mostQuantizedColumns() * dtype.bytes()));
    try (DeviceMemory staging = places.quantizes() ? context.allocate(chunk) : null;
        var uploader =
            new WeightUploader(
                context, stream, chunk, bytes -> progress.onProgress(done[0] += bytes, total))) {
      for (WeightLayout.Region region : places.regions()) {
        if (region.quantized()) {
          quantize(uploader, region, checkpoint, operations.quantizeRows(), staging.buffer());
          continue;
        }
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
        if (layout == Weight.Layout.PACKED && places.isForProducts(region)) {
          operations.gemm().pack(stream, weight(region, Weight.Layout.ROWS), dtype);
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

  private void quantize(
      WeightUploader uploader,
      WeightLayout.Region region,
      SafeTensors checkpoint,
      QuantizeRows quantizer,
      DeviceBuffer staging) {
    long offset = region.offset();
    long scalesOffset = region.scalesOffset();
    for (WeightLayout.Source source : region.sources()) {
      long scalesBytes = source.shape().getFirst() * Float.BYTES;
      uploader.quantize(
          checkpoint.data(source.tensor()),
          checkpoint.tensors().get(source.tensor()).type(),
          dtype,
          Math.toIntExact(region.columns()),
          quantizer,
          staging,
          memory.slice(offset, source.elements()),
          memory.slice(scalesOffset, scalesBytes));
      offset += source.elements();
      scalesOffset += scalesBytes;
    }
  }

  private DeviceBuffer view(WeightLayout.Region region) {
    return memory.slice(region.offset(), region.bytes());
  }

  private Weight weight(WeightLayout.Region region, Weight.Layout layout) {
    int rows = Math.toIntExact(region.rows());
    DeviceBuffer scalesOrNull =
        layout == Weight.Layout.INT8
            ? memory.slice(region.scalesOffset(), (long) rows * Float.BYTES)
            : null;
    return new Weight(view(region), rows, Math.toIntExact(region.columns()), layout, scalesOrNull);
  }

  /// The element type X of all weights.
  public DType dtype() {
    return dtype;
  }

  /// How the matrices of the layers lie, and that of the LM head unless it is the embedding.
  public Weight.Layout layout() {
    return layout;
  }

  /// All of them, as another model of the same folder and dtype in the same CUDA context may use
  /// them while this one is open.
  public WeightMemory shared() {
    return new WeightMemory(memory.buffer().address(), memory.bytes(), true, layout);
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
  public Weight head() {
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
