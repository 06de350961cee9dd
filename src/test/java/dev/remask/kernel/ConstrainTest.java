package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.testing.AbiTable;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ConstrainTest {
  private static final float NOTHING = Float.NEGATIVE_INFINITY;
  private static final int MASK = 6;

  private record Entry(int position, int kind, int begin, int count) {
    IntStream ints() {
      return IntStream.of(position, kind, begin, count);
    }
  }

  private static void onDevice(DeviceSpec device, Consumer<KernelBench> body) {
    KernelBench.on(device, DType.F32, body);
  }

  /// One sequence: its canvas, the positions of its masks, its rows and its constraints.
  private static final class Request {
    final int columns;
    int[] canvas = {0, 1, MASK, MASK, MASK};
    int[] masks = {2, 3, 4};
    boolean guided;
    final List<Row> rows = new ArrayList<>();
    final List<Entry> entries = new ArrayList<>();
    final List<Integer> data = new ArrayList<>();
    float[] logits;

    Request(int columns) {
      this.columns = columns;
    }

    void row(int mask, int kind) {
      rows.add(new Row(0, masks[mask], 0, kind, -1, -1, mask));
    }

    void add(int position, int kind, int count, int... words) {
      entries.add(new Entry(position, kind, data.size(), count));
      Arrays.stream(words).forEach(data::add);
    }

    /// The logits after the launch; the canvas is not at the begin of its arena.
    float[] run(KernelBench bench) {
      int skipped = 3;
      var slot = new SelectionState.Slot();
      slot.canvasBegin = skipped;
      slot.maskCount = masks.length;
      slot.constraintBegin = 1;
      slot.constraintCount = entries.size();
      var table = new Row[rows.size()];
      for (int i = 0; i < table.length; i++) {
        Row row = rows.get(i);
        int copy = guided ? table.length + i : -1;
        table[i] = new Row(0, row.position(), 0, row.kind(), copy, -1, row.maskIndex());
      }
      var all = new ArrayList<Entry>();
      all.add(new Entry(-1, Constrain.BAN, 0, 1)); // another sequence's
      all.addAll(entries);
      int[] canvasArena = new int[skipped + canvas.length];
      System.arraycopy(canvas, 0, canvasArena, skipped, canvas.length);
      int[] maskArena = new int[skipped + canvas.length];
      System.arraycopy(masks, 0, maskArena, skipped, masks.length);
      var device = bench.floats(DType.F32, logits);
      bench
          .operations
          .constrain()
          .launch(
              bench.stream,
              new Constrain.Buffers(
                  device.buffer(),
                  SelectionState.rows(bench, table),
                  SelectionState.sequences(bench, slot),
                  bench.ints(all.stream().flatMapToInt(Entry::ints).toArray()).buffer(),
                  bench.ints(data.stream().mapToInt(i -> i).toArray()).buffer(),
                  bench.ints(canvasArena).buffer(),
                  bench.ints(maskArena).buffer()),
              table.length,
              columns,
              new SpecialTokens(columns, MASK, -1, -1));
      return device.read();
    }
  }

  private static Request small() {
    var request = new Request(8);
    request.row(0, DiffusionState.CHOOSE);
    request.row(1, DiffusionState.CHOOSE);
    request.logits = new float[16];
    return request;
  }

  private static float[] row(float[] logits, int row) {
    return Arrays.copyOfRange(logits, 8 * row, 8 * row + 8);
  }

  /// 0 for the ids that are left, −∞ for others.
  private static float[] only(int... ids) {
    float[] row = new float[8];
    Arrays.fill(row, NOTHING);
    Arrays.stream(ids).forEach(id -> row[id] = 0);
    return row;
  }

  @OnSoftwareDevices
  void constrain_bansAndAllows_forOnePositionOrAll(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          Request ban = small();
          ban.add(-1, Constrain.BAN, 2, 0, 5);
          ban.add(3, Constrain.BAN, 1, 2);
          ban.add(9, Constrain.BAN, 1, 3);
          float[] banned = ban.run(bench);
          assertArrayEquals(only(1, 2, 3, 4, 6, 7), row(banned, 0));
          assertArrayEquals(only(1, 3, 4, 6, 7), row(banned, 1));
          Request allow = small();
          allow.add(-1, Constrain.ALLOW_ONLY, 4, 1, 2, 3, 7);
          allow.add(2, Constrain.ALLOW_ONLY, 3, 0, 2, 7);
          allow.add(3, Constrain.ALLOW_ONLY, 0);
          float[] allowed = allow.run(bench);
          assertArrayEquals(only(2, 7), row(allowed, 0));
          assertArrayEquals(only(), row(allowed, 1));
        });
  }

  @GpuTest
  void constrain_bansAndAllows_forOnePositionOrAll_gpu(DeviceSpec gpu) {
    constrain_bansAndAllows_forOnePositionOrAll(gpu);
  }

  /// Guidance multiplies the difference to the copy: a bias moves both, −∞ is enough in one.
  @OnSoftwareDevices
  void constrain_movesTheGuidedLogitByTheBias(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          Request request = small();
          request.guided = true;
          request.logits = new float[32];
          request.add(
              2,
              Constrain.BIAS,
              2,
              1,
              4,
              Float.floatToRawIntBits(2.5f),
              Float.floatToRawIntBits(-1.25f));
          request.add(-1, Constrain.BIAS, 1, 4, Float.floatToRawIntBits(0.5f));
          request.add(-1, Constrain.BAN, 1, 0);
          float[] logits = request.run(bench);
          float no = NOTHING;
          assertArrayEquals(new float[] {no, 2.5f, 0, 0, -0.75f, 0, 0, 0}, row(logits, 0));
          assertArrayEquals(new float[] {no, 0, 0, 0, 0.5f, 0, 0, 0}, row(logits, 1));
          assertArrayEquals(new float[] {0, 2.5f, 0, 0, -0.75f, 0, 0, 0}, row(logits, 2));
          assertArrayEquals(new float[] {0, 0, 0, 0, 0.5f, 0, 0, 0}, row(logits, 3));
        });
  }

  @GpuTest
  void constrain_movesTheGuidedLogitByTheBias_gpu(DeviceSpec gpu) {
    constrain_movesTheGuidedLogitByTheBias(gpu);
  }

  @OnSoftwareDevices
  void constrain_leavesTheIdsOfChoicesThatAreAlive(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          int[] choices = {1, 2, 3, /**/ 1, 4, 5, /**/ 2, 2, 2, /**/ 3, -1, 0};
          Request fresh = small();
          fresh.add(-1, Constrain.ONE_OF, 4, choices);
          float[] first = fresh.run(bench);
          assertArrayEquals(only(1, 2, 3), row(first, 0));
          assertArrayEquals(new float[8], row(first, 1), "one choice has any id there");
          Request begun = small();
          begun.canvas[2] = 1; // the first mask is committed
          begun.rows.clear();
          begun.row(1, DiffusionState.CHOOSE);
          begun.row(2, DiffusionState.CHOOSE);
          begun.add(-1, Constrain.ONE_OF, 4, choices);
          float[] second = begun.run(bench);
          assertArrayEquals(only(2, 4), row(second, 0));
          assertArrayEquals(only(3, 5), row(second, 1));
          Request lost = small();
          lost.canvas[2] = 7;
          lost.add(-1, Constrain.ONE_OF, 4, choices);
          assertArrayEquals(only(), row(lost.run(bench), 1), "no choice has 7 there");
        });
  }

  @GpuTest
  void constrain_leavesTheIdsOfChoicesThatAreAlive_gpu(DeviceSpec gpu) {
    constrain_leavesTheIdsOfChoicesThatAreAlive(gpu);
  }

  /// Otherwise the token that is there would be the only one left, and as sure as can be.
  @OnSoftwareDevices
  void constrain_comparesAReconsideredRow_withAllChoicesThatTheOthersLeave(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          Request request = small();
          request.canvas = new int[] {0, 1, 1, 2, MASK};
          request.rows.clear();
          request.row(0, DiffusionState.RECONSIDER);
          request.row(2, DiffusionState.NOTHING);
          request.add(-1, Constrain.ONE_OF, 3, 1, 2, 3, /**/ 4, 2, 5, /**/ 5, 1, 1);
          float[] logits = request.run(bench);
          assertArrayEquals(only(1, 4), row(logits, 0));
          assertArrayEquals(new float[8], row(logits, 1), "a row of no kind is left alone");
        });
  }

  @GpuTest
  void constrain_comparesAReconsideredRow_withAllChoicesThatTheOthersLeave_gpu(DeviceSpec gpu) {
    constrain_comparesAReconsideredRow_withAllChoicesThatTheOthersLeave(gpu);
  }

  @OnSoftwareDevices
  void constrain_matchesAPlainLoop_atEveryVocabulary(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          for (int columns : new int[] {1, 7, 33, 500, 2048, 8191, 126_464}) {
            var request = new Request(columns);
            request.row(0, DiffusionState.CHOOSE);
            request.row(1, DiffusionState.CHOOSE);
            request.logits = seed.normals(2 * columns, 3);
            int[] some = distinct(seed, columns, 300);
            int[] few = distinct(seed, columns, 5);
            request.add(2, Constrain.ALLOW_ONLY, some.length, some);
            request.add(-1, Constrain.BAN, few.length, few);
            int[] bias = Arrays.copyOf(some, 2 * some.length);
            for (int i = 0; i < some.length; i++) {
              bias[some.length + i] = Float.floatToRawIntBits(i % 9 - 4);
            }
            request.add(3, Constrain.BIAS, some.length, bias);
            float[] expected = request.logits.clone();
            for (int id = 0; id < columns; id++) {
              int at = Arrays.binarySearch(some, id);
              boolean banned = Arrays.binarySearch(few, id) >= 0;
              if (at < 0 || banned) {
                expected[id] = NOTHING;
              }
              if (banned) {
                expected[columns + id] = NOTHING;
              } else if (at >= 0) {
                expected[columns + id] += at % 9 - 4;
              }
            }
            assertArrayEquals(expected, request.run(bench), columns + " columns, " + seed);
          }
        });
  }

  @GpuTest
  void constrain_matchesAPlainLoop_atEveryVocabulary_gpu(DeviceSpec gpu) {
    constrain_matchesAPlainLoop_atEveryVocabulary(gpu);
  }

  private static int[] distinct(Seed seed, int columns, int most) {
    var ids = new TreeSet<Integer>();
    for (int i = 0; i < most; i++) {
      ids.add(seed.random().nextInt(columns));
    }
    return ids.stream().mapToInt(i -> i).toArray();
  }

  @Test
  void layoutAndKinds_areThoseOfTheAbiTable() {
    AbiTable table = AbiTable.read();
    table.check(Constrain.ENTRY_LAYOUT);
    table.check("kBan", Constrain.BAN);
    table.check("kBias", Constrain.BIAS);
    table.check("kAllowOnly", Constrain.ALLOW_ONLY);
    table.check("kOneOf", Constrain.ONE_OF);
  }
}
