package dev.remask.kernel;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Module;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;

/// Every operation of the runtime, loaded on one context for one dtype: the stable interface over
/// the kernels, which picks their variant by device.
///
/// Owns the modules and cuBLASLt's handle. Launchers keep their argument blocks, allocate nothing
/// per launch, and belong to the context's device thread.
public final class Operations implements AutoCloseable {
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  private final Context context;
  private final DType dtype;
  private final Architecture architecture;
  private Embedding embedding;
  private RmsNorm rmsNorm;
  private Rope rope;
  private Attention attention;
  private SwiGlu swiGlu;
  private GatherRows gatherRows;
  private StoreKv storeKv;
  private Optional<LoopWhile> loopWhile;
  private Gemm gemm;
  private Constrain constrain;
  private RestrictTokens restrictTokens;
  private MaskedSelect maskedSelect;
  private Optional<HeadSelect> headSelect;
  private TargetOdds targetOdds;
  private LayRows layRows;
  private Commit commit;
  private QuantizeRows quantizeRows;

  private Operations(Context context, DType dtype, Architecture architecture) {
    this.context = context;
    this.dtype = dtype;
    this.architecture = architecture;
  }

  /// Loads all kernels, of the family that [Architecture#of] names. Any thread; the work runs on
  /// the device thread.
  ///
  /// Throws CudaException if an image or a kernel is missing or the device refuses it,
  /// IllegalStateException if `REMASK_GEMM=cublaslt` and there is none, and
  /// IllegalArgumentException if `REMASK_KERNELS` cannot be read or names what the device cannot
  /// run.
  public static Operations load(Context context, DType dtype) {
    return load(context, dtype, Architecture.of(context.device()));
  }

  /// Loads all kernels, of the family `architecture` where there is such a variant for the dtype,
  /// portable ones otherwise. Throws what the two-argument form does, and IllegalArgumentException
  /// if the device cannot run the family.
  public static Operations load(Context context, DType dtype, Architecture architecture) {
    architecture.requireRunsOn(context.device());
    return context.call(() -> {
      var operations = new Operations(context, dtype, architecture.forType(dtype));
      try {
        operations.loadAll();
        return operations;
      } catch (RuntimeException e) {
        try {
          operations.release();
        } catch (RuntimeException suppressed) {
          e.addSuppressed(suppressed);
        }
        throw e;
      }
    });
  }

  private void loadAll() {
    embedding = new Embedding(module("embed"), dtype);
    rmsNorm = new RmsNorm(module("rmsnorm"), dtype);
    rope = new Rope(module("rope"), dtype);
    attention = new Attention(this::module, dtype, architecture, context.device());
    swiGlu = new SwiGlu(module("swiglu"), dtype);
    gatherRows = new GatherRows(module("gather"));
    storeKv = new StoreKv(module("store_kv"), dtype);
    constrain = new Constrain(module("constrain"));
    restrictTokens = new RestrictTokens(module("restrict"));
    Optional<Kernel> head = HeadSelect.kernel(context, dtype, this::module);
    maskedSelect = new MaskedSelect(module("select"), head.isPresent());
    headSelect = head.map(kernel -> new HeadSelect(dtype, kernel, maskedSelect));
    targetOdds = new TargetOdds(module("odds"));
    layRows = new LayRows(module("lay"));
    commit = new Commit(module("commit"));
    loopWhile =
        context.supportsConditionalNodes() ? LoopWhile.load(this::module) : Optional.empty();
    gemm = new Gemm(context, architecture, this::module);
    owned.push(gemm);
  }

  private Module module(String operation) {
    Module module = context.loadModule(operation);
    owned.push(module);
    return module;
  }

  /// Element type of weights and activations.
  public DType dtype() {
    return dtype;
  }

  /// The family that variants are taken from; portable with f32.
  public Architecture architecture() {
    return architecture;
  }

  /// Token embedding.
  public Embedding embedding() {
    return embedding;
  }

  /// Residual add and RMS normalisation.
  public RmsNorm rmsNorm() {
    return rmsNorm;
  }

  /// Rotary position embedding.
  public Rope rope() {
    return rope;
  }

  /// Bidirectional attention.
  public Attention attention() {
    return attention;
  }

  /// Feed-forward gate.
  public SwiGlu swiGlu() {
    return swiGlu;
  }

  /// Row gather.
  public GatherRows gatherRows() {
    return gatherRows;
  }

  /// Keys and values into the cache.
  public StoreKv storeKv() {
    return storeKv;
  }

  /// Matrix products.
  public Gemm gemm() {
    return gemm;
  }

  /// Rows as 8-bit integers; loaded when first asked for. Device thread only.
  public QuantizeRows quantizeRows() {
    if (quantizeRows == null) {
      quantizeRows = new QuantizeRows(module("quantize"), dtype);
    }
    return quantizeRows;
  }

  /// Loads the kernels for weights of [Weight.Layout#INT8], whose products keep their rows in
  /// `scratch`: at least [Gemm#int8ScratchBytes] of the largest, there as long as plans are
  /// launched. Before such a plan is made; device thread only.
  public void prepareInt8(DeviceBuffer scratch) {
    gemm.prepareInt8(module("gemm_int8"), quantizeRows(), scratch);
  }

  /// Bans, biases, allowed sets and choices.
  public Constrain constrain() {
    return constrain;
  }

  /// Top-k and top-p.
  public RestrictTokens restrictTokens() {
    return restrictTokens;
  }

  /// Odds against given tokens.
  public TargetOdds targetOdds() {
    return targetOdds;
  }

  /// Token choice and confidence.
  public MaskedSelect maskedSelect() {
    return maskedSelect;
  }

  /// The same with the product before it; empty where the device has no such kernel.
  public Optional<HeadSelect> headSelect() {
    return headSelect;
  }

  /// What each row of logits stands for: the begin of a step.
  public LayRows layRows() {
    return layRows;
  }

  /// Commit of the surest positions, and on to the next step: the end of one.
  public Commit commit() {
    return commit;
  }

  /// The end of a step inside a WHILE node; empty where the driver has no such nodes.
  public Optional<LoopWhile> loopWhile() {
    return loopWhile;
  }

  /// What runs the matrix products of a model that owns its weights' memory, see [Gemm#name].
  public String gemmName() {
    return gemm.name(gemm.packs(dtype) ? Weight.Layout.PACKED : Weight.Layout.ROWS);
  }

  /// Unloads the kernels; nothing may be queued that uses them. A second call does nothing. Any
  /// thread.
  @Override
  public void close() {
    context.run(this::release);
  }

  private void release() {
    RuntimeException failure = null;
    while (!owned.isEmpty()) {
      try {
        owned.pop().close();
      } catch (RuntimeException e) {
        if (failure == null) {
          failure = e;
        } else {
          failure.addSuppressed(e);
        }
      } catch (Exception e) {
        throw new AssertionError("handles of this runtime throw no checked exceptions", e);
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}
