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

class RestrictTokensTest {
  private static final float NOTHING = Float.NEGATIVE_INFINITY;

  private static void onDevice(DeviceSpec device, Consumer<KernelBench> body) {
    KernelBench.on(device, DType.F32, body);
  }

  private static SelectionState.Slot slot(float temperature, int topK, float topP) {
    var slot = new SelectionState.Slot();
    slot.temperature = temperature;
    slot.topK = topK;
    slot.topP = topP;
    slot.guidance = 2.5f;
    return slot;
  }

  /// Floors of rows that each have their own sequence; `guided`: a copy's rows follow.
  private static float[] floors(
      KernelBench bench,
      float[] logits,
      int columns,
      SpecialTokens tokens,
      boolean guided,
      SelectionState.Slot... slots) {
    int rows = slots.length;
    var table = new Row[rows];
    for (int row = 0; row < rows; row++) {
      int copy = guided ? rows + row : -1;
      table[row] = new Row(row, row, 0, DiffusionState.CHOOSE, copy, -1, 0);
    }
    return floors(bench, logits, columns, tokens, table, slots);
  }

  private static float[] floors(
      KernelBench bench,
      float[] logits,
      int columns,
      SpecialTokens tokens,
      Row[] table,
      SelectionState.Slot... slots) {
    var floors = bench.poison(DType.F32, table.length);
    bench
        .operations
        .restrictTokens()
        .launch(
            bench.stream,
            new RestrictTokens.Buffers(
                bench.floats(DType.F32, logits).buffer(),
                SelectionState.rows(bench, table),
                SelectionState.sequences(bench, slots),
                floors.buffer()),
            table.length,
            columns,
            tokens);
    return floors.read();
  }

  /// A row's choosable logits, largest first.
  private static double[] sorted(
      float[] logits, int row, int rows, int columns, SpecialTokens tokens, boolean guided) {
    return java.util.stream.IntStream.range(0, tokens.vocabulary())
        .filter(id -> id != tokens.mask())
        .mapToDouble(id -> {
          double x = logits[row * columns + id];
          if (guided) {
            double base = logits[(rows + row) * columns + id];
            x = base + 2.5 * (x - base);
          }
          return Double.isNaN(x) ? NOTHING : -x;
        })
        .filter(x -> x != NOTHING && x != Double.POSITIVE_INFINITY)
        .sorted()
        .map(x -> -x)
        .toArray();
  }

  private static void check(
      double[] sorted, SelectionState.Slot slot, float floor, int columns, String what) {
    double least = NOTHING;
    if (slot.topK > 0 && slot.topK <= sorted.length) {
      least = sorted[slot.topK - 1];
    }
    if (slot.topP >= 1) {
      assertEquals(least, floor, what);
      return;
    }
    double all = 0;
    double above = 0;
    double with = 0;
    for (double x : sorted) {
      double weight = Math.exp((x - sorted[0]) / slot.temperature);
      all += x >= least ? weight : 0;
      above += x > floor ? weight : 0;
      with += x >= floor ? weight : 0;
    }
    // A weight is off by its exp's 2 ulp, by its argument's rounding and by the 2^-40 cut off.
    double reach = Math.min(60, (sorted[0] - sorted[sorted.length - 1]) / slot.temperature);
    double error = all * (8 + 3 * reach) * 0x1p-24 + columns * 0x1p-40;
    double wanted = (double) slot.topP * all;
    assertTrue(Arrays.stream(sorted).anyMatch(x -> x == floor), what + ": a logit, " + floor);
    assertTrue(floor >= least, what + ": below top-k's");
    assertTrue(floor == sorted[0] || above <= wanted + error, what + ": too low, " + floor);
    assertTrue(with >= wanted - error, what + ": too high, " + floor);
  }

  @OnSoftwareDevices
  void floors_matchDoubleReference_atEveryVocabulary(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          for (int columns : new int[] {1, 7, 33, 500, 2048, 8191, 126_464}) {
            var tokens = new SpecialTokens(Math.max(1, columns - 2), columns - 1, -1, -1);
            SelectionState.Slot[] slots = {
              slot(1, 1, 1),
              slot(1, 50, 1),
              slot(0.3f, columns / 2 + 1, 1),
              slot(1, 0, 0.9f),
              slot(2.5f, 0, 0.999f),
              slot(0.7f, 40, 0.8f),
              slot(1, columns + 5, 0.5f),
              slot(1e-6f, 0, 0.5f),
              slot(1, 0, 0)
            };
            for (double deviation : new double[] {0.2, 4}) {
              float[] logits = seed.normals(slots.length * columns, deviation);
              logits[0] = 30;
              for (int i = 1; i < logits.length; i += 97) {
                logits[i] = i % 2 == 0 ? NOTHING : Float.NaN;
              }
              float[] floors = floors(bench, logits, columns, tokens, false, slots);
              for (int row = 0; row < slots.length; row++) {
                double[] sorted = sorted(logits, row, slots.length, columns, tokens, false);
                String what =
                    "row %d of %d columns, deviation %s, %s"
                        .formatted(row, columns, deviation, seed);
                if (sorted.length == 0) {
                  assertEquals(NOTHING, floors[row], what);
                } else {
                  check(sorted, slots[row], floors[row], columns, what);
                }
              }
            }
          }
        });
  }

  @GpuTest
  void floors_matchDoubleReference_atEveryVocabulary_gpu(DeviceSpec gpu) {
    floors_matchDoubleReference_atEveryVocabulary(gpu);
  }

  /// Eighths and a guidance of 2.5 mix without rounding, and tie.
  @OnSoftwareDevices
  void floors_areOfGuidedLogits_andKeepTiesTogether(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          int columns = 333;
          var tokens = new SpecialTokens(columns, 3, -1, -1);
          SelectionState.Slot[] slots = {
            slot(1, 3, 1), slot(1, 100, 1), slot(2, 0, 0.6f), slot(1, 20, 0.9f)
          };
          float[] logits = new float[2 * slots.length * columns];
          for (int i = 0; i < logits.length; i++) {
            logits[i] = seed.random().nextInt(-16, 17) / 8.0f;
          }
          float[] floors = floors(bench, logits, columns, tokens, true, slots);
          for (int row = 0; row < slots.length; row++) {
            double[] sorted = sorted(logits, row, slots.length, columns, tokens, true);
            check(sorted, slots[row], floors[row], columns, "row " + row + ", " + seed);
          }
        });
  }

  @GpuTest
  void floors_areOfGuidedLogits_andKeepTiesTogether_gpu(DeviceSpec gpu) {
    floors_areOfGuidedLogits_andKeepTiesTogether(gpu);
  }

  @OnSoftwareDevices
  void floors_ofSmallRows(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          float all = Float.POSITIVE_INFINITY;
          assertFloor(bench, 3, 2, 1, 0, 5, 3, 1, NOTHING, 2);
          assertFloor(bench, 3, 3, 1, 0, 5, 3, 3, NOTHING, 3);
          assertFloor(bench, 0, 4, 1, -0.0f, 5, 3, 1, NOTHING, 0);
          assertFloor(bench, NOTHING, 9, 1, 0, 5, 3, 1, NOTHING, 2);
          assertFloor(bench, -3, 2, 1, -3, -5, -4, -1, NOTHING, -7);
          assertFloor(bench, all, 2, 1, all, 5, all, 3, 1, 2);
          assertFloor(bench, all, 0, 0.99f, all, 5, all, 3, 1, 2);
          assertFloor(
              bench, NOTHING, 2, 0.5f, Float.NaN, NOTHING, Float.NaN, NOTHING, NOTHING, NOTHING);
          // Shares 8/15, 4/15, 2/15, 1/15.
          float ln2 = (float) Math.log(2);
          assertFloor(bench, 3 * ln2, 0, 0.5f, 0, ln2, 2 * ln2, 3 * ln2, NOTHING, NOTHING);
          assertFloor(bench, 2 * ln2, 0, 0.55f, 0, ln2, 2 * ln2, 3 * ln2, NOTHING, NOTHING);
          assertFloor(bench, ln2, 0, 0.85f, 0, ln2, 2 * ln2, 3 * ln2, NOTHING, NOTHING);
          assertFloor(bench, 0, 0, 0.95f, 0, ln2, 2 * ln2, 3 * ln2, NOTHING, NOTHING);
          // Of 12 of 15 left by top-k, 8 are two thirds.
          assertFloor(bench, 3 * ln2, 2, 0.6f, 0, ln2, 2 * ln2, 3 * ln2, NOTHING, NOTHING);
          assertFloor(bench, 2 * ln2, 2, 0.7f, 0, ln2, 2 * ln2, 3 * ln2, NOTHING, NOTHING);
        });
  }

  @GpuTest
  void floors_ofSmallRows_gpu(DeviceSpec gpu) {
    floors_ofSmallRows(gpu);
  }

  private static void assertFloor(
      KernelBench bench, float floor, int topK, float topP, float... logits) {
    // Two more columns that may not be chosen: the mask and one beyond the vocabulary.
    float[] row = Arrays.copyOf(logits, 8);
    row[6] = 50;
    row[7] = 60;
    var tokens = new SpecialTokens(7, 6, -1, -1);
    float[] floors = floors(bench, row, 8, tokens, false, slot(1, topK, topP));
    assertEquals(
        floor, floors[0], () -> "top " + topK + ", " + topP + " of " + Arrays.toString(logits));
  }

  @OnSoftwareDevices
  void floors_areMinusInfinity_whereNothingIsRestricted(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          var tokens = new SpecialTokens(8, 7, 2, -1);
          var suppressed = slot(1, 1, 1);
          suppressed.flags = DiffusionState.SUPPRESS_EOS;
          SelectionState.Slot[] slots = {
            slot(0, 3, 0.5f), slot(1, 0, 1), slot(1, 2, 1), slot(1, 2, 1), suppressed
          };
          Row[] table = {
            new Row(0, 0, 0, DiffusionState.CHOOSE, -1, -1, 0),
            new Row(1, 0, 0, DiffusionState.CHOOSE, -1, -1, 0),
            Row.nothing(2),
            new Row(3, 0, 0, DiffusionState.RECONSIDER, -1, 4, 0),
            new Row(4, 0, 0, DiffusionState.CHOOSE, -1, -1, 0)
          };
          float[] logits = new float[5 * 8];
          for (int i = 0; i < logits.length; i++) {
            logits[i] = i % 8 == 2 ? 9 : i % 8;
          }
          float[] floors = floors(bench, logits, 8, tokens, table, slots);
          float[] expected = {NOTHING, NOTHING, NOTHING, NOTHING, 6};
          assertEquals(Arrays.toString(expected), Arrays.toString(floors));
        });
  }

  @GpuTest
  void floors_areMinusInfinity_whereNothingIsRestricted_gpu(DeviceSpec gpu) {
    floors_areMinusInfinity_whereNothingIsRestricted(gpu);
  }
}
