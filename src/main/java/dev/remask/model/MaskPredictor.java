package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import dev.remask.kernel.Gemm;
import dev.remask.kernel.Operations;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;

/// A loaded LLaDA: for every masked position, how likely each token is to stand there.
///
/// Owns the weights, the workspace and a stream. All memory is planned at load for the limits given
/// there; a forward pass allocates nothing. Methods may be called from any thread and run on the
/// context's device thread; one batch is in use at a time.
public final class MaskPredictor implements AutoCloseable {
  /// Plans kept: those of some dozen batch shapes, each far below a megabyte.
  private static final int MAX_GEMM_PLANS = 64;

  /// Gemm plans depend on the shape only.
  private record GemmShape(MatmulType type, int m, int n, int k) {}

  private final Context context;
  private final ModelConfig config;
  private final WorkspaceLimits limits;
  private final WorkspacePlan plan;
  private final Stream stream;
  private final Operations operations;
  private final Weights weights;
  private final DeviceMemory workspace;
  private final PinnedMemory staging;
  // In the order of their last use. Kept beyond their batch, since choosing an algorithm is slow.
  private final LinkedHashMap<GemmShape, Gemm.Plan> gemmPlans =
      new LinkedHashMap<>(16, 0.75f, true);
  // What close() must release, last acquired first.
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  private Batch current;
  private volatile boolean closed;

  private MaskPredictor(
      Context context,
      Path folder,
      ModelConfig config,
      DType dtype,
      WorkspaceLimits limits,
      ProgressListener progress) {
    this.context = context;
    this.config = config;
    this.limits = limits;
    this.plan = new WorkspacePlan(config, dtype, limits);
    try {
      stream = own(context.newStream());
      operations = own(Operations.load(context, dtype));
      weights = own(Weights.load(context, stream, folder, config, dtype, progress));
      workspace = own(context.allocate(plan.totalBytes()));
      staging = own(context.allocatePinned(Batch.stagingBytes(limits)));
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
    ModelConfig config = ModelConfig.read(folder);
    return context.call(() -> new MaskPredictor(context, folder, config, dtype, limits, progress));
  }

  /// What config.json says.
  public ModelConfig config() {
    return config;
  }

  /// The kernels, loaded for this predictor's dtype.
  public Operations operations() {
    return operations;
  }

  /// The stream that forward passes are enqueued on.
  public Stream stream() {
    return stream;
  }

  /// The largest batch.
  public WorkspaceLimits limits() {
    return limits;
  }

  /// Device memory of workspaces and weights together, in bytes; it does not change after load.
  public long plannedBytes() {
    return plan.totalBytes() + weights.bytes() + operations.gemm().workspaceBytes();
  }

  /// Makes the batch of packed sequences of these lengths the current one, with `rows` rows of
  /// logits.
  ///
  /// Waits for the stream. Earlier batches become unusable: they shared the memory. Any thread.
  /// Throws IllegalArgumentException when the batch exceeds the limits or a sequence is empty or
  /// longer than the model's longest.
  public Batch prepare(int[] sequenceLengths, int rows) {
    checkBatch(sequenceLengths, rows);
    int[] lengths = sequenceLengths.clone();
    return context.call(() -> {
      if (closed) {
        throw new IllegalStateException("this mask predictor is closed");
      }
      var batch = new Batch(this, lengths, rows);
      current = batch;
      return batch;
    });
  }

  private void checkBatch(int[] lengths, int rows) {
    if (lengths.length < 1 || lengths.length > limits.maxSequences()) {
      throw outOfLimits("sequences", lengths.length, limits.maxSequences());
    }
    if (rows < 1 || rows > limits.maxRows()) {
      throw outOfLimits("rows", rows, limits.maxRows());
    }
    long tokens = 0;
    for (int length : lengths) {
      if (length < 1 || length > config.maxSequenceLength()) {
        throw outOfLimits("tokens of one sequence", length, config.maxSequenceLength());
      }
      tokens += length;
    }
    if (tokens > limits.maxTokens()) {
      throw outOfLimits("tokens", tokens, limits.maxTokens());
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

  WorkspacePlan plan() {
    return plan;
  }

  /// Pinned ints for a batch's offsets and positions.
  PinnedMemory staging() {
    return staging;
  }

  /// A plan for this shape, from the last ones used or made now. Not while a capture is under way.
  Gemm.Plan gemmPlan(MatmulType type, int m, int n, int k) {
    var shape = new GemmShape(type, m, n, k);
    Gemm.Plan plan = gemmPlans.get(shape);
    if (plan == null) {
      if (gemmPlans.size() == MAX_GEMM_PLANS) {
        // Not one of the batch being made: that has just used its few.
        gemmPlans.pollFirstEntry().getValue().close();
      }
      plan = operations.gemm().plan(type, m, n, k);
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
