package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.testing.Numbers;
import dev.remask.testing.Seed;
import java.util.HashMap;
import java.util.Map;

/// One sequence's selection: sets the device state up, launches, and computes the same in double.
final class SelectCase {
  /// Position of the first row.
  static final int BLOCK_BEGIN = 5;

  private static final float GUIDANCE = 2.5f;

  record Choice(int candidate, float key) {}

  private record Key(double value, double relativeBound) {}

  /// A row as the rules of selection see it: guided, suppressed and absent logits in place.
  private record Logits(double[] logits, double[] magnitudes) {}

  private final SpecialTokens tokens;
  private final int columns;
  private final int sliceWidth;
  private float[] logits;
  private int rows;
  int flags;
  RemaskingRule rule = RemaskingRule.LOW_CONFIDENCE;
  float temperature;
  boolean guided;
  int step = 11;
  long seed;

  /// Rows of another kind, by their index.
  final Map<Integer, Integer> kinds = new HashMap<>();

  /// A row's floor; null: none are given.
  float[] floors;

  int topK;
  float topP = 1;

  /// Launches the target's odds behind the selection.
  boolean reconsiders;

  int target = -1;

  SelectCase(SpecialTokens tokens, int columns, int sliceWidth) {
    this.tokens = tokens;
    this.columns = columns;
    this.sliceWidth = sliceWidth;
  }

  /// Rows of logits: the block's, then, with guidance, as many of the unconditional copy.
  void logits(float... values) {
    logits = values;
    rows = values.length / columns / (guided ? 2 : 1);
  }

  /// Launches and returns every row's choice.
  Choice[] run(KernelBench bench) {
    var slot = new SelectionState.Slot();
    slot.flags = flags;
    slot.guidance = GUIDANCE;
    slot.temperature = temperature;
    slot.seed = seed;
    slot.rule = rule;
    slot.topK = topK;
    slot.topP = topP;
    DeviceBuffer sequences = SelectionState.sequences(bench, slot);
    var table = new Row[rows];
    for (int row = 0; row < rows; row++) {
      int kind = kinds.getOrDefault(row, DiffusionState.CHOOSE);
      table[row] = new Row(0, BLOCK_BEGIN + row, step, kind, guided ? rows + row : -1, target, row);
    }
    DeviceBuffer rowTable = SelectionState.rows(bench, table);
    DeviceBuffer deviceLogits = bench.floats(DType.F32, logits).buffer();
    DeviceBuffer floorsOrNull = floors(bench, deviceLogits, rowTable, sequences);
    var candidates = bench.ints(new int[rows]);
    var keys = bench.poison(DType.F32, rows);
    int slices = Math.ceilDiv(columns, sliceWidth);
    int partialFloats = DiffusionState.PARTIAL_BYTES / Float.BYTES;
    var partials = bench.poison(DType.F32, rows * slices * partialFloats);
    bench
        .operations
        .maskedSelect()
        .launch(
            bench.stream,
            new MaskedSelect.Buffers(
                deviceLogits,
                rowTable,
                sequences,
                floorsOrNull,
                partials.buffer(),
                candidates.buffer(),
                keys.buffer()),
            rows,
            columns,
            tokens,
            sliceWidth);
    if (reconsiders) {
      var odds =
          new TargetOdds.Buffers(
              deviceLogits, rowTable, sequences, keys.buffer(), candidates.buffer());
      bench.operations.targetOdds().launch(bench.stream, odds, rows, columns, tokens);
    }
    int[] ids = candidates.read();
    float[] odds = keys.read();
    partials.read(); // its guards
    var choices = new Choice[rows];
    for (int row = 0; row < rows; row++) {
      choices[row] = new Choice(ids[row], odds[row]);
    }
    return choices;
  }

  /// The floors given, or those that top-k and top-p make.
  private DeviceBuffer floors(
      KernelBench bench, DeviceBuffer logits, DeviceBuffer rowTable, DeviceBuffer sequences) {
    if (floors != null) {
      return bench.floats(DType.F32, floors).buffer();
    }
    if (topK == 0 && topP == 1) {
      return null;
    }
    DeviceBuffer made = bench.poison(DType.F32, rows).buffer();
    bench
        .operations
        .restrictTokens()
        .launch(
            bench.stream,
            new RestrictTokens.Buffers(logits, rowTable, sequences, made),
            rows,
            columns,
            tokens);
    return made;
  }

  /// Launches, compares every row with the reference, and returns the choices.
  Choice[] check(KernelBench bench, Seed random) {
    Choice[] choices = run(bench);
    for (int row = 0; row < rows; row++) {
      Choice actual = choices[row];
      String what =
          "row %d of %d, %s, %d columns in slices of %d, flags %d, guided %b, %s, temperature %s, %s"
              .formatted(
                  row, rows, tokens, columns, sliceWidth, flags, guided, rule, temperature, random);
      check(row, actual, what);
    }
    return choices;
  }

  private void check(int index, Choice actual, String what) {
    boolean selectable = !kinds.containsKey(index);
    Logits row = row(index);
    int expected = selectable ? candidate(row, index, actual.candidate) : -1;
    assertEquals(expected, actual.candidate, what);
    if (expected < 0) {
      assertEquals(-1, actual.key, what);
      return;
    }
    if ((flags & DiffusionState.DEFER_EOS) != 0 && isEnd(expected)) {
      assertEquals(Float.POSITIVE_INFINITY, actual.key, what);
      return;
    }
    Key key = key(row, index, expected);
    if (key.value > Float.MAX_VALUE) {
      assertEquals(Float.MAX_VALUE, actual.key, what);
      return;
    }
    double error = Math.abs(actual.key - key.value);
    assertTrue(
        error <= key.relativeBound * Math.abs(key.value) + Float.MIN_VALUE,
        () -> what + ": key " + actual.key + ", expected " + key.value);
  }

  private Logits row(int index) {
    var values = new double[columns];
    var magnitudes = new double[columns];
    for (int j = 0; j < columns; j++) {
      double value = logits[index * columns + j];
      magnitudes[j] = Math.abs(value);
      if (guided) {
        double base = logits[(rows + index) * columns + j];
        magnitudes[j] = Math.abs(base) + 3 * GUIDANCE * Math.abs(value - base);
        value = base + GUIDANCE * (value - base);
      }
      boolean absent = (flags & DiffusionState.SUPPRESS_EOS) != 0 && j == tokens.eos();
      values[j] = absent || Double.isNaN(value) ? Double.NEGATIVE_INFINITY : value;
    }
    return new Logits(values, magnitudes);
  }

  /// The id to choose, or `actual` where f32 cannot tell the two apart: an id's noisy logit is off
  /// by the roundings of its sum and of the noise, two logarithms of 2 ulp each.
  private int candidate(Logits row, int index, int actual) {
    int best = -1;
    double most = Double.NEGATIVE_INFINITY;
    double bestError = 0;
    double actualValue = Double.NEGATIVE_INFINITY;
    double actualError = 0;
    for (int id = 0; id < tokens.vocabulary(); id++) {
      double value = row.logits[id];
      if (id == tokens.mask() || value == Double.NEGATIVE_INFINITY) {
        continue;
      }
      if (temperature > 0 && floors != null && value < floors[index]) {
        continue;
      }
      double error = 0;
      if (temperature > 0) {
        double noise = gumbel(seed, step, BLOCK_BEGIN + index, id);
        value += temperature * noise;
        error =
            (2 * row.magnitudes[id] + temperature * (12 + 4 * Math.abs(noise)))
                * Numbers.F32_UNIT_ROUNDOFF;
      }
      if (value > most) {
        best = id;
        most = value;
        bestError = error;
      }
      if (id == actual) {
        actualValue = value;
        actualError = error;
      }
    }
    return temperature > 0 && actualValue >= most - bestError - actualError ? actual : best;
  }

  private Key key(Logits row, int index, int chosen) {
    if (rule == RemaskingRule.RANDOM_ORDER) {
      return new Key(randomKey(seed, step, BLOCK_BEGIN + index), 0);
    }
    boolean defer = (flags & DiffusionState.DEFER_EOS) != 0;
    double top = Double.NEGATIVE_INFINITY;
    double first = Double.NEGATIVE_INFINITY;
    double second = Double.NEGATIVE_INFINITY;
    for (int j = 0; j < columns; j++) {
      if (defer && isEnd(j)) {
        continue;
      }
      double value = row.logits[j];
      top = Math.max(top, value);
      if (j < tokens.vocabulary() && j != tokens.mask()) {
        second = Math.max(second, Math.min(first, value));
        first = Math.max(first, value);
      }
    }
    // What the sum is in units of, and what it leaves out: the candidate, the margin's leader, for
    // the entropy a largest column.
    double reference =
        switch (rule) {
          case LOW_CONFIDENCE -> row.logits[chosen];
          case MARGIN -> first;
          default -> top;
        };
    double against = 0;
    double mean = 0;
    double widest = 0;
    double magnitude = 0;
    boolean own = false;
    for (int j = 0; j < columns; j++) {
      double value = row.logits[j];
      if (defer && isEnd(j) || value == Double.NEGATIVE_INFINITY) {
        continue;
      }
      widest = Math.max(widest, top - value);
      magnitude = Math.max(magnitude, guided ? row.magnitudes[j] : 0);
      double weight = Math.exp(value - reference);
      mean += weight * (top - value);
      if (!own && (rule == RemaskingRule.LOW_CONFIDENCE ? j == chosen : value == reference)) {
        own = true;
      } else {
        against += weight;
      }
    }
    // Every exp is off by its 4 ulp and by the rounding of its argument, `widest` ulp at most, and
    // so is every rescaling, of which a column's term sees one per slice. Adding `columns` terms in
    // any order adds one rounding each. Where the reference is not the largest column, its share is
    // divided by; the margin subtracts two shares, whose logits may be wrong by the guidance's
    // rounding, entropy adds its parts: all below three times that.
    int slices = Math.ceilDiv(columns, sliceWidth);
    double relative =
        3 * ((4 + widest) * (12 + slices + columns / 256.0) + columns) * Numbers.F32_UNIT_ROUNDOFF;
    return switch (rule) {
      case LOW_CONFIDENCE -> new Key(against, relative);
      case MARGIN -> {
        if (first == second) {
          yield new Key(Double.POSITIVE_INFINITY, 0);
        }
        // A row's two largest are exact, but for the guidance's rounding, which a small lead shows.
        double lead = -Math.expm1(second - first);
        double mixing = 4 * magnitude * Numbers.F32_UNIT_ROUNDOFF / lead;
        yield new Key((against + Math.exp(second - first)) / lead, relative + mixing);
      }
      case ENTROPY -> {
        double entropy = Math.log1p(against) + mean / (1 + against);
        yield new Key(Math.expm1(entropy), relative * (1 + entropy));
      }
      case RANDOM_ORDER -> throw new AssertionError();
    };
  }

  private boolean isEnd(int id) {
    return id == tokens.eos() || id == tokens.eot();
  }

  /// The key of random remasking, as documented: odds (1 − u) / u of a 24-bit uniform draw.
  static float randomKey(long seed, int step, int position) {
    int word = philox(step, position, 0, 1, (int) seed, (int) (seed >>> 32))[0];
    double u = ((word >>> 8) + 0.5) * 0x1p-24;
    return (float) ((1 - u) / u);
  }

  /// The noise of temperature, as documented in kernels/include/gumbel.h.
  static double gumbel(long seed, int step, int position, int id) {
    int word = philox(step, position, id / 4, 2, (int) seed, (int) (seed >>> 32))[id % 4];
    return -Math.log(-Math.log(Math.max((word >>> 8) * 0x1p-24, 0x1p-25)));
  }

  /// Philox4x32-10 of a counter of four words and a key of two.
  static int[] philox(int c0, int c1, int c2, int c3, int k0, int k1) {
    int[] c = {c0, c1, c2, c3};
    for (int round = 0; round < 10; round++) {
      long product0 = 0xD2511F53L * Integer.toUnsignedLong(c[0]);
      long product1 = 0xCD9E8D57L * Integer.toUnsignedLong(c[2]);
      c =
          new int[] {
            (int) (product1 >>> 32) ^ c[1] ^ k0,
            (int) product1,
            (int) (product0 >>> 32) ^ c[3] ^ k1,
            (int) product0
          };
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    return c;
  }
}
