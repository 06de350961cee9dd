package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.MatmulType;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.util.Arrays;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/// Fused products against the same product's f32 sums, and rows against the same rows alone: our
/// own kernels' bits depend on nothing else.
class GemmFusionTest {
  private static final String SETTING = "remask.gemm";

  /// Rows for every tile: see [GemmChoice].
  private static final int[] ROWS = {3, 20, 50, 130, 300};

  private static final int K = 640;

  @AfterEach
  void forget() {
    System.clearProperty(SETTING);
  }

  /// Operands on the device, and the f32 sums of the own kernels.
  private record Product(
      KernelBench bench, DType dtype, Seed seed, int m, int n, DeviceBuffer a, Weight w) {
    static Product random(KernelBench bench, DType dtype, Seed seed, int m, int n) {
      Weight rows = Weight.rows(bench.floats(dtype, seed.normals(n * K, 0.05f)).buffer(), n, K);
      Gemm gemm = bench.operations.gemm();
      return new Product(
          bench,
          dtype,
          seed,
          m,
          n,
          bench.floats(dtype, seed.normals(m * K, 1)).buffer(),
          gemm.packs(dtype) ? gemm.pack(bench.stream, rows, dtype) : rows);
    }

    /// Of the kind whose results have the type of the inputs.
    Gemm.Plan plan(int rows) {
      return plan(dtype == DType.BF16 ? MatmulType.BF16_BF16 : MatmulType.F32_F32, rows);
    }

    Gemm.Plan plan(MatmulType type, int rows) {
      return bench.operations.gemm().plan(type, rows, n, K, w.layout());
    }

    float[] sums() {
      return sums(0, m);
    }

    float[] sums(int first, int rows) {
      var out = bench.poison(DType.F32, rows * n);
      MatmulType type = dtype == DType.BF16 ? MatmulType.BF16_F32 : MatmulType.F32_F32;
      try (Gemm.Plan plan = plan(type, rows)) {
        long begin = (long) first * K * dtype.bytes();
        plan.launch(bench.stream, out.buffer(), a.slice(begin, a.bytes() - begin), w);
        return out.read();
      }
    }

    @Override
    public String toString() {
      return dtype + " " + m + "x" + n + "x" + K + " " + w.layout() + ", " + seed;
    }
  }

  /// The families that fuse, with `REMASK_GEMM=own`, and the types of weights that they do it for.
  private static void onFusing(DeviceSpec device, BiConsumer<KernelBench, DType> body) {
    System.setProperty(SETTING, "own");
    KernelBench.on(
        device,
        DType.BF16,
        bench -> {
          for (DType dtype : DType.values()) {
            boolean tensorCores =
                bench.architecture != Architecture.PORTABLE && dtype == DType.BF16;
            if (tensorCores || bench.operations.gemm().packs(dtype)) {
              body.accept(bench, dtype);
            }
          }
        });
  }

  @OnSoftwareDevices
  void ownGemm_givesARowTheSameBits_whateverTheOthers(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onFusing(
        device,
        (bench, dtype) -> {
          Product product = Product.random(bench, dtype, seed, 300, 72);
          float[] all = product.sums();
          for (int rows : ROWS) {
            int first = (product.m - rows) / 2;
            assertArrayEquals(
                Arrays.copyOfRange(all, first * product.n, (first + rows) * product.n),
                product.sums(first, rows),
                rows + " of " + product);
          }
        });
  }

  @GpuTest
  void ownGemm_givesARowTheSameBits_whateverTheOthers_gpu(DeviceSpec gpu) {
    ownGemm_givesARowTheSameBits_whateverTheOthers(gpu);
  }

  @OnSoftwareDevices
  void adding_addsTheSumsUnrounded(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onFusing(
        device,
        (bench, dtype) -> {
          for (int m : ROWS) {
            Product product = Product.random(bench, dtype, seed, m, 40);
            float[] before = seed.normals(m * product.n, 1);
            var residual = bench.floats(DType.F32, before);
            float[] expected = product.sums();
            for (int i = 0; i < expected.length; i++) {
              expected[i] += before[i];
            }
            try (Gemm.Plan plan = product.plan(m)) {
              assertTrue(plan.fuses(Gemm.Fusion.RESIDUAL));
              plan.launchAdding(bench.stream, residual.buffer(), product.a, product.w);
              assertArrayEquals(expected, residual.read(), product.toString());
            }
          }
        });
  }

  @GpuTest
  void adding_addsTheSumsUnrounded_gpu(DeviceSpec gpu) {
    adding_addsTheSumsUnrounded(gpu);
  }

  @OnSoftwareDevices
  void gated_isTheGateOfTheSums(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onFusing(
        device,
        (bench, dtype) -> {
          for (int m : ROWS) {
            int width = 37;
            Product product = Product.random(bench, dtype, seed, m, 2 * width);
            float[] sums = product.sums();
            var expected = new double[m * width];
            for (int i = 0; i < expected.length; i++) {
              double gate = sums[i / width * 2 * width + i % width];
              double up = sums[i / width * 2 * width + width + i % width];
              expected[i] = gate / (1 + Math.exp(-gate)) * up;
            }
            var out = bench.poison(dtype, expected.length);
            try (Gemm.Plan plan = product.plan(m)) {
              plan.launchGated(bench.stream, out.buffer(), product.a, product.w);
              assertRounded(expected, out.read(), product);
            }
          }
        });
  }

  @GpuTest
  void gated_isTheGateOfTheSums_gpu(DeviceSpec gpu) {
    gated_isTheGateOfTheSums(gpu);
  }

  @OnSoftwareDevices
  void rotated_turnsQAndK_andWritesKAndVToTheirRows(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onFusing(
        device,
        (bench, dtype) -> {
          for (int m : ROWS) {
            rotates(bench, dtype, seed, m, false);
            rotates(bench, dtype, seed, m, true);
          }
        });
  }

  @GpuTest
  void rotated_turnsQAndK_andWritesKAndVToTheirRows_gpu(DeviceSpec gpu) {
    rotated_turnsQAndK_andWritesKAndVToTheirRows(gpu);
  }

  private static void rotates(KernelBench bench, DType dtype, Seed seed, int m, boolean mapped) {
    int heads = 2;
    int headDim = 12;
    int qStride = heads * headDim + 4;
    int kvStride = headDim + 2;
    int kvRows = mapped ? m + 5 : m;
    Product product = Product.random(bench, dtype, seed, m, (heads + 2) * headDim);
    float[] angles = seed.normals(7 * headDim, 1);
    var positions = new int[m];
    var rows = new int[m];
    for (int row = 0; row < m; row++) {
      positions[row] = row % 7;
      rows[row] = mapped ? m + 4 - row : row;
    }
    var q = new double[m * qStride];
    var keys = new double[kvRows * kvStride];
    var values = new double[kvRows * kvStride];
    for (double[] x : new double[][] {q, keys, values}) {
      Arrays.fill(x, Double.NaN);
    }
    float[] sums = product.sums();
    for (int row = 0; row < m; row++) {
      for (int head = 0; head < heads + 2; head++) {
        double[] target = head < heads ? q : head == heads ? keys : values;
        int begin = head < heads ? row * qStride + head * headDim : rows[row] * kvStride;
        for (int i = 0; i < headDim / 2; i++) {
          int at = row * product.n + head * headDim + i;
          int angle = positions[row] * headDim + 2 * i;
          boolean turns = head <= heads;
          double cosine = turns ? angles[angle] : 1;
          double sine = turns ? angles[angle + 1] : 0;
          double a = sums[at];
          double b = sums[at + headDim / 2];
          target[begin + i] = a * cosine - b * sine;
          target[begin + i + headDim / 2] = b * cosine + a * sine;
        }
      }
    }
    var qOut = bench.poison(dtype, q.length);
    var keysOut = bench.poison(dtype, keys.length);
    var valuesOut = bench.poison(dtype, values.length);
    var qkv =
        new Gemm.Qkv(
            qOut.buffer(),
            keysOut.buffer(),
            valuesOut.buffer(),
            bench.floats(DType.F32, angles).buffer(),
            bench.ints(positions).buffer(),
            mapped ? bench.ints(rows).buffer() : null,
            heads,
            1,
            headDim,
            qStride,
            kvStride);
    try (Gemm.Plan plan = product.plan(m)) {
      plan.launchRotated(bench.stream, qkv, product.a, product.w);
      assertRounded(q, qOut.read(), product);
      assertRounded(keys, keysOut.read(), product);
      assertRounded(values, valuesOut.read(), product);
    }
  }

  /// Results that are wanted within bf16's rounding and a few of f32; those not to be written, NaN,
  /// unwritten.
  private static void assertRounded(double[] expected, float[] actual, Product product) {
    assertEquals(expected.length, actual.length);
    double largest = 0;
    for (double x : expected) {
      largest = Double.isNaN(x) ? largest : Math.max(largest, Math.abs(x));
    }
    var bounds = new double[expected.length];
    var wanted = expected.clone();
    for (int i = 0; i < expected.length; i++) {
      if (Double.isNaN(expected[i])) {
        assertTrue(Float.isNaN(actual[i]), "element " + i + " of " + product);
        wanted[i] = 0;
        actual[i] = 0;
      }
      bounds[i] =
          KernelBench.unitRoundoff(product.dtype) * Math.abs(wanted[i])
              + 16 * Numbers.F32_UNIT_ROUNDOFF * largest;
    }
    Numbers.assertWithin(wanted, actual, bounds, product.toString());
  }

  @OnSoftwareDevices
  void portablePlans_fuseNothing(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        bench -> {
          try (Gemm.Plan plan = bench.operations.gemm().plan(MatmulType.F32_F32, 2, 4, 8)) {
            for (Gemm.Fusion fusion : Gemm.Fusion.values()) {
              assertFalse(plan.fuses(fusion));
            }
            DeviceBuffer x = bench.poison(DType.F32, 64).buffer();
            assertThrows(
                UnsupportedOperationException.class,
                () -> plan.launchAdding(bench.stream, x, x, Weight.rows(x, 4, 8)));
          }
        });
  }

  @Test
  void fusedLaunches_refuseShapesThatDoNotFit() {
    onFusing(
        TestDevices.emulator(),
        (bench, dtype) -> {
          DeviceBuffer x = bench.poison(DType.F32, 64).buffer();
          Weight w = Weight.rows(x, 5, 8);
          try (Gemm.Plan plan = bench.operations.gemm().plan(MatmulType.BF16_BF16, 2, 5, 8)) {
            assertFalse(plan.fuses(Gemm.Fusion.SWIGLU));
            assertThrows(
                IllegalArgumentException.class, () -> plan.launchGated(bench.stream, x, x, w));
            var qkv = new Gemm.Qkv(x, x, x, x, x, null, 1, 1, 2, 2, 2);
            assertThrows(
                IllegalArgumentException.class, () -> plan.launchRotated(bench.stream, qkv, x, w));
          }
        });
  }
}
