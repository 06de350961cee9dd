package dev.remask.model;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Stream;
import dev.remask.kernel.Attention;
import dev.remask.kernel.AttentionWork;
import dev.remask.kernel.DType;
import dev.remask.kernel.GatherRows;
import dev.remask.kernel.Gemm;
import dev.remask.kernel.Operations;
import dev.remask.kernel.Rope;
import dev.remask.kernel.StoreKv;
import dev.remask.kernel.Weight;
import java.util.ArrayList;
import java.util.List;

/// The launches of a forward pass of one key: views of the workspace and sizes, made once and used
/// for every pass of the key.
///
/// T queries, R rows of logits, both with their padding, E the model's embedding_size. From the
/// last layer's attention on only those rows are computed: no other token's result is read any
/// more. Device thread only.
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
  private final Activations all;
  private final Activations wanted;
  private final DeviceBuffer qkv;
  private final DeviceBuffer logits;

  private final Rope.Shape ropeShape;
  private final AttentionLaunch whole;
  private final AttentionLaunch cached;
  private final StoreKv.Shape storeShape;
  private final Gemm.Qkv rotatedQkv;
  private Gemms gemms;

  /// Buffers of so many rows: all tokens, or those whose logits are wanted. X: the model's dtype.
  ///
  /// @param residual f32[rows, D]
  /// @param normed X[rows, D], of which attention's result takes the place
  /// @param delta X[rows, D], what a product leaves for the next norm to add
  /// @param gateUp X[rows, 2·F]
  /// @param activated X[rows, F]
  private record Activations(
      int rows,
      DeviceBuffer residual,
      DeviceBuffer normed,
      DeviceBuffer delta,
      DeviceBuffer gateUp,
      DeviceBuffer activated) {}

  /// The products of a pass. They are looked up for each pass: their owner keeps those in use.
  private record Gemms(Gemm.Plan qkv, AfterAttention all, AfterAttention wanted, Gemm.Plan head) {}

  /// The products of a layer that follow its attention, for the rows of one [Activations].
  private record AfterAttention(Gemm.Plan attnOut, Gemm.Plan gateUp, Gemm.Plan ffOut) {
    static AfterAttention of(
        MaskPredictor predictor, MatmulType type, int rows, Weights.Layer layer) {
      return new AfterAttention(
          predictor.gemmPlan(type, rows, layer.attnOut()),
          predictor.gemmPlan(type, rows, layer.gateUp()),
          predictor.gemmPlan(type, rows, layer.ffOut()));
    }
  }

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
    all =
        new Activations(
            t,
            buffer(predictor, plan.residual, t, d, Float.BYTES),
            buffer(predictor, plan.normed, t, d, x),
            buffer(predictor, plan.delta, t, d, x),
            buffer(predictor, plan.gateUp, t, 2 * f, x),
            buffer(predictor, plan.activated, t, f, x));
    wanted =
        new Activations(
            rows,
            buffer(predictor, plan.rowResidual, rows, d, Float.BYTES),
            buffer(predictor, plan.rowNormed, rows, d, x),
            buffer(predictor, plan.rowDelta, rows, d, x),
            buffer(predictor, plan.rowGateUp, rows, 2 * f, x),
            buffer(predictor, plan.rowActivated, rows, f, x));
    qkv = buffer(predictor, plan.qkv, t, width, x);
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
            all.normed,
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
              all.normed,
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
    DType dtype = operations.dtype();
    MatmulType inner = dtype == DType.BF16 ? MatmulType.BF16_BF16 : MatmulType.F32_F32;
    MatmulType outer = dtype == DType.BF16 ? MatmulType.BF16_F32 : MatmulType.F32_F32;
    // The same shapes in each layer.
    Weights.Layer layer = weights.layers().getFirst();
    gemms =
        new Gemms(
            predictor.gemmPlan(inner, t, layer.qkv()),
            AfterAttention.of(predictor, inner, t, layer),
            AfterAttention.of(predictor, inner, key.rows(), layer),
            predictor.gemmPlan(outer, key.rows(), weights.head()));
    if (whole != null) {
      whole.work = wholeGroup.work();
    }
    if (cached != null) {
      cached.work = cachedGroup.work();
    }
    predictor.upload(tables, staging -> places.write(staging, shape, wholeGroup, cachedGroup));
  }

  /// Enqueues the pass, logits included.
  void enqueue() {
    enqueueHidden();
    gemms.head.launch(stream, logits, wanted.normed, weights.head());
  }

  /// Enqueues the pass but for its last product.
  void enqueueHidden() {
    int t = key.tokens();
    DeviceBuffer normed = all.normed;
    operations
        .embedding()
        .launch(stream, all.residual, weights.embedding(), canvas, tokenIndex, t, config.dModel());
    // What a layer has left for the norm after it to add; null once it is in the residual stream.
    DeviceBuffer left = null;
    for (int i = 0; i < config.layers(); i++) {
      Weights.Layer layer = weights.layers().get(i);
      normalize(all, left, layer.attnNorm());
      if (gemms.qkv.fuses(Gemm.Fusion.ROPE)) {
        gemms.qkv.launchRotated(stream, rotatedQkv, normed, layer.qkv());
      } else {
        gemms.qkv.launch(stream, qkv, normed, layer.qkv());
        operations.rope().launch(stream, qkv, weights.ropeTable(), positions, t, ropeShape);
      }
      attend(i);
      if (i < config.layers() - 1) {
        left = feedForward(layer, all, gemms.all);
      } else {
        gatherWanted();
        left = feedForward(layer, wanted, gemms.wanted);
      }
    }
    normalize(wanted, left, weights.finalNorm());
  }

  /// Adds what is left, if anything, and normalises the sum.
  private void normalize(Activations on, DeviceBuffer left, DeviceBuffer norm) {
    operations
        .rmsNorm()
        .launch(
            stream,
            on.normed,
            on.residual,
            left,
            norm,
            on.rows,
            config.dModel(),
            config.rmsNormEps());
  }

  /// The rows whose logits are wanted, of attention's result and of the residual stream.
  private void gatherWanted() {
    int d = config.dModel();
    GatherRows gather = operations.gatherRows();
    gather.launch(stream, wanted.residual, all.residual, rowIndex, wanted.rows, d, DType.F32);
    gather.launch(stream, wanted.normed, all.normed, rowIndex, wanted.rows, d, operations.dtype());
  }

  /// The rest of a layer after its attention; returns what it leaves for the next norm to add.
  private DeviceBuffer feedForward(Weights.Layer layer, Activations on, AfterAttention products) {
    DeviceBuffer left = addOrLeave(products.attnOut, on, on.normed, layer.attnOut());
    normalize(on, left, layer.ffNorm());
    if (products.gateUp.fuses(Gemm.Fusion.SWIGLU)) {
      products.gateUp.launchGated(stream, on.activated, on.normed, layer.gateUp());
    } else {
      products.gateUp.launch(stream, on.gateUp, on.normed, layer.gateUp());
      operations.swiGlu().launch(stream, on.activated, on.gateUp, on.rows, config.mlpHiddenSize());
    }
    return addOrLeave(products.ffOut, on, on.activated, layer.ffOut());
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
  private DeviceBuffer addOrLeave(Gemm.Plan gemm, Activations on, DeviceBuffer a, Weight w) {
    if (gemm.fuses(Gemm.Fusion.RESIDUAL)) {
      gemm.launchAdding(stream, on.residual, a, w);
      return null;
    }
    gemm.launch(stream, on.delta, a, w);
    return on.delta;
  }

  PassKey key() {
    return key;
  }

  DeviceBuffer rowIndex() {
    return rowIndex;
  }

  DeviceBuffer hidden() {
    return wanted.normed;
  }

  Weight head() {
    return weights.head();
  }

  DeviceBuffer logits() {
    return logits;
  }
}
