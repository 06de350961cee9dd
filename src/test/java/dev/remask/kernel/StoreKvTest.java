package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.Arrays;

class StoreKvTest {
  private static final int ROWS = 6;
  private static final int[] CACHE_ROWS = {4, -1, 0, 8, -1, 5};
  private static final int CACHE = 9;

  @OnSoftwareDevices
  void storeKv_writesTheNamedRowsOnly(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          for (int width : new int[] {1, 7, 33, 64, 128, 1013, 2056}) {
            stores(bench, seed, width, 3 * width, 0, 0);
            stores(bench, seed, width, width + 5, 0, 0);
          }
          stores(bench, seed, 64, 192, 1, 0);
          stores(bench, seed, 64, 192, 0, 1);
        });
  }

  @GpuTest
  void storeKv_writesTheNamedRowsOnly_gpu(DeviceSpec gpu) {
    storeKv_writesTheNamedRowsOnly(gpu);
  }

  private static void stores(
      KernelBench bench, Seed seed, int width, int stride, int inSkew, int outSkew) {
    float[] k = KernelBench.rounded(bench.dtype, seed.normals(ROWS * stride, 1));
    float[] v = KernelBench.rounded(bench.dtype, seed.normals(ROWS * stride, 1));
    var keys = bench.poison(bench.dtype, CACHE * width, outSkew);
    var values = bench.poison(bench.dtype, CACHE * width, outSkew);
    bench
        .operations
        .storeKv()
        .launch(
            bench.stream,
            keys.buffer(),
            values.buffer(),
            bench.floats(bench.dtype, k, inSkew).buffer(),
            bench.floats(bench.dtype, v, inSkew).buffer(),
            bench.ints(CACHE_ROWS).buffer(),
            new StoreKv.Shape(ROWS, width, stride));
    String what = bench.dtype + " width " + width + " stride " + stride + ", " + seed;
    assertArrayEquals(expected(k, width, stride), keys.read(), what);
    assertArrayEquals(expected(v, width, stride), values.read(), what);
  }

  /// Rows that nobody names stay poisoned.
  private static float[] expected(float[] rows, int width, int stride) {
    var cache = new float[CACHE * width];
    Arrays.fill(cache, Float.NaN);
    for (int r = 0; r < ROWS; r++) {
      if (CACHE_ROWS[r] >= 0) {
        System.arraycopy(rows, r * stride, cache, CACHE_ROWS[r] * width, width);
      }
    }
    return cache;
  }
}
