package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;

/// The kernels of kernels/gemm_int8.cu, and the memory for the rows that they multiply.
///
/// A product quantises its rows itself ([QuantizeRows]), into scratch memory that all products of a
/// context share. Sums of integers are exact: a row has the same bits whatever the number of rows,
/// and on every device.
final class GemmInt8 {
  /// Deepest product: a sum of so many products of two bytes fits 32 bits.
  static final int MOST_K = Integer.MAX_VALUE / (127 * 127);

  private static final String OPERATION = "gemm_int8";
  private static final int THREADS = 128;

  /// Buffers begin at such multiples, as vector loads want.
  private static final long ALIGNMENT = 256;

  private enum Result {
    BF16,
    F32,
    RESIDUAL
  }

  private final Map<Result, Kernel> kernels = new EnumMap<>(Result.class);
  private final QuantizeRows quantizeRows;
  private final DeviceBuffer scratch;

  GemmInt8(Module module, QuantizeRows quantizeRows, DeviceBuffer scratch) {
    this.quantizeRows = quantizeRows;
    this.scratch = scratch;
    for (Result result : Result.values()) {
      kernels.put(
          result,
          module.kernel(
              OPERATION + "_" + result.name().toLowerCase(Locale.ROOT),
              Parameter.POINTER,
              Parameter.POINTER,
              Parameter.POINTER,
              Parameter.POINTER,
              Parameter.POINTER,
              Parameter.I32,
              Parameter.I32,
              Parameter.I32));
    }
  }

  /// Bytes of scratch memory that m rows of k take.
  static long scratchBytes(long m, long k) {
    return scalesBytes(m) + Math.multiplyExact(m, k);
  }

  private static long scalesBytes(long m) {
    return Math.ceilDiv(Math.multiplyExact(m, Float.BYTES), ALIGNMENT) * ALIGNMENT;
  }

  /// A product of one shape.
  static final class Plan extends Gemm.Plan {
    private final GemmInt8 owner;
    private final DeviceBuffer scales;
    private final DeviceBuffer rows;

    Plan(MatmulType type, int m, int n, int k, GemmInt8 owner) {
      super(type, m, n, k, Weight.Layout.INT8);
      if (k > MOST_K) {
        throw new IllegalArgumentException(
            "gemm: k is " + k + "; sums of 8-bit products are exact up to " + MOST_K);
      }
      Launch.requireGrid(OPERATION, "n / " + Gemm.TILE_N, Launch.ceilDiv(n, Gemm.TILE_N));
      Launch.requireBuffer(OPERATION, "scratch", owner.scratch, 1, scratchBytes(m, k), 1);
      this.owner = owner;
      scales = owner.scratch.slice(0, (long) m * Float.BYTES);
      rows = owner.scratch.slice(scalesBytes(m), (long) m * k);
    }

    @Override
    void enqueue(Stream stream, DeviceBuffer out, DeviceBuffer a, Weight w) {
      enqueue(stream, type.outputBytes() == Float.BYTES ? Result.F32 : Result.BF16, out, a, w);
    }

    private void enqueue(Stream stream, Result result, DeviceBuffer out, DeviceBuffer a, Weight w) {
      owner.quantizeRows.launch(stream, rows, scales, a, m, k);
      Kernel kernel = owner.kernels.get(result);
      kernel.set(0, out).set(1, rows).set(2, scales).set(3, w.values()).set(4, w.scalesOrNull());
      kernel.set(5, m).set(6, n).set(7, k);
      int tilesM = Launch.ceilDiv(m, Gemm.TILE_M);
      kernel.launch(stream, tilesM, Launch.ceilDiv(n, Gemm.TILE_N), 1, THREADS, 0);
    }

    @Override
    public boolean fuses(Gemm.Fusion fusion) {
      return fusion == Gemm.Fusion.RESIDUAL;
    }

    @Override
    public void launchAdding(Stream stream, DeviceBuffer residual, DeviceBuffer a, Weight w) {
      Launch.requireBuffer(OPERATION, "residual", residual, Float.BYTES, m, n);
      requireInputs(a, w);
      enqueue(stream, Result.RESIDUAL, residual, a, w);
    }
  }
}
