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
  /// q bf16[m, qStride], keys and values bf16[rows, kvStride], of which a row's heads lie side by
  /// side at the start; cosSin `f32[P, headDim/2, 2]`, positions `i32[m]`. Row r of the product's K
  /// and V goes to row `kvRows[r]` (`i32[m]`, each below the buffers' rows, not checked here) of
  /// `keys` and `values`, or to row r where `kvRowsOrNull` is null.
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
      permits GemmPlans.Library, GemmPlans.Portable, GemmPlans.Sm80, GemmPlans.Sm90a {
    final MatmulType type;
    final int m;
    final int n;
    final int k;

    Plan(MatmulType type, int m, int n, int k) {
      this.type = type;
      this.m = m;
      this.n = n;
      this.k = k;
    }

    /// Writes `out[m,n] = Σ_k a[m,k]·w[n,k]`, accumulated in f32 (no TF32); types as the plan's.
    public final void launch(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
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
    public void launchAdding(Stream stream, DeviceBuffer residual, DeviceBuffer a, DeviceBuffer w) {
      throw unsupported(Fusion.RESIDUAL);
    }

    /// Writes `out[m,n/2] = silu(gate) · up` in bf16, where the product's first n/2 columns are
    /// gates, the others ups.
    public void launchGated(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
      throw unsupported(Fusion.SWIGLU);
    }

    /// Turns the Q and K heads of the product's rows (heads of Q, then of K, then of V) and writes
    /// all three where `qkv` says.
    public void launchRotated(Stream stream, Qkv qkv, DeviceBuffer a, DeviceBuffer w) {
      throw unsupported(Fusion.ROPE);
    }

    final void requireInputs(DeviceBuffer a, DeviceBuffer w) {
      Launch.requireBuffer(OPERATION, "a", a, type.inputBytes(), m, k);
      Launch.requireBuffer(OPERATION, "w", w, type.inputBytes(), n, k);
    }

    private UnsupportedOperationException unsupported(Fusion fusion) {
      return new UnsupportedOperationException(this + " does not fuse " + fusion);
    }

    abstract void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w);

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
    Launch.requirePositive(OPERATION, "m", m);
    Launch.requirePositive(OPERATION, "n", n);
    Launch.requirePositive(OPERATION, "k", k);
    GemmChoice choice = choice(library != null, type, m, k);
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
      case SM90A -> new GemmPlans.Sm90a(type, m, n, k, sm90a, sm80);
      case ROWS16 -> new GemmPlans.Sm80(type, m, n, k, GemmSm80.Tile.ROWS16, sm80);
      case ROWS32 -> new GemmPlans.Sm80(type, m, n, k, GemmSm80.Tile.ROWS32, sm80);
      case ROWS64 -> new GemmPlans.Sm80(type, m, n, k, GemmSm80.Tile.ROWS64, sm80);
      case ROWS128 -> new GemmPlans.Sm80(type, m, n, k, GemmSm80.Tile.ROWS128, sm80);
    };
  }

  private GemmChoice choice(boolean hasLibrary, MatmulType type, int m, int k) {
    return GemmChoice.of(setting, manyRows, hasLibrary, architecture, type, m, k);
  }

  /// Device memory that launches share, in bytes, without cuBLASLt's own.
  public long workspaceBytes() {
    return sm80 == null ? 0 : sm80.workspaceBytes();
  }

  /// What runs the products: "own", "cuBLASLt 13.x", or the latter "of the software device" or
  /// "above 256 rows".
  public String name() {
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
