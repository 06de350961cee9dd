package dev.remask.kernel;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;

class SwiGluTest {
  /// exp to 2 ulp on each side of a division, an addition, a division, a multiplication; doubled,
  /// because host kernels have their own exp.
  private static final double ARITHMETIC_ERROR = 16 * Numbers.F32_UNIT_ROUNDOFF;

  @OnSoftwareDevices
  void swiglu_matchesDoubleReference_atEveryWidth(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          for (int width : new int[] {1, 7, 33, 64, 65, 176, 1013, 2048, 2056}) {
            int rows = width < 100 ? 5 : 2;
            compares(bench, seed, seed.normals(2 * rows * width, 3), rows, width, 0);
          }
        });
  }

  @GpuTest
  void swiglu_matchesDoubleReference_atEveryWidth_gpu(DeviceSpec gpu) {
    swiglu_matchesDoubleReference_atEveryWidth(gpu);
  }

  @OnSoftwareDevices
  void swiglu_matchesDoubleReference_whereVectorsDoNotFitTheAlignment(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device, bench -> compares(bench, seed, seed.normals(2 * 3 * 64, 3), 3, 64, 1));
  }

  @GpuTest
  void swiglu_matchesDoubleReference_whereVectorsDoNotFitTheAlignment_gpu(DeviceSpec gpu) {
    swiglu_matchesDoubleReference_whereVectorsDoNotFitTheAlignment(gpu);
  }

  @OnSoftwareDevices
  void swiglu_staysFinite_whereTheExponentialOverflows(DeviceSpec device) {
    float[] gates = {-200, -104, -89, -88, -1e30f, 200, 1e30f, 0, -0.0f, 1e-30f};
    var gateUp = new float[2 * gates.length];
    for (int i = 0; i < gates.length; i++) {
      gateUp[i] = gates[i];
      gateUp[gates.length + i] = 1;
    }
    KernelBench.onBoth(device, b -> compares(b, Seed.of(0), gateUp, 1, gates.length, 0));
  }

  @GpuTest
  void swiglu_staysFinite_whereTheExponentialOverflows_gpu(DeviceSpec gpu) {
    swiglu_staysFinite_whereTheExponentialOverflows(gpu);
  }

  private static void compares(
      KernelBench bench, Seed seed, float[] values, int rows, int width, int skew) {
    float[] gateUp = KernelBench.rounded(bench.dtype, values);
    var out = bench.poison(bench.dtype, rows * width, skew);
    bench
        .operations
        .swiGlu()
        .launch(
            bench.stream,
            out.buffer(),
            bench.floats(bench.dtype, gateUp, skew).buffer(),
            rows,
            width);
    var expected = new double[rows * width];
    var bounds = new double[rows * width];
    double relative = ARITHMETIC_ERROR + KernelBench.unitRoundoff(bench.dtype);
    for (int i = 0; i < expected.length; i++) {
      double gate = gateUp[i / width * 2 * width + i % width];
      double up = gateUp[i / width * 2 * width + width + i % width];
      expected[i] = gate / (1 + Math.exp(-gate)) * up;
      // exp(-gate) rounds to infinity, or its ulp grows, where gate / exp(-gate) is subnormal
      bounds[i] =
          relative * Math.abs(expected[i]) + Float.MIN_NORMAL * (1 + Math.abs(gate)) * Math.abs(up);
    }
    Numbers.assertWithin(
        expected, out.read(), bounds, bench.dtype + " [" + rows + ", " + width + "], " + seed);
  }
}
