package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.testing.ChiSquared;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.util.Arrays;
import java.util.function.Consumer;

/// Whether draws follow the softmax, with top-k and top-p too, and what they depend on.
///
/// Draws are those of a fixed seed, so that a build does not fail once in ten thousand runs;
/// `-Dremask.test.draws=fresh` takes new ones, and `-Dremask.test.draws=123` repeats some. Every
/// p-value goes to the log.
class SamplingTest {
  private static final System.Logger LOG = System.getLogger(SamplingTest.class.getName());
  private static final String DRAWS = "remask.test.draws";
  private static final long FIXED = 20_261_123;

  /// A right kernel fails at fresh draws as often as this, for each p-value.
  private static final double SIGNIFICANCE = 1e-6;

  private static final int COLUMNS = 40;
  private static final SpecialTokens TOKENS = new SpecialTokens(38, 5, 11, 12);

  private static Seed draws() {
    String given = System.getProperty(DRAWS);
    if (given == null) {
      return Seed.of(FIXED);
    }
    return given.equals("fresh") ? Seed.of(System.nanoTime()) : Seed.of(Long.parseLong(given));
  }

  private static void onDevice(DeviceSpec device, Consumer<KernelBench> body) {
    KernelBench.on(device, DType.F32, body);
  }

  /// What a test draws from and how.
  private record Setting(float temperature, int topK, float topP, int flags, boolean guided) {}

  @OnSoftwareDevices
  void draws_followTheSoftmax_alsoOfWhatTopKAndTopPLeave(DeviceSpec device) {
    Seed seed = draws();
    Setting[] settings = {
      new Setting(0.3f, 0, 1, 0, false),
      new Setting(0.7f, 0, 1, DiffusionState.SUPPRESS_EOS, false),
      new Setting(1, 0, 1, DiffusionState.DEFER_EOS, true),
      new Setting(1.6f, 0, 1, 0, false),
      new Setting(1, 6, 1, 0, false),
      new Setting(1.6f, 0, 0.8f, 0, false),
      new Setting(0.7f, 9, 0.95f, 0, true),
      new Setting(3, 20, 0.6f, DiffusionState.SUPPRESS_EOS, false)
    };
    onDevice(
        device,
        bench -> {
          for (Setting setting : settings) {
            check(bench, device, setting, seed);
          }
        });
  }

  @GpuTest
  void draws_followTheSoftmax_alsoOfWhatTopKAndTopPLeave_gpu(DeviceSpec gpu) {
    draws_followTheSoftmax_alsoOfWhatTopKAndTopPLeave(gpu);
  }

  private static void check(KernelBench bench, DeviceSpec device, Setting setting, Seed seed) {
    boolean emulated = device.equals(TestDevices.emulator());
    int rows = emulated ? 200 : 2000; // there 512 threads a row take their time
    int steps = emulated ? 2 : 6;
    // Eighths and a guidance of 2.5 mix without rounding.
    float[] row = new float[COLUMNS];
    float[] copy = new float[COLUMNS];
    for (int id = 0; id < COLUMNS; id++) {
      row[id] = Math.round(seed.normals(1, 1.2)[0] * 8) / 8.0f;
      copy[id] = row[id] - seed.random().nextInt(-3, 4) / 8.0f;
    }
    row[9] = Float.NaN;
    var select = new SelectCase(TOKENS, COLUMNS, 16);
    select.guided = setting.guided;
    select.temperature = setting.temperature;
    select.topK = setting.topK;
    select.topP = setting.topP;
    select.flags = setting.flags;
    select.seed = seed.random().nextLong();
    float[] logits = new float[rows * COLUMNS * (setting.guided ? 2 : 1)];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (i < rows * COLUMNS ? row : copy)[i % COLUMNS];
    }
    select.logits(logits);
    var counts = new long[COLUMNS];
    for (int step = 0; step < steps; step++) {
      select.step = step;
      for (SelectCase.Choice choice : select.run(bench)) {
        counts[choice.candidate()]++;
      }
    }
    double[] expected = shares(row, copy, setting);
    double p = ChiSquared.pValue(counts, expected);
    String what = "%s on %s, %s: p = %.4g".formatted(setting, device, seed, p);
    LOG.log(System.Logger.Level.INFO, what);
    assertTrue(p > SIGNIFICANCE, what + ", counts " + Arrays.toString(counts));
  }

  /// The probability of every id.
  private static double[] shares(float[] row, float[] copy, Setting setting) {
    var weights = new double[COLUMNS];
    for (int id = 0; id < TOKENS.vocabulary(); id++) {
      boolean suppressed = (setting.flags & DiffusionState.SUPPRESS_EOS) != 0 && id == TOKENS.eos();
      double x = setting.guided ? copy[id] + 2.5 * (row[id] - copy[id]) : row[id];
      boolean there = id != TOKENS.mask() && !suppressed && !Double.isNaN(x);
      weights[id] = there ? Math.exp(x / setting.temperature) : 0;
    }
    double[] sorted = Arrays.stream(weights).sorted().toArray();
    if (setting.topK > 0) {
      cut(weights, sorted[COLUMNS - setting.topK]);
    }
    if (setting.topP < 1) {
      double wanted = setting.topP * Arrays.stream(weights).sum();
      double[] left = Arrays.stream(weights).sorted().toArray();
      double above = 0;
      int at = COLUMNS;
      while (above < wanted) {
        above += left[--at];
      }
      cut(weights, left[at]);
    }
    double all = Arrays.stream(weights).sum();
    return Arrays.stream(weights).map(weight -> weight / all).toArray();
  }

  private static void cut(double[] weights, double least) {
    for (int id = 0; id < weights.length; id++) {
      weights[id] = weights[id] < least ? 0 : weights[id];
    }
  }

  /// A row's candidate and key are its own: order, neighbours, its sequence's slot and the rows'
  /// number have no say in them.
  @OnSoftwareDevices
  void draws_areTheSame_whateverTheBatchAndItsOrder(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          int columns = 1013;
          int rows = 24;
          float[] logits = seed.normals(rows * columns, 2);
          var slots = new SelectionState.Slot[rows];
          for (int i = 0; i < rows; i++) {
            slots[i] = new SelectionState.Slot();
            slots[i].temperature = seed.random().nextInt(1, 20) / 8.0f;
            slots[i].seed = seed.random().nextLong();
            slots[i].rule = RemaskingRule.values()[i % 4];
            slots[i].topK = i % 3 == 0 ? 40 : 0;
            slots[i].topP = i % 5 == 0 ? 0.9f : 1;
          }
          int[] order = java.util.stream.IntStream.range(0, rows).toArray();
          SelectCase.Choice[] first = run(bench, logits, columns, slots, order);
          for (int round = 0; round < 4; round++) {
            int[] shuffled = order.clone();
            for (int i = rows - 1; i > 0; i--) {
              int other = seed.random().nextInt(i + 1);
              int held = shuffled[i];
              shuffled[i] = shuffled[other];
              shuffled[other] = held;
            }
            int[] some = Arrays.copyOf(shuffled, seed.random().nextInt(1, rows + 1));
            SelectCase.Choice[] again = run(bench, logits, columns, slots, some);
            for (int i = 0; i < some.length; i++) {
              assertEquals(first[some[i]], again[i], "row " + some[i] + ", " + seed);
            }
          }
        });
  }

  @GpuTest
  void draws_areTheSame_whateverTheBatchAndItsOrder_gpu(DeviceSpec gpu) {
    draws_areTheSame_whateverTheBatchAndItsOrder(gpu);
  }

  /// Selects for the rows named, each of its own sequence, in that order.
  private static SelectCase.Choice[] run(
      KernelBench bench, float[] logits, int columns, SelectionState.Slot[] slots, int[] order) {
    int rows = order.length;
    float[] picked = new float[rows * columns];
    var table = new Row[rows];
    var sequences = new SelectionState.Slot[rows];
    for (int i = 0; i < rows; i++) {
      System.arraycopy(logits, order[i] * columns, picked, i * columns, columns);
      int slot = rows - 1 - i;
      table[i] = new Row(slot, order[i] + 7, 5, DiffusionState.CHOOSE, -1, -1, 0);
      sequences[slot] = slots[order[i]];
    }
    var tokens = new SpecialTokens(columns, 3, -1, -1);
    DeviceBuffer device = bench.floats(DType.F32, picked).buffer();
    DeviceBuffer rowTable = SelectionState.rows(bench, table);
    DeviceBuffer slotTable = SelectionState.sequences(bench, sequences);
    var floors = bench.poison(DType.F32, rows);
    var restrict = new RestrictTokens.Buffers(device, rowTable, slotTable, floors.buffer());
    bench.operations.restrictTokens().launch(bench.stream, restrict, rows, columns, tokens);
    int partialFloats = (int) (MaskedSelect.partialBytes(rows, columns) / Float.BYTES);
    var candidates = bench.ints(new int[rows]);
    var keys = bench.poison(DType.F32, rows);
    var select =
        new MaskedSelect.Buffers(
            device,
            rowTable,
            slotTable,
            floors.buffer(),
            bench.poison(DType.F32, partialFloats).buffer(),
            candidates.buffer(),
            keys.buffer());
    bench.operations.maskedSelect().launch(bench.stream, select, rows, columns, tokens);
    int[] ids = candidates.read();
    float[] odds = keys.read();
    var choices = new SelectCase.Choice[rows];
    for (int i = 0; i < rows; i++) {
      choices[i] = new SelectCase.Choice(ids[i], odds[i]);
    }
    return choices;
  }
}
