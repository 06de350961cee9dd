package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class GemmTest {
  private static final String SETTING = "remask.gemm";

  @AfterEach
  void forget() {
    System.clearProperty(SETTING);
  }

  @OnSoftwareDevices
  void gemm_matchesDoubleReference_aroundTheTiles(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.on(
        device,
        DType.BF16,
        bench -> {
          for (MatmulType type : MatmulType.values()) {
            for (int m : new int[] {1, Gemm.TILE_M - 1, Gemm.TILE_M, Gemm.TILE_M + 1}) {
              compares(bench, seed, type, m, Gemm.TILE_N, 32, 0);
            }
            compares(bench, seed, type, GemmChoice.FEW_ROWS + 1, 70, 72, 0);
            for (int n : new int[] {1, Gemm.TILE_N - 1, Gemm.TILE_N + 1}) {
              compares(bench, seed, type, 7, n, 64, 0);
            }
          }
        });
  }

  @GpuTest
  void gemm_matchesDoubleReference_aroundTheTiles_gpu(DeviceSpec gpu) {
    gemm_matchesDoubleReference_aroundTheTiles(gpu);
  }

  @OnSoftwareDevices
  void gemm_matchesDoubleReference_atEveryDepth(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.on(
        device,
        DType.BF16,
        bench -> {
          for (MatmulType type : MatmulType.values()) {
            for (int k : new int[] {1, 7, 8, 15, 16, 17, 33, 40, 65, 176, 1013}) {
              compares(bench, seed, type, 5, 33, k, 0);
            }
          }
        });
  }

  @GpuTest
  void gemm_matchesDoubleReference_atEveryDepth_gpu(DeviceSpec gpu) {
    gemm_matchesDoubleReference_atEveryDepth(gpu);
  }

  /// The same kernel that the emulator runs, also where cuBLASLt is there to be preferred.
  @OnSoftwareDevices
  void ownGemm_matchesDoubleReference_whereVectorsDoNotFitTheAlignment(DeviceSpec device) {
    System.setProperty(SETTING, "own");
    Seed seed = Seed.fresh();
    KernelBench.on(
        device,
        DType.BF16,
        bench -> {
          assertEquals("own", bench.operations.gemm().name(Weight.Layout.ROWS));
          for (MatmulType type : MatmulType.values()) {
            compares(bench, seed, type, 65, 130, 48, 0);
            compares(bench, seed, type, 9, 36, 32, 1);
          }
        });
  }

  @GpuTest
  void ownGemm_matchesDoubleReference_whereVectorsDoNotFitTheAlignment_gpu(DeviceSpec gpu) {
    ownGemm_matchesDoubleReference_whereVectorsDoNotFitTheAlignment(gpu);
  }

  /// Small integers have exact products and sums: any misplaced element shows, in any dtype.
  @OnSoftwareDevices
  void gemm_isExact_onSmallIntegers(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.on(
        device,
        DType.BF16,
        bench -> {
          int m = 67;
          int n = 131;
          int k = 24;
          float[] a = integers(seed, m * k);
          float[] w = integers(seed, n * k);
          float[] expected = new float[m * n];
          for (int i = 0; i < m * n; i++) {
            for (int j = 0; j < k; j++) {
              expected[i] += a[i / n * k + j] * w[i % n * k + j];
            }
          }
          for (MatmulType type : MatmulType.values()) {
            float[] actual = multiply(bench, type, m, n, k, a, w, 0);
            assertArrayEquals(expected, actual, type + ", " + seed);
          }
        });
  }

  @GpuTest
  void gemm_isExact_onSmallIntegers_gpu(DeviceSpec gpu) {
    gemm_isExact_onSmallIntegers(gpu);
  }

  /// |sums| stay below 24·3·3 = 216: exact in bf16, too.
  private static float[] integers(Seed seed, int count) {
    var values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = seed.random().nextInt(-3, 4);
    }
    return values;
  }

  @Test
  void emulator_runsTheOwnKernel() {
    KernelBench.on(
        TestDevices.emulator(),
        DType.F32,
        bench -> {
          assertEquals("own", bench.operations.gemm().name(Weight.Layout.ROWS));
          try (Gemm.Plan plan = bench.operations.gemm().plan(MatmulType.F32_F32, 1, 1, 1)) {
            assertFalse(plan.isLibrary());
          }
        });
  }

  @Test
  void softwareDevice_runsTheLibrary() {
    KernelBench.on(
        TestDevices.software(),
        DType.F32,
        bench -> {
          String name = bench.operations.gemm().name(Weight.Layout.ROWS);
          assertTrue(name.startsWith("cuBLASLt "), name);
        });
  }

  @Test
  void gemmSetting_failsInWords_whereItCannotBeMet() {
    long before = SoftwareDevice.liveBytes();
    System.setProperty(SETTING, "cublaslt");
    var missing =
        assertThrows(
            IllegalStateException.class,
            () -> KernelBench.on(TestDevices.emulator(), DType.F32, bench -> {}));
    assertTrue(missing.getMessage().contains("no cuBLASLt was found"), missing.getMessage());
    System.setProperty(SETTING, "magma");
    var unknown =
        assertThrows(
            IllegalArgumentException.class,
            () -> KernelBench.on(TestDevices.software(), DType.F32, bench -> {}));
    assertTrue(unknown.getMessage().contains("'magma'"), unknown.getMessage());
    assertEquals(before, SoftwareDevice.liveBytes());
  }

  private static void compares(
      KernelBench bench, Seed seed, MatmulType type, int m, int n, int k, int skew) {
    DType in = type == MatmulType.F32_F32 ? DType.F32 : DType.BF16;
    DType outType = type == MatmulType.BF16_BF16 ? DType.BF16 : DType.F32;
    float[] a = KernelBench.rounded(in, seed.normals(m * k, 1));
    float[] w = KernelBench.rounded(in, seed.normals(n * k, 1));
    float[] actual = multiply(bench, type, m, n, k, a, w, skew);
    var expected = new double[m * n];
    var bounds = new double[m * n];
    for (int i = 0; i < m * n; i++) {
      double magnitude = 0;
      for (int j = 0; j < k; j++) {
        double product = (double) a[i / n * k + j] * w[i % n * k + j];
        expected[i] += product;
        magnitude += Math.abs(product);
      }
      // k products and k sums in f32, in any order, then the store
      double sum = (k + 1) * Numbers.F32_UNIT_ROUNDOFF * magnitude;
      bounds[i] = sum + KernelBench.unitRoundoff(outType) * (Math.abs(expected[i]) + sum);
    }
    Numbers.assertWithin(
        expected, actual, bounds, type + " " + m + "x" + n + "x" + k + ", " + seed);
  }

  private static float[] multiply(
      KernelBench bench, MatmulType type, int m, int n, int k, float[] a, float[] w, int skew) {
    DType in = type == MatmulType.F32_F32 ? DType.F32 : DType.BF16;
    DType outType = type == MatmulType.BF16_BF16 ? DType.BF16 : DType.F32;
    var out = bench.poison(outType, m * n, skew);
    try (Gemm.Plan plan = bench.operations.gemm().plan(type, m, n, k)) {
      plan.launch(
          bench.stream,
          out.buffer(),
          bench.floats(in, a, skew).buffer(),
          Weight.rows(bench.floats(in, w, skew).buffer(), n, k));
      return out.read();
    }
  }
}
