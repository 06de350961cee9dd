package dev.remask.kernel;

import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.util.function.Function;

/// Full (bidirectional) attention over packed sequences with grouped K/V heads.
///
/// On a device with tensor cores bf16 runs on them; f32, and rows that 16-byte loads do not fit, on
/// the portable kernels.
public final class Attention {
  static final String OPERATION = "attention";

  /// Ints of an item of [AttentionWork#ints], and of a combine item.
  public static final int WORK_ITEM_INTS = AttentionWork.ITEM_INTS;

  /// Bytes of one asynchronous copy of the tensor-core kernels.
  private static final int COPY_BYTES = 16;

  private final DType dtype;
  private final AttentionPortable portable;
  private final AttentionVariant variant;

  /// Sizes of a launch. Tokens are packed: sequence s has the queries and keys that its offsets
  /// name, none more than maxQueries queries; queryTokens and keyTokens are the rows that the
  /// buffers have, of which the offsets may leave out some at either end. Strides are elements from
  /// token to token; head h of a query is at h·headDim, K/V head g of a key at g·headDim, and query
  /// head h uses K/V head h·kvHeads/heads.
  public record Shape(
      int sequences,
      int maxQueries,
      int queryTokens,
      int keyTokens,
      int heads,
      int kvHeads,
      int headDim,
      int qStride,
      int kvStride,
      int outStride) {
    /// Throws IllegalArgumentException unless headDim is 64 or 128, heads a multiple of kvHeads,
    /// and all sizes at least 1 (keyTokens: 0).
    public Shape {
      Launch.requirePositive(OPERATION, "sequences", sequences);
      Launch.requirePositive(OPERATION, "maxQueries", maxQueries);
      Launch.requirePositive(OPERATION, "queryTokens", queryTokens);
      Launch.requirePositive(OPERATION, "heads", heads);
      Launch.requirePositive(OPERATION, "kvHeads", kvHeads);
      Launch.requireGrid(OPERATION, "sequences", sequences);
      Launch.requireGrid(OPERATION, "heads", heads);
      if (headDim != 64 && headDim != 128) {
        throw new IllegalArgumentException(
            "attention: headDim is " + headDim + "; wanted 64 or 128");
      }
      if (heads % kvHeads != 0) {
        throw new IllegalArgumentException(
            "attention: %d heads do not share %d K/V heads evenly".formatted(heads, kvHeads));
      }
      if (keyTokens < 0) {
        throw new IllegalArgumentException("attention: keyTokens is " + keyTokens);
      }
    }
  }

  /// What a launch reads and writes, all device memory.
  ///
  /// out X[queryTokens, outStride], q X[queryTokens, qStride], k and v X[keyTokens, kvStride]; q, k
  /// and v may be views of one fused QKV buffer, out must not overlap them. qOffsets and kvOffsets
  /// i32[sequences + 1], each sequence's first token (non-decreasing; not checked here). work holds
  /// [AttentionWork#ints], null where that is empty; scratch [Attention#scratchBytes], null where
  /// that is 0. lse f32[heads, queryTokens] receives the natural logarithm of each query's sum of
  /// exp(score), −∞ without keys; null where it is not wanted.
  public record Buffers(
      DeviceBuffer out,
      DeviceBuffer q,
      DeviceBuffer k,
      DeviceBuffer v,
      DeviceBuffer qOffsets,
      DeviceBuffer kvOffsets,
      DeviceBuffer work,
      DeviceBuffer scratch,
      DeviceBuffer lse) {}

  /// Takes the modules it needs for the architecture from `modules`, by the name of the .cu.
  Attention(
      Function<String, Module> modules, DType dtype, Architecture architecture, Device device) {
    this.dtype = dtype;
    portable = new AttentionPortable(modules.apply(OPERATION), dtype);
    variant = dtype == DType.BF16 ? variant(modules, architecture, device) : portable;
  }

  private AttentionVariant variant(
      Function<String, Module> modules, Architecture architecture, Device device) {
    return switch (architecture) {
      case PORTABLE -> portable;
      case SM80 ->
          new AttentionSm80(
              modules.apply("attention_sm80"),
              modules.apply("attention_combine_sm80"),
              device.computeCapability());
      case SM90A ->
          new AttentionSm90a(
              modules.apply("attention_sm90a"),
              modules.apply("attention_combine_sm80"),
              AttentionSm90a.Choice.configured());
    };
  }

  /// How sequences of these lengths are cut into the work of CTAs. A function of the lengths (and
  /// of this device's kernels); what it costs is linear in the number of tiles. Any thread.
  ///
  /// Throws IllegalArgumentException if the arrays differ in length, are empty, or hold a negative.
  public AttentionWork work(int[] queryLengths, int[] keyLengths) {
    return variant.work(queryLengths, keyLengths);
  }

  /// Most ints of work of a batch of so many sequences and queries, whatever the device.
  public static int maxWorkInts(int maxSequences, int maxQueryTokens) {
    return AttentionWork.maxInts(maxSequences, maxQueryTokens);
  }

  /// Most rows of partial results of such a batch, whatever the device; a batch whose sequences
  /// have as many queries as keys has none.
  public static int maxPartialRows(int maxSequences, int maxQueryTokens, int maxKeyTokens) {
    return AttentionWork.maxPartialRows(maxSequences, maxQueryTokens, maxKeyTokens);
  }

  /// Scratch memory for so many rows of partial results: output, maximum and sum in f32.
  public static long scratchBytes(int partialRows, int heads, int headDim) {
    return (long) partialRows * heads * (headDim + 2) * Float.BYTES;
  }

  /// The kernels that run launches whose rows are aligned.
  public Architecture architecture() {
    return variant.architecture();
  }

  static float scale(Shape shape) {
    return (float) (1.0 / Math.sqrt(shape.headDim));
  }

  /// Whether every row begins where a 16-byte copy can.
  static boolean aligned(Buffers buffers, Shape shape, DType dtype) {
    long addresses =
        buffers.out.address() | buffers.q.address() | buffers.k.address() | buffers.v.address();
    int strides = (shape.qStride | shape.kvStride | shape.outStride) * dtype.bytes();
    return addresses % COPY_BYTES == 0 && strides % COPY_BYTES == 0;
  }

  /// Writes `out = softmax(q·kᵀ / sqrt(headDim))·v` for every query of every sequence; zeros for a
  /// sequence without keys.
  ///
  /// `work` is what [#work] gave for the offsets' lengths, its ints are in `buffers.work`. f32
  /// inside; where tensor cores run, weights are rounded to bf16 before they meet v; one rounding
  /// at the end. A query's bits depend on its own sequence only. Enqueues on `stream` and returns.
  /// Device thread only. Throws IllegalArgumentException if a buffer is too small, the work is
  /// another shape's, or lse is asked of rows that only the portable kernels take; CudaException if
  /// the launch is refused.
  public void launch(Stream stream, Buffers buffers, Shape shape, AttentionWork work) {
    int x = dtype.bytes();
    int queries = shape.queryTokens;
    int keys = shape.keyTokens;
    long width = (long) shape.heads * shape.headDim;
    long kvWidth = (long) shape.kvHeads * shape.headDim;
    Launch.requireStrided(OPERATION, "out", buffers.out, x, queries, width, shape.outStride);
    Launch.requireStrided(OPERATION, "q", buffers.q, x, queries, width, shape.qStride);
    Launch.requireStrided(OPERATION, "k", buffers.k, x, keys, kvWidth, shape.kvStride);
    Launch.requireStrided(OPERATION, "v", buffers.v, x, keys, kvWidth, shape.kvStride);
    long ends = shape.sequences + 1L;
    Launch.requireBuffer(OPERATION, "qOffsets", buffers.qOffsets, Integer.BYTES, ends, 1);
    Launch.requireBuffer(OPERATION, "kvOffsets", buffers.kvOffsets, Integer.BYTES, ends, 1);
    work.requireFor(shape);
    requireOptional("work", buffers.work, Integer.BYTES, work.intCount());
    long scratchFloats = scratchBytes(work.partialRows(), shape.heads, shape.headDim) / Float.BYTES;
    requireOptional("scratch", buffers.scratch, Float.BYTES, scratchFloats);
    if (buffers.lse != null) {
      Launch.requireBuffer(OPERATION, "lse", buffers.lse, Float.BYTES, shape.heads, queries);
    }
    if (variant.takes(buffers, shape)) {
      variant.launch(stream, buffers, shape, work);
    } else if (portable.takes(buffers, shape)) {
      portable.launch(stream, buffers, shape, work);
    } else {
      throw new IllegalArgumentException(
          "attention: lse is written by the tensor-core kernels only: bf16, rows at multiples of "
              + COPY_BYTES
              + " bytes, compute capability 8.0 or above");
    }
  }

  /// As [Launch#requireBuffer], where a launch that needs nothing may bring nothing.
  private static void requireOptional(
      String name, DeviceBuffer buffer, int elementBytes, long elements) {
    if (elements == 0) {
      return;
    }
    if (buffer == null) {
      throw new IllegalArgumentException(
          "attention: %s is null; %d elements of %d bytes are wanted"
              .formatted(name, elements, elementBytes));
    }
    Launch.requireBuffer(OPERATION, name, buffer, elementBytes, elements, 1);
  }
}
