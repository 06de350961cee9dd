package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.Arrays;

class GatherRowsTest {
  private static final int IN_ROWS = 13;

  @OnSoftwareDevices
  void gather_copiesTheNamedRows_atEveryWidth(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          for (int width : new int[] {1, 7, 33, 64, 65, 1013, 2048, 2056}) {
            for (DType type : DType.values()) {
              gathers(bench, seed, type, 6, width, 0, 0);
            }
          }
        });
  }

  @GpuTest
  void gather_copiesTheNamedRows_atEveryWidth_gpu(DeviceSpec gpu) {
    gather_copiesTheNamedRows_atEveryWidth(gpu);
  }

  @OnSoftwareDevices
  void gather_copiesTheNamedRows_whereVectorsDoNotFitTheAlignment(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          gathers(bench, seed, bench.dtype, 1, 64, 3, 3);
          gathers(bench, seed, bench.dtype, 1, 64, 0, 1);
          gathers(bench, seed, bench.dtype, 1, 64, 1, 0);
        });
  }

  @GpuTest
  void gather_copiesTheNamedRows_whereVectorsDoNotFitTheAlignment_gpu(DeviceSpec gpu) {
    gather_copiesTheNamedRows_whereVectorsDoNotFitTheAlignment(gpu);
  }

  private static void gathers(
      KernelBench bench, Seed seed, DType type, int rows, int width, int inSkew, int outSkew) {
    float[] in = KernelBench.rounded(type, seed.normals(IN_ROWS * width, 1));
    int[] index = seed.ints(rows, IN_ROWS);
    index[rows - 1] = IN_ROWS - 1;
    var out = bench.poison(type, rows * width, outSkew);
    bench
        .operations
        .gatherRows()
        .launch(
            bench.stream,
            out.buffer(),
            bench.floats(type, in, inSkew).buffer(),
            bench.ints(index).buffer(),
            rows,
            width,
            type);
    float[] actual = out.read();
    for (int r = 0; r < rows; r++) {
      assertArrayEquals(
          Arrays.copyOfRange(in, index[r] * width, (index[r] + 1) * width),
          Arrays.copyOfRange(actual, r * width, (r + 1) * width),
          type + " width " + width + " row " + r + ", " + seed);
    }
  }
}
