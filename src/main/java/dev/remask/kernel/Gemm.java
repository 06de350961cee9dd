package dev.remask.kernel;

import dev.remask.cuda.BlasLt;
import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Matmul;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/// Matrix products with weights: by cuBLASLt where it is found, by our own kernel otherwise.
///
/// `REMASK_GEMM` (or the system property `remask.gemm`) decides: `auto` (default), `own`, or
/// `cublaslt`, which fails where cuBLASLt is missing.
public final class Gemm implements AutoCloseable {
  private static final String OPERATION = "gemm";

  /// CTA tile and threads of kernels/gemm.cu.
  static final int TILE_M = 64;

  static final int TILE_N = 128;
  private static final int THREADS = 128;

  /// Status of a shape that cuBLASLt has no algorithm for.
  private static final String NOT_SUPPORTED = "CUBLAS_STATUS_NOT_SUPPORTED";

  private enum Choice {
    AUTO,
    OWN,
    CUBLASLT;

    static Choice configured() {
      String value = System.getProperty("remask.gemm");
      if (value == null) {
        value = System.getenv("REMASK_GEMM");
      }
      if (value == null || value.isBlank()) {
        return AUTO;
      }
      return switch (value.strip().toLowerCase(Locale.ROOT)) {
        case "auto" -> AUTO;
        case "own" -> OWN;
        case "cublaslt" -> CUBLASLT;
        default ->
            throw new IllegalArgumentException(
                "REMASK_GEMM is '" + value + "'; wanted: auto, own or cublaslt");
      };
    }
  }

  private final Choice choice;
  private final BlasLt library;
  private final boolean software;
  private final Map<MatmulType, Kernel> kernels = new EnumMap<>(MatmulType.class);

  Gemm(Context context, Module module) {
    choice = Choice.configured();
    software = context.device().isSoftware();
    for (MatmulType type : MatmulType.values()) {
      kernels.put(
          type,
          module.kernel(
              OPERATION + "_" + type.name().toLowerCase(Locale.ROOT),
              Parameter.POINTER,
              Parameter.POINTER,
              Parameter.POINTER,
              Parameter.I32,
              Parameter.I32,
              Parameter.I32));
    }
    Optional<BlasLt> found = choice == Choice.OWN ? Optional.empty() : BlasLt.open(context);
    if (choice == Choice.CUBLASLT && found.isEmpty()) {
      throw new IllegalStateException(
          "REMASK_GEMM=cublaslt, but no cuBLASLt was found that works on this device"
              + " (REMASK_CUBLASLT names its file)");
    }
    library = found.orElse(null);
  }

  /// A product of fixed types and shape, ready to launch. Made outside a capture.
  public abstract static sealed class Plan implements AutoCloseable {
    private final MatmulType type;
    private final int m;
    private final int n;
    private final int k;

    private Plan(MatmulType type, int m, int n, int k) {
      this.type = type;
      this.m = m;
      this.n = n;
      this.k = k;
    }

    /// Writes `out[m,n] = Σ_k a[m,k]·w[n,k]`, accumulated in f32 (no TF32).
    ///
    /// All device memory, row-major, types as the plan's, not overlapping. Enqueues on `stream` and
    /// returns; launches of one context's plans share a workspace, so all go to one stream. Device
    /// thread only. Throws IllegalArgumentException if a buffer is too small, CudaException if the
    /// launch is refused.
    public final void launch(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
      Launch.requireBuffer(OPERATION, "out", out, type.outputBytes(), m, n);
      Launch.requireBuffer(OPERATION, "a", a, type.inputBytes(), m, k);
      Launch.requireBuffer(OPERATION, "w", w, type.inputBytes(), n, k);
      enqueue(stream, out, a, w);
    }

    abstract void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w);

    /// True if cuBLASLt runs it, false if our own kernel does.
    public abstract boolean isLibrary();

    /// Releases what the plan holds. Device thread only.
    @Override
    public abstract void close();
  }

  private static final class LibraryPlan extends Plan {
    private final Matmul matmul;

    LibraryPlan(MatmulType type, int m, int n, int k, Matmul matmul) {
      super(type, m, n, k);
      this.matmul = matmul;
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
      matmul.launch(stream, out, a, w);
    }

    @Override
    public boolean isLibrary() {
      return true;
    }

    @Override
    public void close() {
      matmul.close();
    }
  }

  private static final class OwnPlan extends Plan {
    private final Kernel kernel;
    private final int m;
    private final int n;
    private final int k;

    OwnPlan(MatmulType type, int m, int n, int k, Kernel kernel) {
      super(type, m, n, k);
      this.kernel = kernel;
      this.m = m;
      this.n = n;
      this.k = k;
      Launch.requireGrid(OPERATION, "n / " + TILE_N, Launch.ceilDiv(n, TILE_N));
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
      kernel.set(0, out).set(1, a).set(2, w).set(3, m).set(4, n).set(5, k);
      int tilesM = Launch.ceilDiv(m, TILE_M);
      kernel.launch(stream, tilesM, Launch.ceilDiv(n, TILE_N), 1, THREADS, 0);
    }

    @Override
    public boolean isLibrary() {
      return false;
    }

    @Override
    public void close() {
      // The kernel is the module's.
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
    if (library == null) {
      return new OwnPlan(type, m, n, k, kernels.get(type));
    }
    try {
      return new LibraryPlan(type, m, n, k, library.matmul(type, m, n, k, false));
    } catch (CudaException e) {
      if (choice == Choice.CUBLASLT || !e.errorName().equals(NOT_SUPPORTED)) {
        throw e;
      }
      return new OwnPlan(type, m, n, k, kernels.get(type));
    }
  }

  /// What runs the products: "own", "cuBLASLt 13.x", or the latter "of the software device".
  public String name() {
    if (library == null) {
      return "own";
    }
    return "cuBLASLt " + library.version() + (software ? " of the software device" : "");
  }

  /// Closes cuBLASLt's handle and workspace; plans must be closed before. Device thread only.
  @Override
  public void close() {
    if (library != null) {
      library.close();
    }
  }
}
