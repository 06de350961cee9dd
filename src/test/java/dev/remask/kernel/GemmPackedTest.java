package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.testing.ChildJvm;
import dev.remask.testing.Numbers;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/// Weights that are packed once, and the products that read them so: on the software device's host
/// kernels, which alone have them. What is fused is in [GemmFusionTest].
class GemmPackedTest {
  private static final String SETTING = "remask.gemm";

  @AfterEach
  void forget() {
    System.clearProperty(SETTING);
  }

  @Test
  void products_matchDoubleReference_whateverTheRemainders() {
    Seed seed = Seed.fresh();
    KernelBench.on(
        TestDevices.software(),
        DType.BF16,
        bench -> {
          for (MatmulType type : MatmulType.values()) {
            for (int m : new int[] {1, 3, 16, 17, 65}) {
              compares(bench, seed, type, m, 48, 33);
            }
            for (int n : new int[] {1, 15, 16, 17, 31, 130}) {
              compares(bench, seed, type, 5, n, 64);
            }
            for (int k : new int[] {1, 2, 7, 255, 256, 257, 1013}) {
              compares(bench, seed, type, 6, 33, k);
            }
          }
        });
  }

  private static void compares(KernelBench bench, Seed seed, MatmulType type, int m, int n, int k) {
    DType in = inputs(type);
    DType outType = type == MatmulType.BF16_BF16 ? DType.BF16 : DType.F32;
    float[] a = KernelBench.rounded(in, seed.normals(m * k, 1));
    float[] w = KernelBench.rounded(in, seed.normals(n * k, 1));
    var expected = new double[m * n];
    var bounds = new double[m * n];
    for (int i = 0; i < m * n; i++) {
      double magnitude = 0;
      for (int j = 0; j < k; j++) {
        double product = (double) a[i / n * k + j] * w[i % n * k + j];
        expected[i] += product;
        magnitude += Math.abs(product);
      }
      double sum = (k + 1) * Numbers.F32_UNIT_ROUNDOFF * magnitude;
      bounds[i] = sum + KernelBench.unitRoundoff(outType) * (Math.abs(expected[i]) + sum);
    }
    var out = bench.poison(outType, m * n);
    KernelBench.Floats matrix = bench.floats(in, w);
    Gemm gemm = bench.operations.gemm();
    Weight packed = gemm.pack(bench.stream, Weight.rows(matrix.buffer(), n, k), in);
    assertEquals(Weight.Layout.PACKED, packed.layout());
    try (Gemm.Plan plan = gemm.plan(type, m, n, k, Weight.Layout.PACKED)) {
      assertFalse(plan.isLibrary());
      plan.launch(bench.stream, out.buffer(), bench.floats(in, a).buffer(), packed);
    }
    Numbers.assertWithin(
        expected, out.read(), bounds, type + " " + m + "x" + n + "x" + k + ", " + seed);
    matrix.read(); // packing stays inside
  }

  /// The format of native/host/simd_packed.h: strips of 16 rows, in them pairs of k for bf16.
  @Test
  void packing_reordersWithinStripsOf16Rows() {
    KernelBench.on(
        TestDevices.software(),
        DType.BF16,
        bench -> {
          int n = 18;
          int k = 3;
          for (DType dtype : DType.values()) {
            var values = new float[n * k];
            for (int i = 0; i < values.length; i++) {
              values[i] = i;
            }
            KernelBench.Floats matrix = bench.floats(dtype, values);
            bench.operations.gemm().pack(bench.stream, Weight.rows(matrix.buffer(), n, k), dtype);
            int group = dtype == DType.BF16 ? 2 : 1;
            assertArrayEquals(packed(n, k, group), matrix.read(), dtype.toString());
          }
        });
  }

  /// Where row-major element r·k+i, which has that value, stands after packing.
  private static float[] packed(int n, int k, int group) {
    var packed = new float[n * k];
    for (int strip = 0; strip < n; strip += 16) {
      int width = Math.min(16, n - strip);
      for (int r = 0; r < width; r++) {
        for (int i = 0; i < k; i++) {
          int first = i / group * group;
          int depth = Math.min(group, k - first);
          packed[strip * k + first * width + r * depth + i - first] = (strip + r) * k + i;
        }
      }
    }
    return packed;
  }

  @Test
  void rows_haveTheBitsOfTheUnpackedProduct_withTheSetsThatSumInOrder() {
    // Sets that multiply pairs of bf16 at once sum in another order: f32 never does.
    Seed seed = Seed.fresh();
    KernelBench.on(
        TestDevices.software(),
        DType.F32,
        bench -> {
          int m = 7;
          int n = 50;
          int k = 300;
          DeviceBuffer a = bench.floats(DType.F32, seed.normals(m * k, 1)).buffer();
          float[] w = seed.normals(n * k, 1);
          List<float[]> results =
              IntStream.range(0, 2)
                  .mapToObj(i -> {
                    Weight weight = Weight.rows(bench.floats(DType.F32, w).buffer(), n, k);
                    Gemm gemm = bench.operations.gemm();
                    if (i == 1) {
                      weight = gemm.pack(bench.stream, weight, DType.F32);
                    }
                    var out = bench.poison(DType.F32, m * n);
                    try (Gemm.Plan plan = gemm.plan(MatmulType.F32_F32, m, n, k, weight.layout())) {
                      plan.launch(bench.stream, out.buffer(), a, weight);
                      return out.read();
                    }
                  })
                  .toList();
          assertArrayEquals(results.getFirst(), results.getLast(), seed.toString());
        });
  }

  @Test
  void nothingIsPacked_whereCublasLtIsAskedFor_orInTheEmulator() {
    System.setProperty(SETTING, "cublaslt");
    KernelBench.on(TestDevices.software(), DType.BF16, GemmPackedTest::packsNothing);
    System.setProperty(SETTING, "auto");
    KernelBench.on(TestDevices.emulator(), DType.BF16, GemmPackedTest::packsNothing);
  }

  private static void packsNothing(KernelBench bench) {
    Gemm gemm = bench.operations.gemm();
    var rows = Weight.rows(bench.poison(DType.BF16, 16).buffer(), 4, 4);
    for (DType dtype : DType.values()) {
      assertFalse(gemm.packs(dtype));
      assertThrows(UnsupportedOperationException.class, () -> gemm.pack(bench.stream, rows, dtype));
    }
    for (MatmulType type : MatmulType.values()) {
      assertThrows(
          UnsupportedOperationException.class,
          () -> gemm.plan(type, 1, 4, 4, Weight.Layout.PACKED));
    }
  }

  @Test
  void packing_refusesWhatItCannotPack() {
    KernelBench.on(
        TestDevices.software(),
        DType.BF16,
        bench -> {
          Gemm gemm = bench.operations.gemm();
          DeviceBuffer x = bench.poison(DType.BF16, 16).buffer();
          var packed = new Weight(x, 4, 4, Weight.Layout.PACKED, null);
          assertThrows(
              IllegalArgumentException.class, () -> gemm.pack(bench.stream, packed, DType.BF16));
          assertThrows(
              IllegalArgumentException.class,
              () -> gemm.pack(bench.stream, Weight.rows(x, 4, 5), DType.BF16));
          try (Gemm.Plan plan = gemm.plan(MatmulType.BF16_BF16, 1, 4, 4, packed.layout())) {
            assertThrows(
                IllegalArgumentException.class,
                () -> plan.launch(bench.stream, x, x, Weight.rows(x, 4, 4)));
          }
        });
  }

  /// The variable is read once in a process.
  @Test
  void nothingIsPacked_whereOneDnnMultiplies() {
    var child = new ChildJvm().environment("REMASK_HOST_GEMM", "onednn").run(PrintPacks.class);
    assertEquals(0, child.status(), child.output());
    assertTrue(child.output().contains("packs false false"), child.output());
    child = new ChildJvm().environment("REMASK_HOST_GEMM", "own").run(PrintPacks.class);
    assertTrue(child.output().contains("packs true true"), child.output());
  }

  /// Prints for which types the software device packs weights.
  static final class PrintPacks {
    private PrintPacks() {}

    public static void main(String[] none) {
      KernelBench.on(
          TestDevices.software(),
          DType.BF16,
          bench -> {
            Gemm gemm = bench.operations.gemm();
            System.out.println("packs " + gemm.packs(DType.BF16) + " " + gemm.packs(DType.F32));
          });
      System.exit(0);
    }
  }

  private static DType inputs(MatmulType type) {
    return type == MatmulType.F32_F32 ? DType.F32 : DType.BF16;
  }
}
