package dev.remask.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// A cuBLASLt handle with the workspace of its products. Device thread.
///
/// The workspace is one for all products, so launches of one handle belong on one stream.
public final class BlasLt extends Resource {
  /// What NVIDIA recommends for Hopper; older cards need less. Allocated only when a product asks
  /// for workspace.
  static final long WORKSPACE_BYTES = 32L << 20;

  private final long handle;
  private final String version;
  private final List<Matmul> products = new ArrayList<>();
  private DeviceMemory workspace;

  private BlasLt(Context context, long handle, String version) {
    super(context);
    this.handle = handle;
    this.version = version;
  }

  /// Opens cuBLASLt: of libcublasLt beside a driver (see `REMASK_CUBLASLT`), of the software
  /// device's own library there. Empty where no library is found or it does not serve this device;
  /// the emulator has none. Device thread.
  ///
  /// @throws CudaException if the library is there and fails
  public static Optional<BlasLt> open(Context context) {
    context.checkThread("cuBLASLt");
    if (NativeLibraries.findBlasLt().isEmpty()) {
      return Optional.empty();
    }
    int status = BlasLtApi.cublasLtCreate(context.out());
    if (status == BlasLtConstants.CUBLAS_STATUS_NOT_SUPPORTED) {
      DriverLog.drain();
      return Optional.empty();
    }
    BlasLtStatus.check(status, "cublasLtCreate", "");
    long handle = context.outLong();
    long number = BlasLtApi.cublasLtGetVersion();
    // 130100 is 13.1.0, 120400 is 12.4.0.
    String version = number / 10_000 + "." + number / 100 % 100 + "." + number % 100;
    return Optional.of(context.register(new BlasLt(context, handle, version)));
  }

  /// Plans the product out[m,n] = a[m,k] · w[n,k]ᵀ of row-major matrices, adding to `out` if
  /// `accumulate`. Asks the library for its best algorithm: tens of microseconds, and perhaps an
  /// allocation, so not while capturing. Device thread.
  ///
  /// @throws IllegalArgumentException unless m, n and k are positive
  /// @throws CudaException if the library has no algorithm for it
  public Matmul matmul(MatmulType type, int m, int n, int k, boolean accumulate) {
    checkUse();
    Matmul product = Matmul.plan(this, type, m, n, k, accumulate);
    products.add(product);
    return context().register(product);
  }

  /// The library's version, for example `13.1.0`.
  public String version() {
    return version;
  }

  @Override
  public String toString() {
    return "cuBLASLt " + version;
  }

  long handle() {
    return handle;
  }

  /// The address of the workspace, allocated on first use.
  long workspaceAddress() {
    if (workspace == null) {
      workspace = context().allocate(WORKSPACE_BYTES);
    }
    return workspace.deviceAddress();
  }

  void forget(Matmul product) {
    products.remove(product);
  }

  @Override
  void release() {
    for (Matmul product : List.copyOf(products)) {
      product.closeNow();
    }
    if (workspace != null) {
      workspace.closeNow();
    }
    BlasLtStatus.check(BlasLtApi.cublasLtDestroy(handle), "cublasLtDestroy", version);
  }
}
