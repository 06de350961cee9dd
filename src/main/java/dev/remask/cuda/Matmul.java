package dev.remask.cuda;

import static dev.remask.cuda.BlasLtConstants.CUBLASLT_MATMUL_DESC_TRANSA;
import static dev.remask.cuda.BlasLtConstants.CUBLASLT_MATMUL_DESC_TRANSB;
import static dev.remask.cuda.BlasLtConstants.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_COMPUTE_32F;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_OP_N;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_OP_T;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_NOT_SUPPORTED;
import static dev.remask.cuda.BlasLtConstants.CUBLAS_STATUS_SUCCESS;
import static dev.remask.cuda.BlasLtConstants.CUDA_R_16BF;
import static dev.remask.cuda.BlasLtConstants.CUDA_R_32F;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.remask.support.Flight;
import dev.remask.support.Pending;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;

/// A planned product out[m,n] = a[m,k] · w[n,k]ᵀ (+ out), row-major: descriptors and the algorithm
/// that cuBLASLt's heuristic chose. Made by [BlasLt#matmul]. Device thread.
///
/// cuBLASLt is column-major, where the same bytes read as the transposed matrices: it computes
/// outᵀ[n,m] = (w as k×n)ᵀ · (aᵀ as k×m).
public final class Matmul extends Resource {
  /// Its name among recorded launches, where its m, n and k stand for a grid.
  private static final String KERNEL = "cublasLtMatmul";

  private static final long ALGORITHM_WORKSPACE =
      Structs.offset(Structs.cublasLtMatmulHeuristicResult_t, "workspaceSize");

  /// What the heuristic takes for granted of every matrix unless it is told otherwise.
  private static final int ALIGNMENT = 256;

  private final BlasLt blas;
  private final MatmulType type;
  private final int m;
  private final int n;
  private final int k;
  private final boolean accumulate;

  /// Holds the chosen algorithm and the two scalars. Device thread.
  private final Arena arena = Arena.ofConfined();

  /// What gives the descriptors back, the last made first.
  private final ArrayDeque<Runnable> destroyers = new ArrayDeque<>();

  private long descriptor;
  private long weightLayout;
  private long inputLayout;
  private long outputLayout;
  private long one;
  private long beta;
  private long algorithm;
  private long workspace;
  private long workspaceBytes;

  private Matmul(BlasLt blas, MatmulType type, int m, int n, int k, boolean accumulate) {
    super(blas.context());
    if (m < 1 || n < 1 || k < 1) {
      throw new IllegalArgumentException(
          "matmul of m=" + m + ", n=" + n + ", k=" + k + ": each must be positive");
    }
    this.blas = blas;
    this.type = type;
    this.m = m;
    this.n = n;
    this.k = k;
    this.accumulate = accumulate;
  }

  static Matmul plan(BlasLt blas, MatmulType type, int m, int n, int k, boolean accumulate) {
    var product = new Matmul(blas, type, m, n, k, accumulate);
    try {
      product.describe();
      product.choose();
    } catch (Throwable thrown) {
      Context.suppressing(thrown, product::release);
      throw thrown;
    }
    return product;
  }

  /// Enqueues the product on `stream`. Reads `a` and `w`, writes `out` (and reads it when
  /// accumulating); `out` must not overlap the inputs. Allocates nothing.
  ///
  /// @throws IllegalArgumentException if a buffer is smaller than its matrix or does not begin at a
  ///   multiple of 256 bytes
  public void launch(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
    checkUse();
    stream.checkUse();
    checkSameContext(stream);
    checkBuffer("out", out, (long) m * n * type.outputBytes());
    checkBuffer("a", a, (long) m * k * type.inputBytes());
    checkBuffer("w", w, (long) n * k * type.inputBytes());
    long outAddress = out.address();
    LaunchObserver observer = stream.observer();
    if (observer != null) {
      observer.before(stream);
    }
    LaunchList captured = stream.captured();
    Pending observed = captured == null ? Flight.beginKernel() : null;
    int status =
        BlasLtApi.cublasLtMatmul(
            blas.handle(),
            descriptor,
            one,
            w.address(),
            weightLayout,
            a.address(),
            inputLayout,
            beta,
            outAddress,
            outputLayout,
            outAddress,
            outputLayout,
            algorithm,
            workspace,
            workspaceBytes,
            stream.handle());
    if (status != CUBLAS_STATUS_SUCCESS) {
      throw BlasLtStatus.failure(status, "cublasLtMatmul", toString());
    }
    if (observer != null) {
      observer.after(stream, KERNEL, new int[] {m, n, k});
    }
    // What cuBLASLt launches, and on which grid, is its own business.
    if (captured != null) {
      captured.add(KERNEL, m, n, k, 0, 0);
    } else if (observed != null) {
      Flight.endKernel(observed, KERNEL, m, n, k, 0, 0);
    }
  }

  @Override
  public String toString() {
    return "Matmul["
        + type
        + ", m="
        + m
        + ", n="
        + n
        + ", k="
        + k
        + (accumulate ? ", accumulating]" : "]");
  }

  @Override
  void release() {
    while (!destroyers.isEmpty()) {
      destroyers.peek().run();
      destroyers.pop();
    }
    arena.close();
    blas.forget(this);
  }

  private void checkBuffer(String name, DeviceBuffer buffer, long bytes) {
    checkSameContext(buffer.memory());
    if (buffer.bytes() < bytes) {
      throw new IllegalArgumentException(
          this + ": " + name + " needs " + bytes + " bytes, got " + buffer);
    }
    if (buffer.address() % ALIGNMENT != 0) {
      throw new IllegalArgumentException(
          this + ": " + name + " must begin at a multiple of " + ALIGNMENT + ", got " + buffer);
    }
  }

  private void describe() {
    int inputType = type == MatmulType.F32_F32 ? CUDA_R_32F : CUDA_R_16BF;
    int outputType = type == MatmulType.BF16_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    BlasLtStatus.check(
        BlasLtApi.cublasLtMatmulDescCreate(context().out(), CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "cublasLtMatmulDescCreate",
        this);
    descriptor = context().outLong();
    destroyers.push(() ->
        BlasLtStatus.check(
            BlasLtApi.cublasLtMatmulDescDestroy(descriptor), "cublasLtMatmulDescDestroy", this));
    setDescriptor(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    setDescriptor(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    weightLayout = layout(inputType, k, n);
    inputLayout = layout(inputType, k, m);
    outputLayout = layout(outputType, n, m);
    MemorySegment scalars = arena.allocate(JAVA_FLOAT, 2);
    scalars.setAtIndex(JAVA_FLOAT, 0, 1);
    scalars.setAtIndex(JAVA_FLOAT, 1, accumulate ? 1 : 0);
    one = scalars.address();
    beta = one + Float.BYTES;
  }

  private void setDescriptor(int attribute, int value) {
    context().scratch().set(JAVA_INT, 0, value);
    BlasLtStatus.check(
        BlasLtApi.cublasLtMatmulDescSetAttribute(
            descriptor, attribute, context().out(), Integer.BYTES),
        "cublasLtMatmulDescSetAttribute",
        this);
  }

  /// A column-major layout without padding.
  private long layout(int elementType, int rows, int columns) {
    BlasLtStatus.check(
        BlasLtApi.cublasLtMatrixLayoutCreate(context().out(), elementType, rows, columns, rows),
        "cublasLtMatrixLayoutCreate",
        this);
    long layout = context().outLong();
    destroyers.push(() ->
        BlasLtStatus.check(
            BlasLtApi.cublasLtMatrixLayoutDestroy(layout), "cublasLtMatrixLayoutDestroy", this));
    return layout;
  }

  private void choose() {
    BlasLtStatus.check(
        BlasLtApi.cublasLtMatmulPreferenceCreate(context().out()),
        "cublasLtMatmulPreferenceCreate",
        this);
    long preference = context().outLong();
    try {
      chooseBy(preference);
    } catch (Throwable thrown) {
      Context.suppressing(thrown, () -> destroyPreference(preference));
      throw thrown;
    }
    destroyPreference(preference);
  }

  private void chooseBy(long preference) {
    MemorySegment scratch = context().scratch();
    scratch.set(JAVA_LONG, 0, BlasLt.WORKSPACE_BYTES);
    BlasLtStatus.check(
        BlasLtApi.cublasLtMatmulPreferenceSetAttribute(
            preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, scratch.address(), Long.BYTES),
        "cublasLtMatmulPreferenceSetAttribute",
        this);
    MemorySegment result = arena.allocate(Structs.cublasLtMatmulHeuristicResult_t);
    scratch.set(JAVA_INT, 0, 0);
    BlasLtStatus.check(
        BlasLtApi.cublasLtMatmulAlgoGetHeuristic(
            blas.handle(),
            descriptor,
            weightLayout,
            inputLayout,
            outputLayout,
            outputLayout,
            preference,
            1,
            result.address(),
            scratch.address()),
        "cublasLtMatmulAlgoGetHeuristic",
        this);
    if (scratch.get(JAVA_INT, 0) < 1) {
      throw BlasLtStatus.failure(
          CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmulAlgoGetHeuristic", toString());
    }
    algorithm = result.address();
    workspaceBytes = result.get(JAVA_LONG, ALGORITHM_WORKSPACE);
    workspace = workspaceBytes == 0 ? 0 : blas.workspaceAddress();
  }

  private void destroyPreference(long preference) {
    BlasLtStatus.check(
        BlasLtApi.cublasLtMatmulPreferenceDestroy(preference),
        "cublasLtMatmulPreferenceDestroy",
        this);
  }
}
