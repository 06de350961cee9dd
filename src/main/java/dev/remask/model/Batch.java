package dev.remask.model;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.Attention;
import dev.remask.kernel.AttentionWork;
import dev.remask.kernel.DType;
import dev.remask.kernel.Gemm;
import dev.remask.kernel.Operations;
import dev.remask.kernel.Rope;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.Callable;

/// A packed batch of sequences of fixed lengths: where its tokens go in and its logits come out.
///
/// T tokens in all, R rows of logits, E the model's embedding_size. The buffers are views of the
/// predictor's workspace, valid until the next `prepare` or the predictor's close. Tokens and row
/// index are uninitialised until the caller fills them, and the kernels do not check them: `tokens`
/// must hold ids below E and `rowIndex` packed indices below T.
public final class Batch {
  private final MaskPredictor predictor;
  private final ModelConfig config;
  private final Operations operations;
  private final Stream stream;
  private final int tokenCount;
  private final int rowCount;
  // Kept, so that forward() allocates nothing.
  private final Callable<Void> pass = this::enqueue;

  private final DeviceBuffer tokens;
  private final DeviceBuffer positions;
  private final DeviceBuffer offsets;
  private final DeviceBuffer attentionItems;
  private final DeviceBuffer rowIndex;
  private final DeviceBuffer residual;
  private final DeviceBuffer normed;
  private final DeviceBuffer delta;
  private final DeviceBuffer qkv;
  private final DeviceBuffer gateUp;
  private final DeviceBuffer activated;
  private final DeviceBuffer rowResidual;
  private final DeviceBuffer rowDelta;
  private final DeviceBuffer rowNormed;
  private final DeviceBuffer logits;

  private final Rope.Shape ropeShape;
  private final Attention.Shape attentionShape;
  private final Attention.Buffers attentionBuffers;
  private final AttentionWork attentionWork;
  private final Gemm.Plan qkvGemm;
  private final Gemm.Plan attnOutGemm;
  private final Gemm.Plan gateUpGemm;
  private final Gemm.Plan ffOutGemm;
  private final Gemm.Plan headGemm;
  private final Gemm.Qkv rotatedQkv;

  Batch(MaskPredictor predictor, int[] lengths, int rows) {
    this.predictor = predictor;
    config = predictor.config();
    operations = predictor.operations();
    stream = predictor.stream();
    rowCount = rows;
    int sum = 0;
    int longest = 0;
    for (int length : lengths) {
      sum += length;
      longest = Math.max(longest, length);
    }
    tokenCount = sum;

    WorkspacePlan plan = predictor.plan();
    DType dtype = operations.dtype();
    int x = dtype.bytes();
    int d = config.dModel();
    int f = config.mlpHiddenSize();
    int width = config.qkvWidth();
    tokens = buffer(plan.tokens, sum, 1, Integer.BYTES);
    positions = buffer(plan.positions, sum, 1, Integer.BYTES);
    offsets = buffer(plan.offsets, lengths.length + 1, 1, Integer.BYTES);
    attentionWork = operations.attention().work(lengths, lengths);
    attentionItems = buffer(plan.attentionWork, attentionWork.intCount(), 1, Integer.BYTES);
    rowIndex = buffer(plan.rowIndex, rows, 1, Integer.BYTES);
    residual = buffer(plan.residual, sum, d, Float.BYTES);
    normed = buffer(plan.normed, sum, d, x);
    delta = buffer(plan.delta, sum, d, x);
    qkv = buffer(plan.qkv, sum, width, x);
    gateUp = buffer(plan.gateUp, sum, 2 * f, x);
    activated = buffer(plan.activated, sum, f, x);
    rowResidual = buffer(plan.rowResidual, rows, d, Float.BYTES);
    rowDelta = buffer(plan.rowDelta, rows, d, x);
    rowNormed = buffer(plan.rowNormed, rows, d, x);
    logits = buffer(plan.logits, rows, config.embeddingSize(), Float.BYTES);

    int headDim = config.headDim();
    long keyStart = (long) config.heads() * headDim * x;
    long valueStart = keyStart + (long) config.kvHeads() * headDim * x;
    // A sequence whose queries are its keys is never split: no scratch.
    attentionBuffers =
        new Attention.Buffers(
            normed,
            qkv,
            qkv.slice(keyStart, qkv.bytes() - keyStart),
            qkv.slice(valueStart, qkv.bytes() - valueStart),
            offsets,
            offsets,
            attentionItems,
            null,
            null);
    ropeShape = new Rope.Shape(width, config.heads() + config.kvHeads(), headDim);
    attentionShape =
        new Attention.Shape(
            lengths.length,
            longest,
            sum,
            sum,
            config.heads(),
            config.kvHeads(),
            headDim,
            width,
            width,
            d);

    MatmulType inner = dtype == DType.BF16 ? MatmulType.BF16_BF16 : MatmulType.F32_F32;
    MatmulType outer = dtype == DType.BF16 ? MatmulType.BF16_F32 : MatmulType.F32_F32;
    qkvGemm = predictor.gemmPlan(inner, sum, width, d);
    attnOutGemm = predictor.gemmPlan(inner, sum, d, d);
    gateUpGemm = predictor.gemmPlan(inner, sum, 2 * f, d);
    ffOutGemm = predictor.gemmPlan(inner, sum, d, f);
    rotatedQkv =
        new Gemm.Qkv(
            qkv,
            attentionBuffers.k(),
            attentionBuffers.v(),
            predictor.weights().ropeTable(),
            positions,
            null,
            config.heads(),
            config.kvHeads(),
            headDim,
            width,
            width);
    headGemm = predictor.gemmPlan(outer, rows, config.embeddingSize(), d);
    uploadShape(lengths);
  }

  /// Bytes of pinned memory that the upload of a batch's shape takes.
  static long stagingBytes(WorkspaceLimits limits) {
    int work = Attention.maxWorkInts(limits.maxSequences(), limits.maxTokens());
    return (limits.maxTokens() + limits.maxSequences() + 1L + work) * Integer.BYTES;
  }

  private DeviceBuffer buffer(WorkspacePlan.Extent extent, long rows, long columns, int element) {
    long bytes = rows * columns * element;
    if (bytes > extent.bytes()) {
      throw new IllegalStateException(bytes + " bytes needed, " + extent.bytes() + " planned");
    }
    return predictor.workspace().slice(extent.offset(), bytes);
  }

  private void uploadShape(int[] lengths) {
    PinnedMemory staging = predictor.staging();
    MemorySegment ints = MemorySegment.ofBuffer(staging.buffer());
    int packed = 0;
    for (int length : lengths) {
      for (int position = 0; position < length; position++) {
        ints.setAtIndex(ValueLayout.JAVA_INT, packed++, position);
      }
    }
    int offset = 0;
    for (int s = 0; s <= lengths.length; s++) {
      ints.setAtIndex(ValueLayout.JAVA_INT, packed + s, offset);
      offset += s < lengths.length ? lengths[s] : 0;
    }
    int[] work = attentionWork.ints();
    for (int i = 0; i < work.length; i++) {
      ints.setAtIndex(ValueLayout.JAVA_INT, packed + lengths.length + 1L + i, work[i]);
    }
    long workStart = positions.bytes() + offsets.bytes();
    stream.copyToDevice(positions, staging, 0, positions.bytes());
    stream.copyToDevice(offsets, staging, positions.bytes(), offsets.bytes());
    if (work.length > 0) {
      stream.copyToDevice(attentionItems, staging, workStart, attentionItems.bytes());
    }
    // The next batch writes the same staging memory.
    stream.synchronize();
  }

  /// Enqueues a forward pass over the batch on the predictor's stream and returns.
  ///
  /// Reads tokens and rowIndex, writes logits: row r holds the logits of the packed position
  /// rowIndex[r]. Allocates nothing, copies nothing from or to the host: it can be captured into a
  /// graph. Any thread; throws IllegalStateException once another batch was prepared.
  public void forward() {
    predictor.context().call(pass);
  }

  private Void enqueue() {
    if (!predictor.isCurrent(this)) {
      throw new IllegalStateException("a later batch was prepared, or the predictor is closed");
    }
    Weights weights = predictor.weights();
    int d = config.dModel();
    int f = config.mlpHiddenSize();
    float epsilon = config.rmsNormEps();
    operations.embedding().launch(stream, residual, weights.embedding(), tokens, tokenCount, d);
    // What a layer has left for the norm after it to add; null once it is in the residual stream.
    DeviceBuffer left = null;
    for (Weights.Layer layer : weights.layers()) {
      operations
          .rmsNorm()
          .launch(stream, normed, residual, left, layer.attnNorm(), tokenCount, d, epsilon);
      if (qkvGemm.fuses(Gemm.Fusion.ROPE)) {
        qkvGemm.launchRotated(stream, rotatedQkv, normed, layer.qkv());
      } else {
        qkvGemm.launch(stream, qkv, normed, layer.qkv());
        operations
            .rope()
            .launch(stream, qkv, weights.ropeTable(), positions, tokenCount, ropeShape);
      }
      operations.attention().launch(stream, attentionBuffers, attentionShape, attentionWork);
      left = addOrLeave(attnOutGemm, normed, layer.attnOut());
      operations
          .rmsNorm()
          .launch(stream, normed, residual, left, layer.ffNorm(), tokenCount, d, epsilon);
      if (gateUpGemm.fuses(Gemm.Fusion.SWIGLU)) {
        gateUpGemm.launchGated(stream, activated, normed, layer.gateUp());
      } else {
        gateUpGemm.launch(stream, gateUp, normed, layer.gateUp());
        operations.swiGlu().launch(stream, activated, gateUp, tokenCount, f);
      }
      left = addOrLeave(ffOutGemm, activated, layer.ffOut());
    }
    // Only the rows whose logits are wanted go on.
    DType dtype = operations.dtype();
    operations.gatherRows().launch(stream, rowResidual, residual, rowIndex, rowCount, d, DType.F32);
    DeviceBuffer rowLeft = null;
    if (left != null) {
      rowLeft = rowDelta;
      operations.gatherRows().launch(stream, rowDelta, left, rowIndex, rowCount, d, dtype);
    }
    operations
        .rmsNorm()
        .launch(stream, rowNormed, rowResidual, rowLeft, weights.finalNorm(), rowCount, d, epsilon);
    headGemm.launch(stream, logits, rowNormed, weights.head());
    return null;
  }

  /// Adds a product to the residual stream, or leaves it in delta: what the next norm is to add.
  private DeviceBuffer addOrLeave(Gemm.Plan gemm, DeviceBuffer a, DeviceBuffer w) {
    if (gemm.fuses(Gemm.Fusion.RESIDUAL)) {
      gemm.launchAdding(stream, residual, a, w);
      return null;
    }
    gemm.launch(stream, delta, a, w);
    return delta;
  }

  /// Tokens in the batch, T.
  public int tokenCount() {
    return tokenCount;
  }

  /// Rows of logits, R.
  public int rowCount() {
    return rowCount;
  }

  /// Input: i32[T], the packed sequences' ids.
  public DeviceBuffer tokens() {
    return tokens;
  }

  /// Input: i32[R], the packed indices whose logits are wanted.
  public DeviceBuffer rowIndex() {
    return rowIndex;
  }

  /// Output: f32[R, E]; overwritten early in the next forward pass.
  public DeviceBuffer logits() {
    return logits;
  }
}
