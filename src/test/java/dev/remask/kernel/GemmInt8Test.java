package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.MatmulType;
import dev.remask.testing.Bf16;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.PlainInt8;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class GemmInt8Test {
  private static final int MOST_M = 300;
  private static final int MOST_K = 1013;

  @OnSoftwareDevices
  void gemm_givesThePlainBits_aroundTheTiles(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onBoth(
        device,
        (bench, type) -> {
          for (int m : new int[] {1, 2, 9, Gemm.TILE_M - 1, Gemm.TILE_M, Gemm.TILE_M + 1}) {
            compares(bench, seed, type, m, Gemm.TILE_N, 32, 0);
          }
          for (int n : new int[] {1, Gemm.TILE_N - 1, Gemm.TILE_N + 1}) {
            compares(bench, seed, type, 7, n, 64, 0);
          }
          compares(bench, seed, type, MOST_M, 70, 72, 0);
        });
  }

  @GpuTest
  void gemm_givesThePlainBits_aroundTheTiles_gpu(DeviceSpec gpu) {
    gemm_givesThePlainBits_aroundTheTiles(gpu);
  }

  @OnSoftwareDevices
  void gemm_givesThePlainBits_atEveryDepth(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onBoth(
        device,
        (bench, type) -> {
          for (int k : new int[] {1, 3, 4, 15, 16, 17, 63, 64, 65, 176, MOST_K}) {
            compares(bench, seed, type, 5, 33, k, 0);
          }
          compares(bench, seed, type, 9, 36, 64, 1);
        });
  }

  @GpuTest
  void gemm_givesThePlainBits_atEveryDepth_gpu(DeviceSpec gpu) {
    gemm_givesThePlainBits_atEveryDepth(gpu);
  }

  @OnSoftwareDevices
  void gemm_passesOnThatARowHoldsNoNumber(DeviceSpec device) {
    onBoth(
        device,
        (bench, type) -> {
          float[] a = new float[3 * 8];
          Arrays.fill(a, 1);
          a[8] = Float.NaN;
          float[] out = multiply(bench, type, 3, 2, 8, a, PlainInt8.of(a, 8), 0);
          assertTrue(Float.isNaN(out[2]) && Float.isNaN(out[3]), Arrays.toString(out));
          assertEquals(8, out[0], 0.1);
        });
  }

  @Test
  void plan_isRefused_whereItCannotBe() {
    KernelBench.on(
        TestDevices.software(),
        DType.F32,
        bench -> {
          Gemm gemm = bench.operations.gemm();
          assertThrows(
              UnsupportedOperationException.class,
              () -> gemm.plan(MatmulType.F32_F32, 1, 1, 1, Weight.Layout.INT8));
          bench.operations.prepareInt8(bench.poisonBytes(1024, 0).buffer());
          var tooLarge =
              assertThrows(
                  IllegalArgumentException.class,
                  () -> gemm.plan(MatmulType.F32_F32, 4, 1, 300, Weight.Layout.INT8));
          assertTrue(tooLarge.getMessage().contains("scratch"), tooLarge.getMessage());
          var tooDeep =
              assertThrows(
                  IllegalArgumentException.class,
                  () -> gemm.plan(MatmulType.F32_F32, 1, 1, 133_145, Weight.Layout.INT8));
          assertTrue(tooDeep.getMessage().contains("up to 133144"), tooDeep.getMessage());
          try (Gemm.Plan plan = gemm.plan(MatmulType.F32_F32, 1, 1, 4, Weight.Layout.INT8)) {
            assertTrue(plan.fuses(Gemm.Fusion.RESIDUAL));
            assertFalse(plan.fuses(Gemm.Fusion.SWIGLU));
            DeviceBuffer large = bench.poison(DType.F32, 64).buffer();
            assertThrows(
                IllegalArgumentException.class,
                () -> plan.launch(bench.stream, large, large, Weight.rows(large, 1, 4)));
          }
        });
  }

  private interface Body {
    void accept(KernelBench bench, MatmulType type);
  }

  private static void onBoth(DeviceSpec device, Body body) {
    KernelBench.onBoth(
        device,
        bench -> {
          long scratch = Gemm.int8ScratchBytes(MOST_M, MOST_K);
          bench.operations.prepareInt8(bench.poisonBytes(Math.toIntExact(scratch), 0).buffer());
          for (MatmulType type : MatmulType.values()) {
            if (type.inputBytes() == bench.dtype.bytes()) {
              body.accept(bench, type);
            }
          }
        });
  }

  private static void compares(
      KernelBench bench, Seed seed, MatmulType type, int m, int n, int k, int skew) {
    float[] a = KernelBench.rounded(bench.dtype, seed.normals(m * k, 1));
    PlainInt8 w = PlainInt8.of(seed.normals(n * k, 1), k);
    PlainInt8 rows = PlainInt8.of(a, k);
    var expected = new float[m * n];
    var added = new float[m * n];
    float[] before = seed.normals(m * n, 1);
    for (int i = 0; i < m * n; i++) {
      float scaled = rows.scaled(i / n, w, i % n, k);
      float product = scaled * w.scales()[i % n];
      expected[i] = type == MatmulType.BF16_BF16 ? Bf16.fromBits(Bf16.toBits(product)) : product;
      added[i] = Math.fma(scaled, w.scales()[i % n], before[i]);
    }
    String what = type + " " + m + "x" + n + "x" + k + ", " + seed;
    assertArrayEquals(expected, multiply(bench, type, m, n, k, a, w, skew), what);
    var residual = bench.floats(DType.F32, before);
    try (Gemm.Plan plan = bench.operations.gemm().plan(type, m, n, k, Weight.Layout.INT8)) {
      plan.launchAdding(
          bench.stream,
          residual.buffer(),
          bench.floats(bench.dtype, a, skew).buffer(),
          weight(bench, w, n, k, skew));
    }
    assertArrayEquals(added, residual.read(), "added, " + what);
  }

  private static float[] multiply(
      KernelBench bench, MatmulType type, int m, int n, int k, float[] a, PlainInt8 w, int skew) {
    DType outType = type == MatmulType.BF16_BF16 ? DType.BF16 : DType.F32;
    var out = bench.poison(outType, m * n, skew);
    try (Gemm.Plan plan = bench.operations.gemm().plan(type, m, n, k, Weight.Layout.INT8)) {
      plan.launch(
          bench.stream,
          out.buffer(),
          bench.floats(bench.dtype, a, skew).buffer(),
          weight(bench, w, n, k, skew));
      return out.read();
    }
  }

  private static Weight weight(KernelBench bench, PlainInt8 w, int n, int k, int skew) {
    return new Weight(
        bench.bytes(Arrays.copyOf(w.bytes(), n * k), skew).buffer(),
        n,
        k,
        Weight.Layout.INT8,
        bench.floats(DType.F32, Arrays.copyOf(w.scales(), n)).buffer());
  }
}
