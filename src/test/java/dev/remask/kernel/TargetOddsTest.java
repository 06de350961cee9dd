package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.Arrays;
import java.util.function.Consumer;

class TargetOddsTest {
  private static final float NOTHING = Float.NEGATIVE_INFINITY;
  private static final float INFINITE = Float.POSITIVE_INFINITY;
  private static final SpecialTokens PLAIN = new SpecialTokens(8, 7, -1, -1);
  private static final SelectionState.Slot DEFAULTS = new SelectionState.Slot();

  /// Keys of targets in rows of logits, which may be followed by as many rows of a copy.
  private static float[] keys(
      KernelBench bench,
      float[] logits,
      int columns,
      SpecialTokens tokens,
      SelectionState.Slot slot,
      boolean guided,
      int... targets) {
    int rows = targets.length;
    var table = new Row[rows];
    for (int row = 0; row < rows; row++) {
      int copy = guided ? rows + row : -1;
      table[row] = new Row(0, row, 0, DiffusionState.RECONSIDER, copy, targets[row], row);
    }
    var keys = bench.poison(DType.F32, rows);
    var candidates = bench.ints(new int[rows]);
    bench
        .operations
        .targetOdds()
        .launch(
            bench.stream,
            new TargetOdds.Buffers(
                bench.floats(DType.F32, logits).buffer(),
                SelectionState.rows(bench, table),
                SelectionState.sequences(bench, slot),
                keys.buffer(),
                candidates.buffer()),
            rows,
            columns,
            tokens);
    float[] found = keys.read();
    int[] ids = candidates.read();
    for (int row = 0; row < rows; row++) {
      assertEquals(found[row] < 0 ? -1 : targets[row], ids[row], "candidate of row " + row);
    }
    return found;
  }

  private static void onDevice(DeviceSpec device, Consumer<KernelBench> body) {
    KernelBench.on(device, DType.F32, body);
  }

  /// log1p of the key is a likelihood: 1e-5 of it, whatever the vocabulary.
  @OnSoftwareDevices
  void odds_giveLikelihoodsTo1e5_atEveryVocabulary(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          for (int columns : new int[] {1, 7, 33, 500, 2048, 8191, 126_464}) {
            for (double deviation : new double[] {0.1, 3, 9}) {
              var tokens = new SpecialTokens(columns, columns - 1, -1, -1);
              int rows = columns > 10_000 ? 3 : 6;
              float[] logits = seed.normals(rows * columns, deviation);
              int[] targets = seed.ints(rows, columns);
              logits[targets[0]] = 25; // nearly certain: the key itself is the likelihood
              float[] keys = keys(bench, logits, columns, tokens, DEFAULTS, false, targets);
              for (int row = 0; row < rows; row++) {
                double sum = 0;
                for (int j = 0; j < columns; j++) {
                  if (j != targets[row]) {
                    sum +=
                        Math.exp(
                            (double) logits[row * columns + j]
                                - logits[row * columns + targets[row]]);
                  }
                }
                double expected = Math.log1p(sum);
                double error = Math.abs(Math.log1p(keys[row]) - expected);
                assertTrue(
                    error <= 1e-5 * expected,
                    "%d columns, row %d: %s, expected %s, %s"
                        .formatted(columns, row, Math.log1p(keys[row]), expected, seed));
              }
            }
          }
        });
  }

  @GpuTest
  void odds_giveLikelihoodsTo1e5_atEveryVocabulary_gpu(DeviceSpec gpu) {
    odds_giveLikelihoodsTo1e5_atEveryVocabulary(gpu);
  }

  /// Eighths and a guidance of 2.5 mix without rounding.
  @OnSoftwareDevices
  void odds_followGuidanceAndFlags_asTheSelectionDoes(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          for (int columns : new int[] {7, 33, 500, 1013}) {
            for (int flags = 0; flags < 4; flags++) {
              var tokens = new SpecialTokens(columns - 1, columns - 2, 1, 3);
              var slot = new SelectionState.Slot();
              slot.flags = flags;
              slot.guidance = 2.5f;
              int[] targets = {0, 1, 2, 3, columns - 1, columns - 2};
              int rows = targets.length;
              float[] logits = new float[2 * rows * columns];
              for (int i = 0; i < logits.length; i++) {
                logits[i] = seed.random().nextInt(-32, 33) / 8.0f;
              }
              logits[5] = Float.NaN;
              logits[rows * columns + 6] = Float.NaN;
              float[] keys = keys(bench, logits, columns, tokens, slot, true, targets);
              for (int row = 0; row < rows; row++) {
                double expected = reference(logits, row, rows, columns, tokens, slot, targets[row]);
                String what = "row %d, flags %d, %s".formatted(row, flags, seed);
                assertEquals(expected, keys[row], 1e-5 * expected, what);
              }
            }
          }
        });
  }

  @GpuTest
  void odds_followGuidanceAndFlags_asTheSelectionDoes_gpu(DeviceSpec gpu) {
    odds_followGuidanceAndFlags_asTheSelectionDoes(gpu);
  }

  private static double reference(
      float[] logits,
      int row,
      int rows,
      int columns,
      SpecialTokens tokens,
      SelectionState.Slot slot,
      int target) {
    boolean end = target == tokens.eos() || target == tokens.eot();
    boolean defer = (slot.flags & DiffusionState.DEFER_EOS) != 0 && !end;
    boolean suppress = (slot.flags & DiffusionState.SUPPRESS_EOS) != 0;
    var guided = new double[columns];
    for (int j = 0; j < columns; j++) {
      double base = logits[(rows + row) * columns + j];
      guided[j] = base + slot.guidance * (logits[row * columns + j] - base);
      boolean gone = suppress && j == tokens.eos();
      gone |= defer && (j == tokens.eos() || j == tokens.eot());
      if (gone || Double.isNaN(guided[j])) {
        guided[j] = Double.NEGATIVE_INFINITY;
      }
    }
    if (guided[target] == Double.NEGATIVE_INFINITY) {
      return Double.POSITIVE_INFINITY;
    }
    double sum = 0;
    for (int j = 0; j < columns; j++) {
      sum += j == target ? 0 : Math.exp(guided[j] - guided[target]);
    }
    return sum;
  }

  @OnSoftwareDevices
  void odds_ofTies_infinities_andWhatIsNotThere(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          float no = Float.NaN;
          float all = INFINITE;
          assertKey(bench, 7, 0, 1, 1, 1, 1, 1, 1, 1, 1);
          assertKey(bench, 0, 2, NOTHING, no, 3, no, no, no, NOTHING, NOTHING);
          assertKey(bench, INFINITE, 1, 0, NOTHING, 0, 0, 0, 0, 0, 0);
          assertKey(bench, INFINITE, 1, 0, no, 0, 0, 0, 0, 0, 0);
          assertKey(bench, 1, 3, 0, all, 0, all, 0, 0, no, NOTHING);
          assertKey(bench, Float.MAX_VALUE, 0, 0, all, 0, 0, 0, 0, 0, 0);
          assertKey(bench, Float.MAX_VALUE, 0, -100, 0, 0, 0, 0, 0, 0, 0);
          assertKey(bench, -1, 8, 0, 0, 0, 0, 0, 0, 0, 0);
          assertKey(bench, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0);
        });
  }

  @GpuTest
  void odds_ofTies_infinities_andWhatIsNotThere_gpu(DeviceSpec gpu) {
    odds_ofTies_infinities_andWhatIsNotThere(gpu);
  }

  private static void assertKey(KernelBench bench, float key, int target, float... logits) {
    float[] found = keys(bench, logits, 8, PLAIN, DEFAULTS, false, target);
    assertEquals(key, found[0], () -> target + " of " + Arrays.toString(logits));
  }

  /// What the selection wrote stays, and what it leaves out is filled in.
  @OnSoftwareDevices
  void odds_goBehindTheSelection(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          int columns = 65;
          var select = new SelectCase(new SpecialTokens(columns, 64, -1, -1), columns, 32);
          select.kinds.put(1, DiffusionState.RECONSIDER);
          select.kinds.put(2, DiffusionState.NOTHING);
          select.target = 9;
          select.logits(seed.normals(4 * columns, 2));
          SelectCase.Choice[] without = select.run(bench);
          select.reconsiders = true;
          SelectCase.Choice[] with = select.run(bench);
          assertEquals(without[0], with[0]);
          assertEquals(9, with[1].candidate());
          assertTrue(with[1].key() > 0, seed.toString());
          assertEquals(new SelectCase.Choice(-1, -1), with[2]);
          assertEquals(without[3], with[3]);
        });
  }

  @GpuTest
  void odds_goBehindTheSelection_gpu(DeviceSpec gpu) {
    odds_goBehindTheSelection(gpu);
  }
}
