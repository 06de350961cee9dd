package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Matmul;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Stream;

/// The plans of [Gemm]: one for each kind of kernel.
final class GemmPlans {
  private static final String OPERATION = "gemm";

  private GemmPlans() {}

  /// cuBLASLt.
  static final class Library extends Gemm.Plan {
    private final Matmul matmul;

    Library(MatmulType type, int m, int n, int k, Matmul matmul) {
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

  /// kernels/gemm.cu.
  static final class Portable extends Gemm.Plan {
    private static final int THREADS = 128;
    private final Kernel kernel;

    Portable(MatmulType type, int m, int n, int k, Kernel kernel) {
      super(type, m, n, k);
      this.kernel = kernel;
      Launch.requireGrid(OPERATION, "n / " + Gemm.TILE_N, Launch.ceilDiv(n, Gemm.TILE_N));
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
      kernel.set(0, out).set(1, a).set(2, w).set(3, m).set(4, n).set(5, k);
      int tilesM = Launch.ceilDiv(m, Gemm.TILE_M);
      kernel.launch(stream, tilesM, Launch.ceilDiv(n, Gemm.TILE_N), 1, THREADS, 0);
    }
  }

  /// kernels/gemm_sm90a.cu; kernels/gemm_sm80.cu where TMA cannot address the inputs.
  static final class Sm90a extends Gemm.Plan {
    private final GemmSm90a kernels;
    private final Sm80 other;

    Sm90a(MatmulType type, int m, int n, int k, GemmSm90a kernels, GemmSm80 others) {
      super(type, m, n, k);
      this.kernels = kernels;
      other = new Sm80(type, m, n, k, GemmSm80.Tile.ROWS128, others);
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
      if (GemmSm90a.takes(a, w)) {
        kernels.launch(stream, type, out, a, w, m, n, k);
      } else {
        other.enqueue(stream, out, a, w);
      }
    }
  }

  /// kernels/gemm_rows_sm80.cu and kernels/gemm_sm80.cu.
  static final class Sm80 extends Gemm.Plan {
    private final GemmSm80.Tile tile;
    private final GemmSm80 kernels;

    Sm80(MatmulType type, int m, int n, int k, GemmSm80.Tile tile, GemmSm80 kernels) {
      super(type, m, n, k);
      GemmSm80.check(tile, m, n, k);
      this.tile = tile;
      this.kernels = kernels;
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
      enqueue(
          stream,
          type == MatmulType.BF16_BF16 ? GemmSm80.Epilogue.BF16 : GemmSm80.Epilogue.F32,
          out,
          a,
          w);
    }

    private void enqueue(
        Stream stream,
        GemmSm80.Epilogue epilogue,
        DeviceBuffer out,
        DeviceBuffer a,
        DeviceBuffer w) {
      kernels.kernel(tile, epilogue).set(0, out);
      kernels.launch(stream, tile, epilogue, a, w, m, n, k);
    }

    @Override
    public boolean fuses(Gemm.Fusion fusion) {
      return fusion != Gemm.Fusion.SWIGLU || n % 2 == 0;
    }

    @Override
    public void launchAdding(Stream stream, DeviceBuffer residual, DeviceBuffer a, DeviceBuffer w) {
      Launch.requireBuffer(OPERATION, "residual", residual, Float.BYTES, m, n);
      requireInputs(a, w);
      enqueue(stream, GemmSm80.Epilogue.RESIDUAL, residual, a, w);
    }

    @Override
    public void launchGated(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w) {
      if (n % 2 != 0) {
        throw new IllegalArgumentException("gemm: " + n + " columns are no gates and ups");
      }
      Launch.requireBuffer(OPERATION, "out", out, DType.BF16.bytes(), m, n / 2);
      requireInputs(a, w);
      enqueue(stream, GemmSm80.Epilogue.SWIGLU, out, a, w);
    }

    @Override
    public void launchRotated(Stream stream, Gemm.Qkv qkv, DeviceBuffer a, DeviceBuffer w) {
      require(qkv);
      requireInputs(a, w);
      Kernel kernel = kernels.kernel(tile, GemmSm80.Epilogue.ROPE);
      kernel.set(0, qkv.q()).set(1, qkv.keys()).set(2, qkv.values());
      kernel.set(3, qkv.cosSin()).set(4, qkv.positions()).set(5, qkv.kvRowsOrNull());
      kernel.set(6, qkv.heads()).set(7, qkv.kvHeads()).set(8, qkv.headDim());
      kernel.set(9, qkv.qStride()).set(10, qkv.kvStride());
      kernels.launch(stream, tile, GemmSm80.Epilogue.ROPE, a, w, m, n, k);
    }

    private void require(Gemm.Qkv qkv) {
      int headDim = qkv.headDim();
      long heads = qkv.heads() + 2L * qkv.kvHeads();
      if (headDim % 2 != 0 || heads * headDim != n) {
        throw new IllegalArgumentException(
            "gemm: %d and twice %d heads of %d are not %d columns, or odd"
                .formatted(qkv.heads(), qkv.kvHeads(), headDim, n));
      }
      int bytes = DType.BF16.bytes();
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
  }
}
