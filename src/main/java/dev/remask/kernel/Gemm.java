package dev.remask.kernel;

import dev.remask.cuda.BlasLt;
import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/// Matrix products with weights, by cuBLASLt or our own kernels: [GemmChoice] is the table.
///
/// The software device's host kernels want their weights packed, once ([#packs]); elsewhere all
/// kernels read weights as they lie in checkpoints.
///
/// `REMASK_GEMM` (or the system property `remask.gemm`) decides: `auto` (default), `own`, which
/// gives a row the same bits whatever the number of rows, or `cublaslt`, which fails where cuBLASLt
/// is missing.
public final class Gemm implements AutoCloseable {
  private static final String OPERATION = "gemm";

  /// CTA tile and threads of kernels/gemm.cu.
  static final int TILE_M = 64;

  static final int TILE_N = 128;

  /// Status of a shape that cuBLASLt has no algorithm for.
  private static final String NOT_SUPPORTED = "CUBLAS_STATUS_NOT_SUPPORTED";

  private final GemmChoice.Setting setting = GemmChoice.Setting.configured();
  private final GemmChoice.ManyRows manyRows = GemmChoice.ManyRows.configured();
  private final Architecture architecture;
  private final boolean software;
  private final Map<MatmulType, Kernel> portable = new EnumMap<>(MatmulType.class);
  private BlasLt library;
  private GemmSm80 sm80;
  private GemmSm90a sm90a;
  private GemmInt8 int8;
  private final Map<DType, GemmPacked> packed;

  /// Loads the family's kernels by `modules`, which owns them.
  Gemm(Context context, Architecture architecture, Function<String, Module> modules) {
    this.architecture = architecture;
    software = context.device().isSoftware();
    Module portableModule = modules.apply(OPERATION);
    for (MatmulType type : MatmulType.values()) {
      portable.put(
          type,
          portableModule.kernel(
              OPERATION + "_" + type.name().toLowerCase(Locale.ROOT),
              Parameter.POINTER,
              Parameter.POINTER,
              Parameter.POINTER,
              Parameter.I32,
              Parameter.I32,
              Parameter.I32));
    }
    if (architecture == Architecture.SM90A) {
      sm90a = new GemmSm90a(context, modules.apply("gemm_sm90a"));
    }
    packed = setting == GemmChoice.Setting.CUBLASLT ? Map.of() : GemmPacked.load(context, modules);
    Optional<BlasLt> found =
        setting == GemmChoice.Setting.OWN ? Optional.empty() : BlasLt.open(context);
    if (setting == GemmChoice.Setting.CUBLASLT && found.isEmpty()) {
      throw new IllegalStateException(
          "REMASK_GEMM=cublaslt, but no cuBLASLt was found that works on this device"
              + " (REMASK_CUBLASLT names its file)");
    }
    library = found.orElse(null);
    if (architecture != Architecture.PORTABLE && setting != GemmChoice.Setting.CUBLASLT) {
      try {
        sm80 = new GemmSm80(context, modules.apply("gemm_rows_sm80"), modules.apply("gemm_sm80"));
      } catch (RuntimeException e) {
        close();
        throw e;
      }
    }
  }

  /// What a product's kernel can do to its result before it is stored.
  public enum Fusion {
    /// Add it to the residual stream: [Plan#launchAdding].
    RESIDUAL,
    /// Gate it: [Plan#launchGated].
    SWIGLU,
    /// Turn Q and K, and part Q, K and V: [Plan#launchRotated].
    ROPE
  }

  /// Where the rows of a QKV product go, and how their heads turn (as [Rope] turns them).
  ///
  /// q X[m, qStride], keys and values X[rows, kvStride], X the type of the inputs, of which a row's
  /// heads lie side by side at the start; cosSin `f32[P, headDim/2, 2]`, positions `i32[m]`. Row r
  /// of the product's K and V goes to row `kvRows[r]` (`i32[m]`, each below the buffers' rows, not
  /// checked here) of `keys` and `values`, or to row r where `kvRowsOrNull` is null.
  public record Qkv(
      DeviceBuffer q,
      DeviceBuffer keys,
      DeviceBuffer values,
      DeviceBuffer cosSin,
      DeviceBuffer positions,
      DeviceBuffer kvRowsOrNull,
      int heads,
      int kvHeads,
      int headDim,
      int qStride,
      int kvStride) {}

  /// A product of fixed types and shape, ready to launch. Made outside a capture.
  ///
  /// The launches of one context's plans share a workspace, so all go to one stream. They enqueue
  /// on it and return; device thread only. They throw IllegalArgumentException if a buffer is too
  /// small, CudaException if the launch is refused. All buffers are device memory, row-major, not
  /// overlapping.
  public abstract static sealed class Plan implements AutoCloseable
      permits GemmInt8.Plan,
          GemmPlans.Library,
          GemmPlans.Portable,
          GemmPlans.Packed,
          GemmPlans.Sm80,
          GemmPlans.Sm90a {
    final MatmulType type;
    final int m;
    final int n;
    final int k;
    private final Weight.Layout layout;

    Plan(MatmulType type, int m, int n, int k, Weight.Layout layout) {
      this.type = type;
      this.m = m;
      this.n = n;
      this.k = k;
      this.layout = layout;
    }

    /// Writes `out[m,n] = Σ_k a[m,k]·w[n,k]`, accumulated in f32 (no TF32); types as the plan's.
    public final void launch(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      Launch.requireBuffer(OPERATION, "out", out, type.outputBytes(), m, n);
      requireInputs(a, w);
      enqueue(stream, out, a, w);
    }

    /// Whether the launch of this fusion is supported; otherwise it throws
    /// UnsupportedOperationException, and the product and then its operation are to be launched.
    public boolean fuses(Fusion fusion) {
      return false;
    }

    /// Adds the product, in f32, to residual f32[m,n].
    public void launchAdding(Stream stream, DeviceBuffer residual, DeviceBuffer a, Weight w) {
      throw unsupported(Fusion.RESIDUAL);
    }

    /// Writes `out[m,n/2] = silu(gate) · up` in the type of the inputs, where the product's first
    /// n/2 columns are gates, the others ups.
    public void launchGated(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      throw unsupported(Fusion.SWIGLU);
    }

    /// Turns the Q and K heads of the product's rows (heads of Q, then of K, then of V) and writes
    /// all three where `qkv` says.
    public void launchRotated(Stream stream, Qkv qkv, DeviceBuffer a, Weight w) {
      throw unsupported(Fusion.ROPE);
    }

    final void requireInputs(DeviceBuffer a, Weight w) {
      Launch.requireBuffer(OPERATION, "a", a, type.inputBytes(), m, k);
      if (w.n() != n || w.k() != k || w.layout() != layout) {
        throw new IllegalArgumentException(
            "gemm: w is [%d, %d] %s; wanted: [%d, %d] %s"
                .formatted(w.n(), w.k(), w.layout(), n, k, layout));
      }
      int elementBytes = layout == Weight.Layout.INT8 ? Byte.BYTES : type.inputBytes();
      Launch.requireBuffer(OPERATION, "w", w.values(), elementBytes, n, k);
    }

    final void requireAdding(DeviceBuffer residual, DeviceBuffer a, Weight w) {
      Launch.requireBuffer(OPERATION, "residual", residual, Float.BYTES, m, n);
      requireInputs(a, w);
    }

    final void requireGated(DeviceBuffer out, DeviceBuffer a, Weight w) {
      if (n % 2 != 0) {
        throw new IllegalArgumentException("gemm: " + n + " columns are no gates and ups");
      }
      Launch.requireBuffer(OPERATION, "out", out, type.inputBytes(), m, n / 2);
      requireInputs(a, w);
    }

    final void requireRotated(Qkv qkv, DeviceBuffer a, Weight w) {
      requireInputs(a, w);
      int headDim = qkv.headDim();
      long heads = qkv.heads() + 2L * qkv.kvHeads();
      if (headDim % 2 != 0 || heads * headDim != n) {
        throw new IllegalArgumentException(
            "gemm: %d and twice %d heads of %d are not %d columns, or odd"
                .formatted(qkv.heads(), qkv.kvHeads(), headDim, n));
      }
      int bytes = type.inputBytes();
      int columns = qkv.heads() * headDim;
      Launch.requireStrided(OPERATION, "q", qkv.q(), bytes, m, columns, qkv.qStride());
      int kvColumns = qkv.kvHeads() * headDim;
      int kvRows = qkv.kvRowsOrNull() == null ? m : 1;
      Launch.requireStrided(
          OPERATION, "keys", qkv.keys(), bytes, kvRows, kvColumns, qkv.kvStride());
      Launch.requireStrided(
          OPERATION, "values", qkv.values(), bytes, kvRows, kvColumns, qkv.kvStride());
      Launch.requireBuffer(OPERATION, "cosSin", qkv.cosSin(), Float.BYTES, 1, headDim);
      Launch.requireBuffer(OPERATION, "positions", qkv.positions(), Integer.BYTES, m, 1);
      if (qkv.kvRowsOrNull() != null) {
        Launch.requireBuffer(OPERATION, "kvRows", qkv.kvRowsOrNull(), Integer.BYTES, m, 1);
      }
    }

    private UnsupportedOperationException unsupported(Fusion fusion) {
      return new UnsupportedOperationException(this + " does not fuse " + fusion);
    }

    abstract void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w);

    /// True if cuBLASLt runs it, false if our own kernel does.
    public boolean isLibrary() {
      return false;
    }

    /// Releases what the plan holds. Device thread only.
    @Override
    public void close() {}

    @Override
    public String toString() {
      return getClass().getSimpleName() + " " + type + " " + m + "x" + n + "x" + k;
    }
  }

  /// A plan for `out[m,n] = a[m,k]·w[n,k]ᵀ`; the caller closes it. Not while a capture is under
  /// way: cuBLASLt chooses its algorithm here. A shape that cuBLASLt has no algorithm for goes to
  /// our own kernel, unless cuBLASLt was asked for. Device thread only. Throws
  /// IllegalArgumentException if a size is below 1.
  public Plan plan(MatmulType type, int m, int n, int k) {
    return plan(type, m, n, k, Weight.Layout.ROWS);
  }

  /// The same for weights that lie as `layout` says. Throws UnsupportedOperationException where no
  /// kernel of this device reads them so.
  public Plan plan(MatmulType type, int m, int n, int k, Weight.Layout layout) {
    Launch.requirePositive(OPERATION, "m", m);
    Launch.requirePositive(OPERATION, "n", n);
    Launch.requirePositive(OPERATION, "k", k);
    if (layout == Weight.Layout.INT8 && int8 != null) {
      return new GemmInt8.Plan(type, m, n, k, int8);
    }
    GemmChoice choice =
        layout == Weight.Layout.PACKED ? GemmChoice.PACKED : choice(library != null, type, m, k);
    if (layout != Weight.Layout.ROWS && (choice != GemmChoice.PACKED || !packs(inputs(type)))) {
      throw new UnsupportedOperationException(
          "gemm: no kernel of this device reads %s weights of %s".formatted(layout, inputs(type)));
    }
    if (choice == GemmChoice.LIBRARY) {
      try {
        return new GemmPlans.Library(type, m, n, k, library.matmul(type, m, n, k, false));
      } catch (CudaException e) {
        if (setting == GemmChoice.Setting.CUBLASLT || !e.errorName().equals(NOT_SUPPORTED)) {
          throw e;
        }
        choice = choice(false, type, m, k);
      }
    }
    return switch (choice) {
      case LIBRARY -> throw new AssertionError("there is no library");
      case PORTABLE -> new GemmPlans.Portable(type, m, n, k, portable.get(type));
      case PACKED -> new GemmPlans.Packed(type, m, n, k, packed.get(inputs(type)));
      case SM90A -> new GemmPlans.Sm90a(type, m, n, k, sm90a, sm80);
      case ROWS16 -> new GemmPlans.Sm80(type, m, n, k, GemmSm80.Tile.ROWS16, sm80);
      case ROWS32 -> new GemmPlans.Sm80(type, m, n, k, GemmSm80.Tile.ROWS32, sm80);
      case ROWS64 -> new GemmPlans.Sm80(type, m, n, k, GemmSm80.Tile.ROWS64, sm80);
      case ROWS128 -> new GemmPlans.Sm80(type, m, n, k, GemmSm80.Tile.ROWS128, sm80);
    };
  }

  /// Bytes that [Operations#prepareInt8] needs for products of up to m rows of k.
  public static long int8ScratchBytes(long m, long k) {
    return GemmInt8.scratchBytes(m, k);
  }

  void prepareInt8(Module module, QuantizeRows quantizeRows, DeviceBuffer scratch) {
    int8 = new GemmInt8(module, quantizeRows, scratch);
  }

  /// Whether weights of this type are to be packed once, by [#pack]: on the software device's host
  /// kernels, unless `REMASK_GEMM=cublaslt`, or `REMASK_HOST_GEMM=onednn`, which is the default on
  /// processors with AMX and reads weights as they lie.
  public boolean packs(DType dtype) {
    return packed.containsKey(dtype);
  }

  /// Packs a matrix of `dtype` in place and returns it as it lies then. Enqueues on `stream` and
  /// returns; device thread only. Throws UnsupportedOperationException unless [#packs],
  /// IllegalArgumentException if the matrix does not lie in rows or its buffer is too small.
  public Weight pack(Stream stream, Weight rows, DType dtype) {
    if (!packs(dtype)) {
      throw new UnsupportedOperationException("gemm: this device packs no weights of " + dtype);
    }
    if (rows.layout() != Weight.Layout.ROWS) {
      throw new IllegalArgumentException("gemm: weights to pack lie in " + rows.layout());
    }
    Launch.requireBuffer(OPERATION, "w", rows.values(), dtype.bytes(), rows.n(), rows.k());
    packed.get(dtype).pack(stream, rows.values(), rows.n(), rows.k());
    return new Weight(rows.values(), rows.n(), rows.k(), Weight.Layout.PACKED, null);
  }

  private static DType inputs(MatmulType type) {
    return type == MatmulType.F32_F32 ? DType.F32 : DType.BF16;
  }

  private GemmChoice choice(boolean hasLibrary, MatmulType type, int m, int k) {
    return GemmChoice.of(setting, manyRows, hasLibrary, architecture, type, m, k);
  }

  /// Device memory that launches share, in bytes, without cuBLASLt's own.
  public long workspaceBytes() {
    return sm80 == null ? 0 : sm80.workspaceBytes();
  }

  /// What runs the products by weights that lie so: "own", "own, packed weights", "cuBLASLt 13.x",
  /// or the latter "of the software device" or "above 256 rows".
  public String name(Weight.Layout layout) {
    if (layout == Weight.Layout.PACKED) {
      return "own, packed weights";
    }
    if (layout == Weight.Layout.INT8) {
      return "own, int8 weights";
    }
    if (library == null) {
      return "own";
    }
    String name = "cuBLASLt " + library.version() + (software ? " of the software device" : "");
    return sm80 == null ? name : name + " above " + GemmChoice.FEW_ROWS + " rows, own below";
  }

  /// Closes cuBLASLt's handle and the workspaces; plans must be closed before. Device thread only.
  @Override
  public void close() {
    try {
      if (sm80 != null) {
        sm80.close();
      }
    } finally {
      if (library != null) {
        library.close();
      }
    }
  }
}
