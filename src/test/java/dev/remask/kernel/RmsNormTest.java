package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;

class RmsNormTest {
  private static final float EPSILON = 1e-5f;

  @OnSoftwareDevices
  void rmsnorm_matchesDoubleReference_withAndWithoutDelta(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          for (int width : new int[] {1, 7, 32, 33, 64, 65, 128, 256, 1013, 1028}) {
            compares(bench, seed, 5, width, true, 1, 0);
            compares(bench, seed, 3, width, false, 1, 0);
          }
        });
  }

  @GpuTest
  void rmsnorm_matchesDoubleReference_withAndWithoutDelta_gpu(DeviceSpec gpu) {
    rmsnorm_matchesDoubleReference_withAndWithoutDelta(gpu);
  }

  /// 256 threads hold 16 elements each (4 where rows are not aligned) and read the rest again.
  @OnSoftwareDevices
  void rmsnorm_matchesDoubleReference_whereARowExceedsTheRegisters(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          for (int width : new int[] {1023, 1025, 4096, 4100, 9001}) {
            compares(bench, seed, 2, width, true, 1, 0);
          }
        });
  }

  @GpuTest
  void rmsnorm_matchesDoubleReference_whereARowExceedsTheRegisters_gpu(DeviceSpec gpu) {
    rmsnorm_matchesDoubleReference_whereARowExceedsTheRegisters(gpu);
  }

  @OnSoftwareDevices
  void rmsnorm_matchesDoubleReference_whereVectorsDoNotFitTheAlignment(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(device, bench -> compares(bench, seed, 3, 64, true, 1, 1));
  }

  @GpuTest
  void rmsnorm_matchesDoubleReference_whereVectorsDoNotFitTheAlignment_gpu(DeviceSpec gpu) {
    rmsnorm_matchesDoubleReference_whereVectorsDoNotFitTheAlignment(gpu);
  }

  @OnSoftwareDevices
  void rmsnorm_dividesBySqrtEpsilon_whereTheRowIsZeroOrTiny(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          compares(bench, seed, 2, 64, true, 0, 0);
          compares(bench, seed, 2, 64, true, 1e-12, 0);
        });
  }

  @GpuTest
  void rmsnorm_dividesBySqrtEpsilon_whereTheRowIsZeroOrTiny_gpu(DeviceSpec gpu) {
    rmsnorm_dividesBySqrtEpsilon_whereTheRowIsZeroOrTiny(gpu);
  }

  private static void compares(
      KernelBench bench,
      Seed seed,
      int rows,
      int width,
      boolean withDelta,
      double deviation,
      int skew) {
    String what = bench.dtype + " [" + rows + ", " + width + "] delta " + withDelta + ", " + seed;
    float[] residual = seed.normals(rows * width, 3 * deviation);
    float[] delta = KernelBench.rounded(bench.dtype, seed.normals(rows * width, deviation));
    float[] weight = KernelBench.rounded(bench.dtype, seed.normals(width, 1));
    var stream = bench.floats(DType.F32, residual, skew);
    var out = bench.poison(bench.dtype, rows * width, skew);
    bench
        .operations
        .rmsNorm()
        .launch(
            bench.stream,
            out.buffer(),
            stream.buffer(),
            withDelta ? bench.floats(bench.dtype, delta, skew).buffer() : null,
            bench.floats(bench.dtype, weight, skew).buffer(),
            rows,
            width,
            EPSILON);
    var sum = new float[residual.length];
    for (int i = 0; i < sum.length; i++) {
      sum[i] = withDelta ? residual[i] + delta[i] : residual[i];
    }
    assertArrayEquals(sum, stream.read(), "one f32 addition is exact to the bit: " + what);

    var expected = new double[sum.length];
    var bounds = new double[sum.length];
    // A sum of `width` squares in any order is off by width·u at most, its square root by half of
    // that; the mean, epsilon, rsqrt (2 ulp) and two products add 8 roundings.
    double relative =
        (width / 2.0 + 8) * Numbers.F32_UNIT_ROUNDOFF + KernelBench.unitRoundoff(bench.dtype);
    for (int r = 0; r < rows; r++) {
      double squares = 0;
      for (int i = r * width; i < (r + 1) * width; i++) {
        squares += (double) sum[i] * sum[i];
      }
      double scale = 1 / Math.sqrt(squares / width + EPSILON);
      for (int i = r * width; i < (r + 1) * width; i++) {
        expected[i] = sum[i] * scale * weight[i % width];
        bounds[i] = relative * Math.abs(expected[i]);
      }
    }
    Numbers.assertWithin(expected, out.read(), bounds, what);
  }
}
