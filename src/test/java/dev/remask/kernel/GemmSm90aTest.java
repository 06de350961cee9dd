package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Module;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import org.junit.jupiter.api.Test;

/// The launcher: tensor maps, alignment, tiles. The kernels' proof over random shapes is
/// native/emulator/proofs/gemm_sm90a_proof.cpp.
class GemmSm90aTest {
  private static final int H100_MULTIPROCESSORS = 132;

  @Test
  void takes_whatTmaCanAddress() {
    assertTrue(GemmSm90a.takes(MatmulType.BF16_BF16, 8));
    assertTrue(GemmSm90a.takes(MatmulType.BF16_F32, 4096));
    assertFalse(GemmSm90a.takes(MatmulType.BF16_BF16, 4100));
    assertFalse(GemmSm90a.takes(MatmulType.F32_F32, 4096));
  }

  @Test
  void tile_fillsTheDevice() {
    assertEquals(GemmSm90a.Tile.N128, GemmSm90a.tile(512, 4096, H100_MULTIPROCESSORS));
    assertEquals(GemmSm90a.Tile.N256, GemmSm90a.tile(1024, 4096, H100_MULTIPROCESSORS));
    assertEquals(GemmSm90a.Tile.N256, GemmSm90a.tile(4096, 12288, H100_MULTIPROCESSORS));
    assertEquals(GemmSm90a.Tile.N256, GemmSm90a.tile(1, 1000, 1));
  }

  @Test
  void gemm_matchesDoubleReference_storedByTmaOrNot() {
    gemmMatchesDoubleReference(TestDevices.emulator());
  }

  @GpuTest
  void gemm_matchesDoubleReference_storedByTmaOrNot_gpu(DeviceSpec gpu) {
    gemmMatchesDoubleReference(gpu);
  }

  private static void gemmMatchesDoubleReference(DeviceSpec device) {
    Context context = TestDevices.context(device);
    assumeTrue(
        Architecture.runnable(context.device()).contains(Architecture.SM90A),
        device + " cannot run the sm_90a kernels");
    Seed seed = Seed.fresh();
    KernelBench.on(
        device,
        DType.BF16,
        Architecture.SM90A,
        bench -> {
          try (Module module = context.loadModule("gemm_sm90a")) {
            var gemm = new GemmSm90a(context, module);
            for (MatmulType type : new MatmulType[] {MatmulType.BF16_BF16, MatmulType.BF16_F32}) {
              compares(bench, gemm, seed, type, 1, 1, 8, 0);
              compares(bench, gemm, seed, type, 130, 264, 72, 0);
              compares(bench, gemm, seed, type, 257, 131, 136, 0);
              compares(bench, gemm, seed, type, 70, 136, 64, 1);
            }
          }
        });
  }

  /// `skew` moves the result off the alignment that TMA stores need.
  private static void compares(
      KernelBench bench,
      GemmSm90a gemm,
      Seed seed,
      MatmulType type,
      int m,
      int n,
      int k,
      int skew) {
    DType outType = type == MatmulType.BF16_BF16 ? DType.BF16 : DType.F32;
    float[] a = KernelBench.rounded(DType.BF16, seed.normals(m * k, 1));
    float[] w = KernelBench.rounded(DType.BF16, seed.normals(n * k, 1));
    float[] wide = null;
    for (GemmSm90a.Tile tile : GemmSm90a.Tile.values()) {
      var out = bench.poison(outType, m * n, skew);
      var left = bench.floats(DType.BF16, a, 0).buffer();
      var right = bench.floats(DType.BF16, w, 0).buffer();
      assertTrue(GemmSm90a.takes(left, right));
      gemm.launch(bench.stream, type, tile, out.buffer(), left, right, m, n, k);
      float[] actual = out.read();
      String what = type + " " + tile + " " + m + "x" + n + "x" + k + ", " + seed;
      if (wide == null) {
        wide = actual;
        assertWithin(a, w, m, n, k, outType, actual, what);
      } else {
        assertArrayEquals(wide, actual, what);
      }
    }
  }

  private static void assertWithin(
      float[] a, float[] w, int m, int n, int k, DType outType, float[] actual, String what) {
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
    Numbers.assertWithin(expected, actual, bounds, what);
  }
}
