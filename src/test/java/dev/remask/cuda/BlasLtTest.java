package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.Bf16;
import dev.remask.testing.DeviceData;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// cuBLASLt of the software device, and of a GPU's machine where it is found.
class BlasLtTest {
  private static final int[][] SHAPES = {
    {1, 1, 1}, {1, 7, 3}, {3, 1, 65}, {5, 33, 17}, {17, 64, 129}, {64, 96, 32}, {65, 127, 255}
  };

  @ParameterizedTest
  @EnumSource
  void matmul_matchesDoubleReference(MatmulType type) {
    matmul_matchesDoubleReference(type, TestDevices.software());
  }

  @GpuTest
  void matmul_matchesDoubleReference_gpu(DeviceSpec gpu) {
    for (MatmulType type : MatmulType.values()) {
      matmul_matchesDoubleReference(type, gpu);
    }
  }

  private static void matmul_matchesDoubleReference(MatmulType type, DeviceSpec spec) {
    Seed seed = Seed.fresh();
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (BlasLt blas = BlasLt.open(context).orElseThrow()) {
        for (int[] shape : SHAPES) {
          for (boolean accumulate : new boolean[] {false, true}) {
            check(blas, type, shape[0], shape[1], shape[2], accumulate, seed);
          }
        }
      }
    });
  }

  private static void check(
      BlasLt blas, MatmulType type, int m, int n, int k, boolean accumulate, Seed seed) {
    Context context = blas.context();
    boolean bf16Input = type != MatmulType.F32_F32;
    boolean bf16Output = type == MatmulType.BF16_BF16;
    float[] a = values(seed, m * k, bf16Input);
    float[] w = values(seed, n * k, bf16Input);
    float[] before = values(seed, m * n, bf16Output);
    double[] expected = new double[m * n];
    double[] bounds = new double[m * n];
    double outputRoundoff = bf16Output ? Bf16.UNIT_ROUNDOFF : 0;
    for (int row = 0; row < m; row++) {
      for (int column = 0; column < n; column++) {
        double sum = accumulate ? before[row * n + column] : 0;
        double magnitude = Math.abs(sum);
        for (int i = 0; i < k; i++) {
          double product = (double) a[row * k + i] * w[column * k + i];
          sum += product;
          magnitude += Math.abs(product);
        }
        // An f32 sum of k + 1 terms in any order, one rounding each for product and addition; then
        // the output's rounding.
        double accumulated = (k + 2) * Numbers.F32_UNIT_ROUNDOFF * magnitude;
        expected[row * n + column] = sum;
        bounds[row * n + column] =
            accumulated + outputRoundoff * (Math.abs(sum) + accumulated) + Float.MIN_NORMAL;
      }
    }
    try (Stream stream = context.newStream();
        DeviceMemory deviceA = upload(context, stream, a, bf16Input);
        DeviceMemory deviceW = upload(context, stream, w, bf16Input);
        DeviceMemory out = upload(context, stream, before, bf16Output);
        Matmul matmul = blas.matmul(type, m, n, k, accumulate)) {
      matmul.launch(stream, out.buffer(), deviceA.buffer(), deviceW.buffer());
      float[] actual =
          bf16Output
              ? DeviceData.readBf16(context, stream, out.buffer())
              : DeviceData.readF32(context, stream, out.buffer());
      Numbers.assertWithin(expected, actual, bounds, matmul + ", " + seed);
    }
  }

  @Test
  void matmul_canBeCapturedAndReplayed() {
    Context context = TestDevices.context(TestDevices.software());
    context.run(() -> {
      try (BlasLt blas = BlasLt.open(context).orElseThrow();
          Stream stream = context.newStream();
          DeviceMemory a = DeviceData.f32(context, stream, 1, 2);
          DeviceMemory w = DeviceData.f32(context, stream, 10, 100);
          DeviceMemory out = DeviceData.f32(context, stream, 0);
          Matmul matmul = blas.matmul(MatmulType.F32_F32, 1, 1, 2, true);
          Graph graph =
              stream.capture(() -> matmul.launch(stream, out.buffer(), a.buffer(), w.buffer()))) {
        graph.launch(stream);
        graph.launch(stream);
        graph.launch(stream);
        assertEquals(630, DeviceData.readF32(context, stream, out.buffer())[0]);
      }
    });
  }

  @Test
  void matmul_refusesWhatDoesNotFit() {
    Context context = TestDevices.context(TestDevices.software());
    context.run(() -> {
      try (BlasLt blas = BlasLt.open(context).orElseThrow();
          Stream stream = context.newStream();
          DeviceMemory memory = context.allocate(6 * Float.BYTES);
          DeviceMemory large = context.allocate(1024);
          Matmul matmul = blas.matmul(MatmulType.F32_F32, 2, 3, 4, false)) {
        assertThrows(
            IllegalArgumentException.class, () -> blas.matmul(MatmulType.F32_F32, 0, 3, 4, false));
        var error =
            assertThrows(
                IllegalArgumentException.class,
                () -> matmul.launch(stream, memory.buffer(), memory.buffer(), memory.buffer()));
        assertTrue(error.getMessage().contains("a needs 32 bytes"), error.getMessage());
        assertThrows(
            IllegalArgumentException.class,
            () ->
                matmul.launch(stream, memory.buffer(), large.slice(16, 32), large.slice(256, 48)));
      }
    });
  }

  @Test
  void close_closesTheProducts() {
    Context context = TestDevices.context(TestDevices.software());
    context.run(() -> {
      BlasLt blas = BlasLt.open(context).orElseThrow();
      Matmul matmul = blas.matmul(MatmulType.F32_F32, 2, 3, 4, false);
      assertTrue(blas.version().matches("\\d+\\.\\d+\\.\\d+"), blas.version());
      blas.close();
      assertTrue(!matmul.isOpen());
      matmul.close();
      assertThrows(
          IllegalStateException.class, () -> blas.matmul(MatmulType.F32_F32, 1, 1, 1, false));
    });
  }

  @Test
  void open_isEmptyOnTheEmulator() {
    Context context = TestDevices.context(TestDevices.emulator());
    assertEquals(Optional.empty(), context.call(() -> BlasLt.open(context)));
  }

  private static float[] values(Seed seed, int count, boolean bf16) {
    return bf16 ? seed.normalsInBf16(count, 1) : seed.normals(count, 1);
  }

  private static DeviceMemory upload(Context context, Stream stream, float[] values, boolean bf16) {
    return bf16
        ? DeviceData.bf16(context, stream, values)
        : DeviceData.f32(context, stream, values);
  }
}
