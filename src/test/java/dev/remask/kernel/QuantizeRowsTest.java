package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.PlainInt8;
import dev.remask.testing.Seed;

class QuantizeRowsTest {
  @OnSoftwareDevices
  void quantize_givesThePlainBits_atEveryWidth(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          for (int width : new int[] {1, 7, 8, 33, 64, 65, 176, 1013, 2048, 2056}) {
            int rows = width < 100 ? 5 : 2;
            for (double deviation : new double[] {1, 1e-30, 1e30}) {
              compares(bench, seed, seed.normals(rows * width, deviation), width, 0);
            }
          }
        });
  }

  @GpuTest
  void quantize_givesThePlainBits_atEveryWidth_gpu(DeviceSpec gpu) {
    quantize_givesThePlainBits_atEveryWidth(gpu);
  }

  @OnSoftwareDevices
  void quantize_givesThePlainBits_whereVectorsDoNotFitTheAlignment(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(device, bench -> compares(bench, seed, seed.normals(3 * 64, 1), 64, 1));
  }

  @GpuTest
  void quantize_givesThePlainBits_whereVectorsDoNotFitTheAlignment_gpu(DeviceSpec gpu) {
    quantize_givesThePlainBits_whereVectorsDoNotFitTheAlignment(gpu);
  }

  /// A row of zeros, one too small to have a scale, ties, and rows that hold no number somewhere.
  @OnSoftwareDevices
  void quantize_givesThePlainBits_onRowsOfTheirOwnKind(DeviceSpec device) {
    float[] values = {
      0,
      -0.0f,
      0,
      0,
      0x1p-101f,
      0,
      -0x1p-120f,
      1e-40f,
      127,
      0.5f,
      -1.5f,
      2.5f,
      1,
      Float.NaN,
      2,
      3,
      Float.NEGATIVE_INFINITY,
      1,
      2,
      3,
      -127,
      126.5f,
      -3.5f,
      0.25f,
    };
    KernelBench.onBoth(device, bench -> compares(bench, Seed.of(0), values, 4, 0));
  }

  @GpuTest
  void quantize_givesThePlainBits_onRowsOfTheirOwnKind_gpu(DeviceSpec gpu) {
    quantize_givesThePlainBits_onRowsOfTheirOwnKind(gpu);
  }

  private static void compares(KernelBench bench, Seed seed, float[] values, int width, int skew) {
    float[] in = KernelBench.rounded(bench.dtype, values);
    int rows = in.length / width;
    var out = bench.poisonBytes(in.length, skew);
    var scales = bench.poison(DType.F32, rows);
    bench
        .operations
        .quantizeRows()
        .launch(
            bench.stream,
            out.buffer(),
            scales.buffer(),
            bench.floats(bench.dtype, in, skew).buffer(),
            rows,
            width);
    PlainInt8 expected = PlainInt8.of(in, width);
    String what = bench.dtype + " [" + rows + ", " + width + "], " + seed;
    assertArrayEquals(expected.scales(), scales.read(), what);
    assertArrayEquals(expected.bytes(), out.read(), what);
  }
}
