package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.kernel.DiffusionState.PlanEntry;
import dev.remask.kernel.DiffusionState.Sequence;
import dev.remask.testing.Numbers;
import dev.remask.testing.Seed;
import java.util.Arrays;

/// One sequence's selection: sets the device state up, launches, and computes the same in double.
final class SelectCase {
  /// First position of the block in the sequence's canvas.
  static final int BLOCK_BEGIN = 5;

  /// Where the canvas begins in the packed batch.
  private static final int CANVAS_BEGIN = 3;

  private static final float GUIDANCE = 2.5f;

  record Choice(int candidate, float key) {}

  private record Reference(int candidate, double key, double relativeBound) {}

  private final SpecialTokens tokens;
  private final int columns;
  private final int sliceWidth;
  private float[] logits;
  private int rows;
  int flags;
  boolean guided;
  boolean done;
  int step = 11;
  long seed;
  int[] committed = {};

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
    int length = BLOCK_BEGIN + rows + 1;
    int[] canvas = new int[CANVAS_BEGIN + length];
    Arrays.fill(canvas, tokens.mask());
    for (int row : committed) {
      canvas[CANVAS_BEGIN + BLOCK_BEGIN + row] = tokens.mask() + 1;
    }
    var sequence =
        new Sequence(
            CANVAS_BEGIN,
            guided ? CANVAS_BEGIN + length : -1,
            0,
            guided ? rows : -1,
            rows,
            done ? 1 : 0,
            1,
            flags,
            GUIDANCE,
            seed);
    var candidates = bench.ints(new int[rows]);
    var keys = bench.poison(DType.F32, rows);
    int slices = Math.ceilDiv(columns, sliceWidth);
    var partials = bench.poison(DType.F32, rows * slices * 4);
    bench
        .operations
        .maskedSelect()
        .launch(
            bench.stream,
            new MaskedSelect.Buffers(
                bench.floats(DType.F32, logits).buffer(),
                bench.sequences(sequence).buffer(),
                bench.plan(new PlanEntry(BLOCK_BEGIN, 1, step)),
                bench.ints(new int[rows]).buffer(),
                bench.ints(canvas).buffer(),
                partials.buffer(),
                candidates.buffer(),
                keys.buffer()),
            rows,
            columns,
            tokens,
            sliceWidth);
    int[] ids = candidates.read();
    float[] odds = keys.read();
    partials.read(); // its guards
    var choices = new Choice[rows];
    for (int row = 0; row < rows; row++) {
      choices[row] = new Choice(ids[row], odds[row]);
    }
    return choices;
  }

  /// Launches, compares every row with the reference, and returns the choices.
  Choice[] check(KernelBench bench, Seed random) {
    Choice[] choices = run(bench);
    for (int row = 0; row < rows; row++) {
      Reference expected = reference(row);
      Choice actual = choices[row];
      String what =
          "row %d of %d, %s, %d columns in slices of %d, flags %d, guided %b, %s"
              .formatted(row, rows, tokens, columns, sliceWidth, flags, guided, random);
      assertEquals(expected.candidate, actual.candidate, what);
      if (expected.key == Double.POSITIVE_INFINITY) {
        assertEquals(Float.POSITIVE_INFINITY, actual.key, what);
        continue;
      }
      double error = Math.abs(actual.key - expected.key);
      assertTrue(
          error <= expected.relativeBound * Math.abs(expected.key),
          () -> what + ": key " + actual.key + ", expected " + expected.key);
    }
    return choices;
  }

  private Reference reference(int row) {
    boolean selectable = !done && Arrays.stream(committed).noneMatch(r -> r == row);
    if (!selectable) {
      return new Reference(-1, -1, 0);
    }
    boolean defer = (flags & DiffusionState.DEFER_EOS) != 0;
    var values = new double[columns];
    int best = -1;
    int top = -1;
    for (int j = 0; j < columns; j++) {
      double value = logits[row * columns + j];
      if (guided) {
        double base = logits[(rows + row) * columns + j];
        value = base + GUIDANCE * (value - base);
      }
      if ((flags & DiffusionState.SUPPRESS_EOS) != 0 && j == tokens.eos()) {
        value = Double.NEGATIVE_INFINITY;
      }
      boolean candidate = j < tokens.vocabulary() && j != tokens.mask();
      if (candidate && value > (best < 0 ? Double.NEGATIVE_INFINITY : values[best])) {
        best = j;
      }
      values[j] = value;
      if (!(defer && isEnd(j)) && (top < 0 || value > values[top])) {
        top = j;
      }
    }
    if (best < 0) {
      return new Reference(-1, -1, 0);
    }
    if (defer && isEnd(best)) {
      return new Reference(best, Double.POSITIVE_INFINITY, 0);
    }
    if ((flags & DiffusionState.RANDOM_REMASKING) != 0) {
      return new Reference(best, randomKey(seed, step, BLOCK_BEGIN + row), 0);
    }
    // Odds without the candidate's own term: the sum of what speaks against it.
    double against = 0;
    double widest = 0;
    for (int j = 0; j < columns; j++) {
      if (j != best && !(defer && isEnd(j))) {
        against += Math.exp(values[j] - values[best]);
        if (values[j] != Double.NEGATIVE_INFINITY) {
          widest = Math.max(widest, values[top] - values[j]);
        }
      }
    }
    // Every exp is off by its 4 ulp and by the rounding of its argument, `widest` ulp at most, and
    // so is every rescaling, of which a column's term sees one per merge: a thread's few, 8 in the
    // CTA, one per slice. Adding `columns` terms in any order adds one rounding each. Where the
    // candidate is not the largest column, its share is divided by: three times that.
    int slices = Math.ceilDiv(columns, sliceWidth);
    double relative = (4 + widest) * (12 + slices + columns / 256.0) + columns;
    return new Reference(best, against, 3 * relative * Numbers.F32_UNIT_ROUNDOFF);
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
