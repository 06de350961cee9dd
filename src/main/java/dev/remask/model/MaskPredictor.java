package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.Event;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.Attention;
import dev.remask.kernel.DType;
import dev.remask.kernel.Gemm;
import dev.remask.kernel.Operations;
import dev.remask.kernel.Weight;
import java.nio.IntBuffer;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.function.Consumer;

/// A loaded LLaDA: for every masked position, how likely each token is to stand there.
///
/// Owns the weights, the workspace and a stream. All memory is planned at load for the limits given
/// there; a forward pass allocates nothing. Methods may be called from any thread and run on the
/// context's device thread; one batch is in use at a time.
public final class MaskPredictor implements AutoCloseable {
  /// Plans kept: those of some dozen batch shapes, each far below a megabyte.
  private static final int MAX_GEMM_PLANS = 96;

  /// Passes kept: each holds sizes and views only, a few kilobytes.
  private static final int MAX_PASSES = 64;

  /// Queries and rows are padded to multiples of this at least, where few are: the vectors and
  /// tensor-core tiles of the matrix products work on so many at once anyway.
  private static final int LEAST_BUCKET = 8;

  /// Gemm plans depend on the shape only, and on how the weights lie.
  private record GemmShape(MatmulType type, int m, int n, int k, Weight.Layout layout) {}

  private final Context context;
  private final ModelConfig config;
  private final WorkspaceLimits limits;
  private final WorkspacePlan plan;
  private final Stream stream;
  private final Operations operations;
  private final Weights weights;
  private final DeviceMemory workspace;
  private final KvCache cache;
  private final PinnedMemory staging;
  private final IntBuffer stagingInts;
  private final Event uploaded;
  // In the order of their last use. Kept beyond their batch, since choosing an algorithm is slow.
  private final LinkedHashMap<GemmShape, Gemm.Plan> gemmPlans =
      new LinkedHashMap<>(16, 0.75f, true);
  // What close() must release, last acquired first.
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  // In the order of their last use.
  private final LinkedHashMap<PassKey, ForwardPass> passes = new LinkedHashMap<>(16, 0.75f, true);
  private Batch current;
  private volatile boolean closed;

  private MaskPredictor(
      Context context,
      Path folder,
      ModelConfig config,
      DType dtype,
      Quantization quantization,
      WorkspaceLimits limits,
      WeightMemory weightMemoryOrNull,
      ProgressListener progress) {
    this.context = context;
    this.config = config;
    this.limits = limits;
    this.plan = new WorkspacePlan(config, dtype, quantization, limits);
    try {
      stream = own(context.workStream());
      operations = own(Operations.load(context, dtype));
      weights =
          own(
              Weights.load(
                  context,
                  stream,
                  operations,
                  folder,
                  config,
                  quantization,
                  weightMemoryOrNull,
                  progress));
      workspace = own(context.allocate(plan.totalBytes()));
      if (quantization == Quantization.INT8) {
        operations.prepareInt8(workspace.slice(plan.quantized.offset(), plan.quantized.bytes()));
      }
      cache =
          limits.maxCacheTokens() == 0
              ? null
              : own(new KvCache(context, stream, config, dtype, limits.maxCacheTokens()));
      staging = own(context.allocatePinned(plan.tables.bytes()));
      stagingInts = staging.buffer().asIntBuffer();
      uploaded = own(context.newEvent());
    } catch (RuntimeException | Error e) {
      try {
        release();
      } catch (RuntimeException late) {
        e.addSuppressed(late);
      }
      throw e;
    }
  }

  /// Loads a model folder onto the context's device.
  ///
  /// dtype is the type of weights and activations; the residual stream and the logits are f32
  /// either way. Any thread; blocks until the weights are on the device. Throws ModelException for
  /// the folder's faults, CudaException for the device's (such as too little memory); nothing stays
  /// allocated then.
  public static MaskPredictor load(
      Context context,
      Path folder,
      DType dtype,
      WorkspaceLimits limits,
      ProgressListener progress) {
    return load(context, folder, dtype, Quantization.NONE, limits, null, progress);
  }

  /// The same with its matrices kept as `quantization` says, and its weights in memory that
  /// somebody else owns; null: in its own.
  public static MaskPredictor load(
      Context context,
      Path folder,
      DType dtype,
      Quantization quantization,
      WorkspaceLimits limits,
      WeightMemory weightMemoryOrNull,
      ProgressListener progress) {
    ModelConfig config = ModelConfig.read(folder);
    return context.call(() ->
        new MaskPredictor(
            context, folder, config, dtype, quantization, limits, weightMemoryOrNull, progress));
  }

  /// What config.json says.
  public ModelConfig config() {
    return config;
  }

  /// The kernels, loaded for this predictor's dtype.
  public Operations operations() {
    return operations;
  }

  /// What runs its matrix products, see [Gemm#name].
  public String gemmName() {
    return operations.gemm().name(weights.layout());
  }

  /// Its weights, for another predictor in the same CUDA context to share while this one is open.
  public WeightMemory weightMemory() {
    return weights.shared();
  }

  /// The stream that forward passes are enqueued on: the caller's where the context is attached to
  /// one.
  public Stream stream() {
    return stream;
  }

  /// The largest batch.
  public WorkspaceLimits limits() {
    return limits;
  }

  /// Device memory of workspaces, cache and weights together, in bytes; it does not change after
  /// load.
  public long plannedBytes() {
    long cacheBytes = cache == null ? 0 : cache.bytes();
    return plan.totalBytes() + cacheBytes + weights.bytes() + operations.gemm().workspaceBytes();
  }

  /// Device memory that weights, workspace and cache of such a model take, in bytes; what a
  /// cuBLASLt takes to work comes on top.
  public static long requiredBytes(
      ModelConfig config, DType dtype, Quantization quantization, WorkspaceLimits limits) {
    return new WorkspacePlan(config, dtype, quantization, limits).totalBytes()
        + KvCache.bytes(config, dtype, limits.maxCacheTokens())
        + Weights.requiredBytes(config, dtype, quantization);
  }

  /// Makes this pass the current one, over the ids in `canvas`, `i32[C]` of device memory that the
  /// caller owns.
  ///
  /// Enqueues the upload of the pass's tables and returns; on the host it waits for the former
  /// upload at most. Earlier batches become unusable: they shared the memory. What depends on
  /// [Batch#key] alone is kept for passes to come, so that a change among known keys is cheap. Any
  /// thread, not within a capture.
  ///
  /// Throws IllegalArgumentException when the pass exceeds the limits or the canvas, or a sequence
  /// the model's longest.
  public Batch prepare(PassShape shape, DeviceBuffer canvas) {
    check(shape, canvas);
    return context.call(() -> {
      if (closed) {
        throw new IllegalStateException("this mask predictor is closed");
      }
      Attention attention = operations.attention();
      var whole = AttentionGroup.of(attention, shape, false);
      var cached = AttentionGroup.of(attention, shape, true);
      var key =
          new PassKey(
              canvas.address(),
              Math.min(PassShape.bucket(shape.queries(), LEAST_BUCKET), limits.maxTokens()),
              Math.min(PassShape.bucket(shape.rows(), LEAST_BUCKET), limits.maxRows()),
              whole == null ? PassKey.Attending.NONE : whole.key(),
              cached == null ? PassKey.Attending.NONE : cached.key());
      ForwardPass pass = passes.get(key);
      if (pass == null) {
        if (passes.size() == MAX_PASSES) {
          passes.pollFirstEntry();
        }
        pass = new ForwardPass(this, key, canvas);
        passes.put(key, pass);
      }
      // From here on the tables are not those of an earlier batch.
      current = null;
      pass.lay(this, shape, whole, cached);
      var batch = new Batch(this, pass, shape);
      current = batch;
      return batch;
    });
  }

  private void check(PassShape shape, DeviceBuffer canvas) {
    int sequences = shape.sequences().size();
    if (sequences > limits.maxSequences()) {
      throw outOfLimits("sequences", sequences, limits.maxSequences());
    }
    if (shape.rows() > limits.maxRows()) {
      throw outOfLimits("rows", shape.rows(), limits.maxRows());
    }
    for (PassSequence sequence : shape.sequences()) {
      if (sequence.length() > config.maxSequenceLength()) {
        throw outOfLimits("tokens of one sequence", sequence.length(), config.maxSequenceLength());
      }
    }
    if (shape.queries() > limits.maxTokens()) {
      throw outOfLimits("tokens", shape.queries(), limits.maxTokens());
    }
    for (PassSequence sequence : shape.sequences()) {
      int computed = sequence.firstPosition() + sequence.queries();
      long canvasEnd = (long) sequence.canvasBegin() + computed;
      if (canvasEnd > canvas.bytes() / Integer.BYTES) {
        throw new IllegalArgumentException(
            "a sequence's canvas ends at %d; the arena holds %d ids"
                .formatted(canvasEnd, canvas.bytes() / Integer.BYTES));
      }
      long cacheEnd = (long) sequence.cacheBegin() + sequence.length();
      if (sequence.cached() && cacheEnd > limits.maxCacheTokens()) {
        throw new IllegalArgumentException(
            "a sequence's cache ends at row %d; the model was loaded with maxCacheTokens %d"
                .formatted(cacheEnd, limits.maxCacheTokens()));
      }
    }
  }

  private static IllegalArgumentException outOfLimits(String what, long found, int most) {
    return new IllegalArgumentException(found + " " + what + "; wanted: 1 to " + most);
  }

  Context context() {
    return context;
  }

  Weights weights() {
    return weights;
  }

  DeviceMemory workspace() {
    return workspace;
  }

  /// Keys and values of cached sequences; null where the limits have no room for any.
  KvCache cache() {
    return cache;
  }

  WorkspacePlan plan() {
    return plan;
  }

  /// Enqueues the upload of `target`'s ints as `writer` puts them, from 0 on. Device thread.
  void upload(DeviceBuffer target, Consumer<IntBuffer> writer) {
    // The former upload reads the same staging memory.
    uploaded.synchronize();
    writer.accept(stagingInts);
    stream.copyToDevice(target, staging, 0, target.bytes());
    stream.record(uploaded);
  }

  /// A plan for `m` rows times `weight`, from the last ones used or made now. Not while a capture
  /// is under way.
  Gemm.Plan gemmPlan(MatmulType type, int m, Weight weight) {
    var shape = new GemmShape(type, m, weight.n(), weight.k(), weight.layout());
    Gemm.Plan plan = gemmPlans.get(shape);
    if (plan == null) {
      if (gemmPlans.size() == MAX_GEMM_PLANS) {
        // Not one of the batch being made: that has just used its few.
        gemmPlans.pollFirstEntry().getValue().close();
      }
      plan = operations.gemm().plan(type, m, shape.n(), shape.k(), shape.layout());
      gemmPlans.put(shape, plan);
    }
    return plan;
  }

  boolean isCurrent(Batch batch) {
    return current == batch && !closed;
  }

  /// Waits for the stream and releases everything. A second call does nothing. Any thread.
  @Override
  public void close() {
    if (closed) {
      return;
    }
    context.run(() -> {
      if (!closed) {
        closed = true;
        release();
      }
    });
  }

  private <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  /// Waits for the stream, then closes what is owned, last acquired first; goes on after a failure
  /// and throws the first one.
  private void release() {
    RuntimeException failure = null;
    try {
      if (stream != null) {
        stream.synchronize();
      }
    } catch (RuntimeException e) {
      failure = e;
    }
    // Plans use what operations own.
    gemmPlans.values().forEach(owned::push);
    gemmPlans.clear();
    for (AutoCloseable resource : owned) {
      try {
        resource.close();
      } catch (Exception e) {
        var unchecked = e instanceof RuntimeException r ? r : new IllegalStateException(e);
        if (failure == null) {
          failure = unchecked;
        } else {
          failure.addSuppressed(unchecked);
        }
      }
    }
    owned.clear();
    if (failure != null) {
      throw failure;
    }
  }
}
