package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Matmul;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Stream;

/// The plans of [Gemm]: one for each kind of kernel.
final class GemmPlans {
  private GemmPlans() {}

  /// cuBLASLt.
  static final class Library extends Gemm.Plan {
    private final Matmul matmul;

    Library(MatmulType type, int m, int n, int k, Matmul matmul) {
      super(type, m, n, k, Weight.Layout.ROWS);
      this.matmul = matmul;
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      matmul.launch(stream, out, a, w.values());
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
      super(type, m, n, k, Weight.Layout.ROWS);
      this.kernel = kernel;
      Launch.requireGrid("gemm", "n / " + Gemm.TILE_N, Launch.ceilDiv(n, Gemm.TILE_N));
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      kernel.set(0, out).set(1, a).set(2, w.values()).set(3, m).set(4, n).set(5, k);
      int tilesM = Launch.ceilDiv(m, Gemm.TILE_M);
      kernel.launch(stream, tilesM, Launch.ceilDiv(n, Gemm.TILE_N), 1, THREADS, 0);
    }
  }

  /// native/host/gemm_packed.cpp, on weights that are packed.
  static final class Packed extends Gemm.Plan {
    private final GemmPacked kernels;
    private final GemmPacked.Shape shape;

    Packed(MatmulType type, int m, int n, int k, GemmPacked kernels) {
      super(type, m, n, k, Weight.Layout.PACKED);
      this.kernels = kernels;
      shape = new GemmPacked.Shape(m, n, k);
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      kernels.launch(stream, type, out, a, w.values(), shape);
    }

    @Override
    public boolean fuses(Gemm.Fusion fusion) {
      return fusion != Gemm.Fusion.SWIGLU || n % 2 == 0;
    }

    @Override
    public void launchAdding(Stream stream, DeviceBuffer residual, DeviceBuffer a, Weight w) {
      requireAdding(residual, a, w);
      kernels.launchAdding(stream, residual, a, w.values(), shape);
    }

    @Override
    public void launchGated(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      requireGated(out, a, w);
      kernels.launchGated(stream, out, a, w.values(), shape);
    }

    @Override
    public void launchRotated(Stream stream, Gemm.Qkv qkv, DeviceBuffer a, Weight w) {
      requireRotated(qkv, a, w);
      kernels.launchRotated(stream, qkv, a, w.values(), shape);
    }
  }

  /// kernels/gemm_sm90a.cu; kernels/gemm_sm80.cu where TMA cannot address the inputs.
  static final class Sm90a extends Gemm.Plan {
    private final GemmSm90a kernels;
    private final Sm80 other;

    Sm90a(MatmulType type, int m, int n, int k, GemmSm90a kernels, GemmSm80 others) {
      super(type, m, n, k, Weight.Layout.ROWS);
      this.kernels = kernels;
      other = new Sm80(type, m, n, k, GemmSm80.Tile.ROWS128, others);
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      if (GemmSm90a.takes(a, w.values())) {
        kernels.launch(stream, type, out, a, w.values(), m, n, k);
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
      super(type, m, n, k, Weight.Layout.ROWS);
      GemmSm80.check(tile, m, n, k);
      this.tile = tile;
      this.kernels = kernels;
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      enqueue(
          stream,
          type == MatmulType.BF16_BF16 ? GemmSm80.Epilogue.BF16 : GemmSm80.Epilogue.F32,
          out,
          a,
          w);
    }

    private void enqueue(
        Stream stream, GemmSm80.Epilogue epilogue, DeviceBuffer out, DeviceBuffer a, Weight w) {
      kernels.kernel(tile, epilogue).set(0, out);
      kernels.launch(stream, tile, epilogue, a, w.values(), m, n, k);
    }

    @Override
    public boolean fuses(Gemm.Fusion fusion) {
      return fusion != Gemm.Fusion.SWIGLU || n % 2 == 0;
    }

    @Override
    public void launchAdding(Stream stream, DeviceBuffer residual, DeviceBuffer a, Weight w) {
      requireAdding(residual, a, w);
      enqueue(stream, GemmSm80.Epilogue.RESIDUAL, residual, a, w);
    }

    @Override
    public void launchGated(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      requireGated(out, a, w);
      enqueue(stream, GemmSm80.Epilogue.SWIGLU, out, a, w);
    }

    @Override
    public void launchRotated(Stream stream, Gemm.Qkv qkv, DeviceBuffer a, Weight w) {
      requireRotated(qkv, a, w);
      Kernel kernel = kernels.kernel(tile, GemmSm80.Epilogue.ROPE);
      kernel.set(0, qkv.q()).set(1, qkv.keys()).set(2, qkv.values());
      kernel.set(3, qkv.cosSin()).set(4, qkv.positions()).set(5, qkv.kvRowsOrNull());
      kernel.set(6, qkv.heads()).set(7, qkv.kvHeads()).set(8, qkv.headDim());
      kernel.set(9, qkv.qStride()).set(10, qkv.kvStride());
      kernels.launch(stream, tile, GemmSm80.Epilogue.ROPE, a, w.values(), m, n, k);
    }
  }
}
