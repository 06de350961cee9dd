package dev.remask.model;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Stream;
import dev.remask.kernel.Attention;
import dev.remask.kernel.AttentionWork;
import dev.remask.kernel.DType;
import dev.remask.kernel.Gemm;
import dev.remask.kernel.Operations;
import dev.remask.kernel.Rope;
import dev.remask.kernel.StoreKv;
import java.util.ArrayList;
import java.util.List;

/// The launches of a forward pass of one key: views of the workspace and sizes, made once and used
/// for every pass of the key.
///
/// T queries, R rows of logits, both with their padding, E the model's embedding_size. Device
/// thread only.
final class ForwardPass {
  private final PassKey key;
  private final ModelConfig config;
  private final Operations operations;
  private final Stream stream;
  private final Weights weights;
  private final PassTables places;
  private final DeviceBuffer canvas;

  private final DeviceBuffer tables;
  private final DeviceBuffer positions;
  private final DeviceBuffer tokenIndex;
  private final DeviceBuffer cacheRows;
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
  private final AttentionLaunch whole;
  private final AttentionLaunch cached;
  private final StoreKv.Shape storeShape;
  private final Gemm.Qkv rotatedQkv;
  private Gemms gemms;

  /// The products of a pass. They are looked up for each pass: their owner keeps those in use.
  private record Gemms(
      Gemm.Plan qkv, Gemm.Plan attnOut, Gemm.Plan gateUp, Gemm.Plan ffOut, Gemm.Plan head) {}

  /// An attention launch of each layer: its sizes, its buffers (of every layer, or one for all),
  /// and the work of the pass at hand.
  private static final class AttentionLaunch {
    private final Attention.Shape shape;
    private final List<Attention.Buffers> layers;
    private AttentionWork work;

    AttentionLaunch(Attention.Shape shape, List<Attention.Buffers> layers) {
      this.shape = shape;
      this.layers = layers;
    }

    Attention.Buffers buffers(int layer) {
      return layers.get(layers.size() == 1 ? 0 : layer);
    }

    void enqueue(Operations operations, Stream stream, int layer) {
      operations.attention().launch(stream, buffers(layer), shape, work);
    }
  }

  ForwardPass(MaskPredictor predictor, PassKey key, DeviceBuffer canvas) {
    this.key = key;
    this.canvas = canvas;
    config = predictor.config();
    operations = predictor.operations();
    stream = predictor.stream();
    weights = predictor.weights();
    places = new PassTables(key);

    WorkspacePlan plan = predictor.plan();
    DType dtype = operations.dtype();
    int x = dtype.bytes();
    int t = key.tokens();
    int rows = key.rows();
    int d = config.dModel();
    int f = config.mlpHiddenSize();
    int width = config.qkvWidth();
    tables = buffer(predictor, plan.tables, places.ints(), 1, Integer.BYTES);
    positions = table(places.positions, t);
    tokenIndex = table(places.tokenIndex, t);
    cacheRows = table(places.cacheRows, t);
    rowIndex = table(places.rowIndex, rows);
    residual = buffer(predictor, plan.residual, t, d, Float.BYTES);
    normed = buffer(predictor, plan.normed, t, d, x);
    delta = buffer(predictor, plan.delta, t, d, x);
    qkv = buffer(predictor, plan.qkv, t, width, x);
    gateUp = buffer(predictor, plan.gateUp, t, 2 * f, x);
    activated = buffer(predictor, plan.activated, t, f, x);
    rowResidual = buffer(predictor, plan.rowResidual, rows, d, Float.BYTES);
    rowDelta = buffer(predictor, plan.rowDelta, rows, d, x);
    rowNormed = buffer(predictor, plan.rowNormed, rows, d, x);
    logits = buffer(predictor, plan.logits, rows, config.embeddingSize(), Float.BYTES);

    int headDim = config.headDim();
    long keyStart = (long) config.heads() * headDim * x;
    long valueStart = keyStart + (long) config.kvHeads() * headDim * x;
    DeviceBuffer keys = qkv.slice(keyStart, qkv.bytes() - keyStart);
    DeviceBuffer values = qkv.slice(valueStart, qkv.bytes() - valueStart);
    ropeShape = new Rope.Shape(width, config.heads() + config.kvHeads(), headDim);
    rotatedQkv =
        new Gemm.Qkv(
            qkv,
            keys,
            values,
            weights.ropeTable(),
            positions,
            null,
            config.heads(),
            config.kvHeads(),
            headDim,
            width,
            width);
    whole = key.whole().sequences() == 0 ? null : whole();
    storeShape = new StoreKv.Shape(t, config.kvHeads() * headDim, width);
    cached = key.cached().sequences() == 0 ? null : cached(predictor);
  }

  private static DeviceBuffer buffer(
      MaskPredictor predictor, WorkspacePlan.Extent extent, long rows, long columns, int element) {
    long bytes = rows * columns * element;
    if (bytes > extent.bytes()) {
      throw new IllegalStateException(bytes + " bytes needed, " + extent.bytes() + " planned");
    }
    return predictor.workspace().slice(extent.offset(), bytes);
  }

  private DeviceBuffer table(int begin, int ints) {
    return tables.slice((long) begin * Integer.BYTES, (long) ints * Integer.BYTES);
  }

  private AttentionLaunch whole() {
    DeviceBuffer offsets = table(places.whole.queryOffsets(), key.whole().sequences() + 1);
    var buffers =
        new Attention.Buffers(
            normed,
            qkv,
            rotatedQkv.keys(),
            rotatedQkv.values(),
            offsets,
            offsets,
            table(places.whole.work(), places.whole.workInts()),
            // A sequence whose queries are its keys is never split.
            null,
            null);
    return new AttentionLaunch(
        shape(key.whole(), key.tokens(), config.qkvWidth()), List.of(buffers));
  }

  private AttentionLaunch cached(MaskPredictor predictor) {
    PassKey.Attending sizes = key.cached();
    long scratchBytes =
        Attention.scratchBytes(sizes.partialRows(), config.heads(), config.headDim());
    DeviceBuffer queryOffsets = table(places.cached.queryOffsets(), sizes.sequences() + 1);
    DeviceBuffer keyOffsets = table(places.cached.keyOffsets(), sizes.sequences() + 1);
    DeviceBuffer work = table(places.cached.work(), places.cached.workInts());
    DeviceBuffer scratch = buffer(predictor, predictor.plan().attentionScratch, scratchBytes, 1, 1);
    var layers = new ArrayList<Attention.Buffers>(config.layers());
    for (KvCache.Layer layer : predictor.cache().layers()) {
      layers.add(
          new Attention.Buffers(
              normed,
              qkv,
              layer.keys(),
              layer.values(),
              queryOffsets,
              keyOffsets,
              work,
              scratch,
              null));
    }
    int width = config.kvHeads() * config.headDim();
    return new AttentionLaunch(
        shape(sizes, predictor.limits().maxCacheTokens(), width), List.copyOf(layers));
  }

  private Attention.Shape shape(PassKey.Attending attending, int keyTokens, int kvStride) {
    return new Attention.Shape(
        attending.sequences(),
        attending.maxQueries(),
        key.tokens(),
        keyTokens,
        config.heads(),
        config.kvHeads(),
        config.headDim(),
        config.qkvWidth(),
        kvStride,
        config.dModel());
  }

  /// Uploads the tables of a pass of this key, and takes what its launches need besides.
  void lay(
      MaskPredictor predictor,
      PassShape shape,
      AttentionGroup wholeGroup,
      AttentionGroup cachedGroup) {
    int t = key.tokens();
    int d = config.dModel();
    int f = config.mlpHiddenSize();
    DType dtype = operations.dtype();
    MatmulType inner = dtype == DType.BF16 ? MatmulType.BF16_BF16 : MatmulType.F32_F32;
    MatmulType outer = dtype == DType.BF16 ? MatmulType.BF16_F32 : MatmulType.F32_F32;
    gemms =
        new Gemms(
            predictor.gemmPlan(inner, t, config.qkvWidth(), d),
            predictor.gemmPlan(inner, t, d, d),
            predictor.gemmPlan(inner, t, 2 * f, d),
            predictor.gemmPlan(inner, t, d, f),
            predictor.gemmPlan(outer, key.rows(), config.embeddingSize(), d));
    if (whole != null) {
      whole.work = wholeGroup.work();
    }
    if (cached != null) {
      cached.work = cachedGroup.work();
    }
    predictor.upload(tables, staging -> places.write(staging, shape, wholeGroup, cachedGroup));
  }

  /// Enqueues the pass.
  void enqueue() {
    int t = key.tokens();
    int d = config.dModel();
    int f = config.mlpHiddenSize();
    float epsilon = config.rmsNormEps();
    operations.embedding().launch(stream, residual, weights.embedding(), canvas, tokenIndex, t, d);
    // What a layer has left for the norm after it to add; null once it is in the residual stream.
    DeviceBuffer left = null;
    for (int i = 0; i < config.layers(); i++) {
      Weights.Layer layer = weights.layers().get(i);
      operations.rmsNorm().launch(stream, normed, residual, left, layer.attnNorm(), t, d, epsilon);
      if (gemms.qkv.fuses(Gemm.Fusion.ROPE)) {
        gemms.qkv.launchRotated(stream, rotatedQkv, normed, layer.qkv());
      } else {
        gemms.qkv.launch(stream, qkv, normed, layer.qkv());
        operations.rope().launch(stream, qkv, weights.ropeTable(), positions, t, ropeShape);
      }
      attend(i);
      left = addOrLeave(gemms.attnOut, normed, layer.attnOut());
      operations.rmsNorm().launch(stream, normed, residual, left, layer.ffNorm(), t, d, epsilon);
      if (gemms.gateUp.fuses(Gemm.Fusion.SWIGLU)) {
        gemms.gateUp.launchGated(stream, activated, normed, layer.gateUp());
      } else {
        gemms.gateUp.launch(stream, gateUp, normed, layer.gateUp());
        operations.swiGlu().launch(stream, activated, gateUp, t, f);
      }
      left = addOrLeave(gemms.ffOut, activated, layer.ffOut());
    }
    // Only the rows whose logits are wanted go on.
    DType dtype = operations.dtype();
    int rows = key.rows();
    operations.gatherRows().launch(stream, rowResidual, residual, rowIndex, rows, d, DType.F32);
    DeviceBuffer rowLeft = null;
    if (left != null) {
      rowLeft = rowDelta;
      operations.gatherRows().launch(stream, rowDelta, left, rowIndex, rows, d, dtype);
    }
    operations
        .rmsNorm()
        .launch(stream, rowNormed, rowResidual, rowLeft, weights.finalNorm(), rows, d, epsilon);
    gemms.head.launch(stream, logits, rowNormed, weights.head());
  }

  /// Attention of both kinds of sequences, each into its own rows of `normed`.
  private void attend(int layer) {
    if (whole != null) {
      whole.enqueue(operations, stream, layer);
    }
    if (cached != null) {
      Attention.Buffers buffers = cached.buffers(layer);
      operations
          .storeKv()
          .launch(
              stream,
              buffers.k(),
              buffers.v(),
              rotatedQkv.keys(),
              rotatedQkv.values(),
              cacheRows,
              storeShape);
      cached.enqueue(operations, stream, layer);
    }
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

  PassKey key() {
    return key;
  }

  DeviceBuffer rowIndex() {
    return rowIndex;
  }

  DeviceBuffer logits() {
    return logits;
  }
}
