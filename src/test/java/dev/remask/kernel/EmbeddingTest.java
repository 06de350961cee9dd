package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.Arrays;

class EmbeddingTest {
  private static final int IDS = 11;
  private static final int CANVAS = 17;

  @OnSoftwareDevices
  void embed_isTheTablesRow_atEveryWidth(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          for (int width : new int[] {1, 7, 32, 33, 64, 65, 1013, 1024, 2052}) {
            embeds(bench, seed, 5, width, 0, 0);
          }
        });
  }

  @GpuTest
  void embed_isTheTablesRow_atEveryWidth_gpu(DeviceSpec gpu) {
    embed_isTheTablesRow_atEveryWidth(gpu);
  }

  @OnSoftwareDevices
  void embed_isTheTablesRow_whereVectorsDoNotFitTheAlignment(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          embeds(bench, seed, 3, 64, 1, 1);
          embeds(bench, seed, 3, 64, 0, 1);
          embeds(bench, seed, 3, 64, 1, 0);
        });
  }

  @GpuTest
  void embed_isTheTablesRow_whereVectorsDoNotFitTheAlignment_gpu(DeviceSpec gpu) {
    embed_isTheTablesRow_whereVectorsDoNotFitTheAlignment(gpu);
  }

  private static void embeds(
      KernelBench bench, Seed seed, int rows, int width, int inSkew, int outSkew) {
    float[] table = KernelBench.rounded(bench.dtype, seed.normals(IDS * width, 1));
    int[] tokens = seed.ints(CANVAS, IDS);
    tokens[CANVAS - 1] = IDS - 1;
    int[] index = seed.ints(rows, CANVAS);
    index[rows - 1] = CANVAS - 1;
    index[0] = -1;
    var residual = bench.poison(DType.F32, rows * width, outSkew);
    bench
        .operations
        .embedding()
        .launch(
            bench.stream,
            residual.buffer(),
            bench.floats(bench.dtype, table, inSkew).buffer(),
            bench.ints(tokens).buffer(),
            bench.ints(index).buffer(),
            rows,
            width);
    float[] actual = residual.read();
    for (int r = 0; r < rows; r++) {
      int id = index[r] < 0 ? 0 : tokens[index[r]];
      assertArrayEquals(
          index[r] < 0 ? new float[width] : Arrays.copyOfRange(table, id * width, (id + 1) * width),
          Arrays.copyOfRange(actual, r * width, (r + 1) * width),
          bench.dtype + " width " + width + " row " + r + ", " + seed);
    }
  }
}
