package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.testing.Numbers;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/// Host kernels against the emulated CUDA kernels, and those against themselves under other thread
/// schedules: one layer's worth of operations on the same data.
class AgreementTest {
  private static final int TOKENS = 70;
  private static final int HEADS = 2;
  private static final int HEAD_DIM = 64;
  private static final int WIDTH = HEADS * HEAD_DIM;
  private static final int QKV = 2 * WIDTH; // one K/V head
  private static final int COLUMNS = 500;

  /// The default of REMASK_EMULATOR_SEED.
  @AfterEach
  void restoreSchedule() {
    SoftwareDevice.setEmulatorSeed(1);
  }

  /// Each operation reads given data, not the one before it: errors do not pile up.
  private static Map<String, float[]> layer(DeviceSpec device, DType dtype, long seedValue) {
    var results = new LinkedHashMap<String, float[]>();
    KernelBench.on(
        device,
        dtype,
        bench -> {
          Seed seed = Seed.of(seedValue);
          float[] table = seed.normals(COLUMNS * WIDTH, 1);
          float[] qkvValues = seed.normals(TOKENS * QKV, 1);
          float[] residualValues = seed.normals(TOKENS * WIDTH, 1);
          Operations o = bench.operations;
          var stream = bench.stream;

          var residual = bench.poison(DType.F32, TOKENS * WIDTH);
          DeviceBuffer tokens = bench.ints(seed.ints(TOKENS, COLUMNS)).buffer();
          DeviceBuffer weights = bench.floats(dtype, table).buffer();
          int[] places = seed.ints(TOKENS, TOKENS);
          places[1] = -1;
          DeviceBuffer index = bench.ints(places).buffer();
          o.embedding().launch(stream, residual.buffer(), weights, tokens, index, TOKENS, WIDTH);
          results.put("embed, exact", residual.read());

          var norm = bench.poison(dtype, TOKENS * WIDTH);
          DeviceBuffer delta = bench.floats(dtype, residualValues).buffer();
          o.rmsNorm()
              .launch(
                  stream, norm.buffer(), residual.buffer(), delta, weights, TOKENS, WIDTH, 1e-5f);
          results.put("rmsnorm's residual, exact", residual.read());
          results.put("rmsnorm", norm.read());

          var qkv = bench.floats(dtype, qkvValues);
          var offsets = bench.ints(0, 3, TOKENS);
          var attended = bench.poison(dtype, TOKENS * WIDTH);
          long k = (long) WIDTH * dtype.bytes();
          long v = k + (long) HEAD_DIM * dtype.bytes();
          int[] lengths = {3, TOKENS - 3};
          AttentionWork work = o.attention().work(lengths, lengths);
          o.attention()
              .launch(
                  stream,
                  new Attention.Buffers(
                      attended.buffer(),
                      qkv.buffer(),
                      qkv.buffer().slice(k, qkv.buffer().bytes() - k),
                      qkv.buffer().slice(v, qkv.buffer().bytes() - v),
                      offsets.buffer(),
                      offsets.buffer(),
                      bench.ints(work.ints()).buffer(),
                      null,
                      null),
                  new Attention.Shape(
                      2, TOKENS - 3, TOKENS, TOKENS, HEADS, 1, HEAD_DIM, QKV, QKV, WIDTH),
                  work);
          results.put("attention", attended.read());

          DeviceBuffer angles =
              bench.floats(DType.F32, seed.normals(TOKENS * HEAD_DIM, 1)).buffer();
          DeviceBuffer positions = bench.ints(seed.ints(TOKENS, TOKENS)).buffer();
          o.rope()
              .launch(
                  stream,
                  qkv.buffer(),
                  angles,
                  positions,
                  TOKENS,
                  new Rope.Shape(QKV, HEADS + 1, HEAD_DIM));
          results.put("rope", qkv.read());

          var gated = bench.poison(dtype, TOKENS * WIDTH);
          o.swiGlu()
              .launch(
                  stream, gated.buffer(), bench.floats(dtype, qkvValues).buffer(), TOKENS, WIDTH);
          results.put("swiglu", gated.read());

          MatmulType type = dtype == DType.BF16 ? MatmulType.BF16_F32 : MatmulType.F32_F32;
          var logits = bench.poison(DType.F32, TOKENS * COLUMNS);
          try (Gemm.Plan plan = o.gemm().plan(type, TOKENS, COLUMNS, WIDTH)) {
            plan.launch(stream, logits.buffer(), delta, Weight.rows(weights, COLUMNS, WIDTH));
            results.put("gemm", logits.read());
          }
        });
    return results;
  }

  @Test
  void hostKernels_agreeWithTheEmulatedOnes() {
    for (DType dtype : DType.values()) {
      Seed seed = Seed.fresh();
      long value = seed.random().nextLong();
      Map<String, float[]> host = layer(TestDevices.software(), dtype, value);
      Map<String, float[]> emulated = layer(TestDevices.emulator(), dtype, value);
      // In norm: a few f32 roundings per term on either side, and where results are rounded to
      // bf16, those that fall on the other side of a rounding boundary, one ulp apart.
      double tolerance = 32 * Math.sqrt(WIDTH) * Numbers.F32_UNIT_ROUNDOFF;
      if (dtype == DType.BF16) {
        tolerance += KernelBench.unitRoundoff(dtype) / 4;
      }
      for (String operation : host.keySet()) {
        String what = operation + " " + dtype + ", " + seed;
        float[] expected = host.get(operation);
        if (operation.endsWith("exact")) {
          assertArrayEquals(expected, emulated.get(operation), what);
          continue;
        }
        var reference = new double[expected.length];
        for (int i = 0; i < expected.length; i++) {
          reference[i] = expected[i];
        }
        double allowed = tolerance;
        if (operation.equals("attention") && dtype == DType.BF16) {
          // Tensor cores take the weights rounded to bf16.
          allowed += KernelBench.unitRoundoff(dtype);
        }
        Numbers.assertRelativeNorm(reference, emulated.get(operation), allowed, what);
      }
    }
  }

  @Test
  void emulatedKernels_giveTheSameBits_underEverySchedule() {
    Seed seed = Seed.fresh();
    long value = seed.random().nextLong();
    SoftwareDevice.setEmulatorSeed(1);
    Map<String, float[]> first = layer(TestDevices.emulator(), DType.F32, value);
    for (int schedule = 2; schedule < 4; schedule++) {
      SoftwareDevice.setEmulatorSeed(seed.random().nextLong());
      Map<String, float[]> again = layer(TestDevices.emulator(), DType.F32, value);
      first.forEach((operation, bits) ->
          assertArrayEquals(bits, again.get(operation), operation + ", " + seed));
    }
  }

  @Test
  void selection_choosesTheSameTokens_onBothSoftwareDevices() {
    Seed seed = Seed.fresh();
    float[] logits = seed.normals(9 * COLUMNS, 3);
    var choices = new SelectCase.Choice[2][];
    DeviceSpec[] devices = {TestDevices.software(), TestDevices.emulator()};
    for (int d = 0; d < devices.length; d++) {
      var select = new SelectCase(new SpecialTokens(COLUMNS, 0, 1, 2), COLUMNS, 128);
      select.logits(logits);
      int index = d;
      KernelBench.on(devices[d], DType.F32, bench -> choices[index] = select.check(bench, seed));
    }
    for (int row = 0; row < choices[0].length; row++) {
      assertEquals(choices[0][row].candidate(), choices[1][row].candidate(), "row " + row);
    }
  }
}
