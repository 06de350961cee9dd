package dev.remask.kernel;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;

class RopeTest {
  private static final int POSITIONS = 50;

  @OnSoftwareDevices
  void rope_matchesDoubleReference_andLeavesVAlone(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          compares(bench, seed, 1, new Rope.Shape(64, 1, 64), 0);
          compares(bench, seed, 5, new Rope.Shape(4 * 64, 3, 64), 0);
          compares(bench, seed, 3, new Rope.Shape(5 * 128, 4, 128), 0);
          compares(bench, seed, 33, new Rope.Shape(3 * 64, 2, 64), 0);
          compares(bench, seed, 2, new Rope.Shape(40 * 128, 36, 128), 0);
        });
  }

  @GpuTest
  void rope_matchesDoubleReference_andLeavesVAlone_gpu(DeviceSpec gpu) {
    rope_matchesDoubleReference_andLeavesVAlone(gpu);
  }

  @OnSoftwareDevices
  void rope_matchesDoubleReference_whereVectorsDoNotFit(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          compares(bench, seed, 3, new Rope.Shape(2, 1, 2), 0);
          compares(bench, seed, 3, new Rope.Shape(3 * 6 + 1, 2, 6), 0);
          compares(bench, seed, 3, new Rope.Shape(4 * 64 + 1, 3, 64), 0);
          compares(bench, seed, 3, new Rope.Shape(2 * 64, 2, 64), 1);
        });
  }

  @GpuTest
  void rope_matchesDoubleReference_whereVectorsDoNotFit_gpu(DeviceSpec gpu) {
    rope_matchesDoubleReference_whereVectorsDoNotFit(gpu);
  }

  private static void compares(KernelBench bench, Seed seed, int rows, Rope.Shape shape, int skew) {
    int stride = shape.rowStride();
    int half = shape.headDim() / 2;
    float[] before = KernelBench.rounded(bench.dtype, seed.normals(rows * stride, 1));
    var cosSin = new float[POSITIONS * half * 2];
    for (int i = 0; i < cosSin.length; i += 2) {
      double angle = seed.random().nextDouble(0, 2 * Math.PI);
      cosSin[i] = (float) Math.cos(angle);
      cosSin[i + 1] = (float) Math.sin(angle);
    }
    int[] positions = seed.ints(rows, POSITIONS);
    positions[0] = POSITIONS - 1;
    var heads = bench.floats(bench.dtype, before, skew);
    bench
        .operations
        .rope()
        .launch(
            bench.stream,
            heads.buffer(),
            bench.floats(DType.F32, cosSin).buffer(),
            bench.ints(positions).buffer(),
            rows,
            shape);
    var expected = new double[before.length];
    var bounds = new double[before.length];
    double storing = KernelBench.unitRoundoff(bench.dtype);
    for (int i = 0; i < before.length; i++) {
      int column = i % stride;
      if (column >= shape.rotatedHeads() * shape.headDim()) {
        expected[i] = before[i]; // untouched, bit for bit
        continue;
      }
      int inHead = column % shape.headDim();
      int turn = 2 * (positions[i / stride] * half + inHead % half);
      double own = (double) before[i] * cosSin[turn];
      double other =
          inHead < half
              ? -(double) before[i + half] * cosSin[turn + 1]
              : (double) before[i - half] * cosSin[turn + 1];
      expected[i] = own + other;
      // two products and a sum in f32, then the store
      bounds[i] =
          2 * Numbers.F32_UNIT_ROUNDOFF * (Math.abs(own) + Math.abs(other)) * (1 + storing)
              + storing * Math.abs(expected[i]);
    }
    Numbers.assertWithin(
        expected, heads.read(), bounds, bench.dtype + " rows " + rows + " " + shape + ", " + seed);
  }
}
