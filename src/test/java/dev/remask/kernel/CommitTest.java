package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DiffusionState.PlanEntry;
import dev.remask.kernel.DiffusionState.Sequence;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

class CommitTest {
  private static final int MASK = 9;
  private static final int STEP = 17;
  private static final int UNTOUCHED = -12345;
  private static final float NOT_SELECTABLE = -1;
  private static final float LAST = Float.POSITIVE_INFINITY;

  /// A sequence of `rows` rows without guidance whose canvas begins at 0 and block at `blockBegin`.
  private static Sequence single(int rows) {
    return new Sequence(0, -1, 0, -1, rows, 0, 1, 0, 1, 0, 0, RemaskingRule.LOW_CONFIDENCE);
  }

  /// Runs one commit of one block and returns the positions that changed, in order.
  private static int[] committed(KernelBench bench, int quota, float... keys) {
    int begin = 3;
    int[] canvas = new int[begin + keys.length + 2];
    Arrays.fill(canvas, MASK);
    int[] candidates = IntStream.range(100, 100 + keys.length).toArray();
    var device = bench.ints(canvas);
    var steps = bench.ints(filled(canvas.length));
    var confidences = bench.poison(DType.F32, canvas.length);
    bench
        .operations
        .commit()
        .launch(
            bench.stream,
            new Commit.Buffers(
                device.buffer(),
                steps.buffer(),
                confidences.buffer(),
                bench.floats(DType.F32, keys).buffer(),
                bench.ints(candidates).buffer(),
                bench.sequences(single(keys.length)).buffer(),
                bench.plan(new PlanEntry(begin, quota, STEP))),
            1);
    int[] after = device.read();
    int[] changed =
        IntStream.range(0, after.length)
            .filter(p -> after[p] != MASK)
            .map(p -> p - begin)
            .toArray();
    int[] stepsAfter = steps.read();
    float[] confidencesAfter = confidences.read();
    var expectedSteps = filled(canvas.length);
    var expectedConfidences = new float[canvas.length];
    Arrays.fill(expectedConfidences, Float.NaN);
    for (int row : changed) {
      assertEquals(candidates[row], after[begin + row], "the row's own candidate");
      expectedSteps[begin + row] = STEP;
      expectedConfidences[begin + row] = 1 / (1 + keys[row]);
    }
    assertArrayEquals(expectedSteps, stepsAfter, "trace steps");
    // One addition and one division: exact to the bit wherever IEEE arithmetic is.
    assertArrayEquals(expectedConfidences, confidencesAfter, "trace confidences");
    return changed;
  }

  private static int[] filled(int count) {
    var values = new int[count];
    Arrays.fill(values, UNTOUCHED);
    return values;
  }

  @OnSoftwareDevices
  void commit_tiesTakeLowerPosition(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        bench -> {
          assertArrayEquals(new int[] {0, 1}, committed(bench, 2, 5, 5, 5, 5));
          assertArrayEquals(new int[] {1, 2}, committed(bench, 2, 7, 0, 3, 3, 3));
          assertArrayEquals(new int[] {0, 2, 3}, committed(bench, 3, 0, 1, 0, 0.5f, 1));
        });
  }

  @GpuTest
  void commit_tiesTakeLowerPosition_gpu(DeviceSpec gpu) {
    commit_tiesTakeLowerPosition(gpu);
  }

  @OnSoftwareDevices
  void commit_takesAll_whereFewerRowsAreSelectableThanTheQuota(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        bench -> {
          assertArrayEquals(
              new int[] {1, 3}, committed(bench, 4, NOT_SELECTABLE, 2, NOT_SELECTABLE, 1));
          assertArrayEquals(new int[] {}, committed(bench, 1, NOT_SELECTABLE));
          assertArrayEquals(new int[] {0}, committed(bench, 5, 2));
        });
  }

  @GpuTest
  void commit_takesAll_whereFewerRowsAreSelectableThanTheQuota_gpu(DeviceSpec gpu) {
    commit_takesAll_whereFewerRowsAreSelectableThanTheQuota(gpu);
  }

  @OnSoftwareDevices
  void commit_takesDeferredRowsLast_andNeverNaN(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        bench -> {
          assertArrayEquals(new int[] {1, 2}, committed(bench, 2, LAST, 1e30f, 3, LAST));
          assertArrayEquals(new int[] {0, 1, 2}, committed(bench, 3, LAST, 1e30f, 3, LAST));
          assertArrayEquals(new int[] {1}, committed(bench, 2, Float.NaN, 4, Float.NaN));
        });
  }

  @GpuTest
  void commit_takesDeferredRowsLast_andNeverNaN_gpu(DeviceSpec gpu) {
    commit_takesDeferredRowsLast_andNeverNaN(gpu);
  }

  @OnSoftwareDevices
  void commit_tellsOddsApart_whereProbabilitiesWouldRoundToOne(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        bench ->
            assertArrayEquals(
                new int[] {2, 3},
                committed(bench, 2, 3e-10f, 2e-10f, 1e-10f, Float.MIN_VALUE, 1e-9f)));
  }

  @GpuTest
  void commit_tellsOddsApart_whereProbabilitiesWouldRoundToOne_gpu(DeviceSpec gpu) {
    commit_tellsOddsApart_whereProbabilitiesWouldRoundToOne(gpu);
  }

  /// Blocks around the 256 threads of a CTA, with many equal keys.
  @OnSoftwareDevices
  void commit_matchesASort_atEveryBlockLength(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.on(
        device,
        DType.F32,
        bench -> {
          for (int rows : new int[] {1, 7, 33, 255, 256, 257, 1500}) {
            for (int quota : new int[] {1, rows / 2 + 1, rows}) {
              float[] keys = new float[rows];
              for (int i = 0; i < rows; i++) {
                int draw = seed.random().nextInt(24);
                keys[i] = draw < 4 ? NOT_SELECTABLE : draw < 6 ? LAST : draw / 4.0f;
              }
              int[] expected =
                  IntStream.range(0, rows)
                      .filter(i -> keys[i] >= 0)
                      .boxed()
                      .sorted(Comparator.comparing(i -> keys[i]))
                      .limit(quota)
                      .mapToInt(i -> i)
                      .sorted()
                      .toArray();
              assertArrayEquals(
                  expected,
                  committed(bench, quota, keys),
                  rows + " rows, quota " + quota + ", " + seed);
            }
          }
        });
  }

  @GpuTest
  void commit_matchesASort_atEveryBlockLength_gpu(DeviceSpec gpu) {
    commit_matchesASort_atEveryBlockLength(gpu);
  }

  @OnSoftwareDevices
  void commit_keepsSequencesApart_skipsThoseDone_andWritesTheUnconditionalCopy(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        bench -> {
          // Canvases: A at 0 (guided, copy at 4), B at 8 (done), C at 12; two rows each.
          var a = new Sequence(0, 4, 0, 6, 2, 1, 3, 0, 1.5f, 0, 0, RemaskingRule.LOW_CONFIDENCE);
          var b = new Sequence(8, -1, 2, -1, 2, 3, 3, 0, 1, 0, 0, RemaskingRule.LOW_CONFIDENCE);
          var c = new Sequence(12, -1, 4, -1, 2, 4, 5, 0, 1, 0, 0, RemaskingRule.LOW_CONFIDENCE);
          int[] canvas = new int[16];
          Arrays.fill(canvas, MASK);
          var device1 = bench.ints(canvas);
          var steps = bench.ints(filled(16));
          var confidences = bench.poison(DType.F32, 16);
          bench
              .operations
              .commit()
              .launch(
                  bench.stream,
                  new Commit.Buffers(
                      device1.buffer(),
                      steps.buffer(),
                      confidences.buffer(),
                      bench.floats(DType.F32, new float[] {2, 1, 0, 0, 0, 1}).buffer(),
                      bench.ints(20, 21, 22, 23, 24, 25).buffer(),
                      bench.sequences(a, b, c).buffer(),
                      bench.plan(
                          new PlanEntry(0, 2, 0),
                          new PlanEntry(2, 1, 5),
                          new PlanEntry(2, 1, 6),
                          new PlanEntry(0, 2, 0),
                          new PlanEntry(1, 2, 8))),
                  3);
          int[] expected = canvas.clone();
          expected[3] = 21; // A commits its second row at position 3
          expected[7] = 21; // and in the copy
          expected[13] = 24; // C commits both, from position 1
          expected[14] = 25;
          assertArrayEquals(expected, device1.read());
          int[] expectedSteps = filled(16);
          expectedSteps[3] = 5;
          expectedSteps[13] = 8;
          expectedSteps[14] = 8;
          assertArrayEquals(expectedSteps, steps.read(), "the trace has no entry for the copy");
          float[] traced = confidences.read();
          assertEquals(0.5f, traced[3]);
          assertEquals(1.0f, traced[13]);
          assertEquals(0.5f, traced[14]);
        });
  }

  @GpuTest
  void commit_keepsSequencesApart_skipsThoseDone_andWritesTheUnconditionalCopy_gpu(DeviceSpec gpu) {
    commit_keepsSequencesApart_skipsThoseDone_andWritesTheUnconditionalCopy(gpu);
  }

  @OnSoftwareDevices
  void advance_movesTheRowsToTheNextBlock_andStopsAtThePlansEnd(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        bench -> {
          int rows = 300; // more than a CTA has threads
          var guided =
              new Sequence(
                  0, 1000, 0, 2 * rows, rows, 0, 3, 0, 2, 0, 0, RemaskingRule.LOW_CONFIDENCE);
          var plain =
              new Sequence(
                  2000, -1, rows, -1, rows, 3, 4, 0, 1, 0, 0, RemaskingRule.LOW_CONFIDENCE);
          var states = bench.sequences(guided, plain);
          var plan =
              bench.plan(
                  new PlanEntry(10, 1, 0),
                  new PlanEntry(10, 1, 1),
                  new PlanEntry(310, 1, 2),
                  new PlanEntry(5, 1, 0));
          var rowIndex = bench.ints(filled(3 * rows));
          int[] cursors = {1, 2, 3, 3};
          int[] blocks = {10, 310, 310, 310};
          for (int step = 0; step < cursors.length; step++) {
            bench
                .operations
                .commit()
                .advance(bench.stream, states.buffer(), rowIndex.buffer(), plan, 2);
            int[] after = states.read();
            int words = DiffusionState.SEQUENCE_BYTES / Integer.BYTES;
            assertEquals(cursors[step], after[6], "cursor of the guided sequence");
            assertEquals(4, after[words + 6], "cursor of the sequence at its plan's end");
            int[] expected = filled(3 * rows);
            for (int i = 0; i < rows; i++) {
              expected[i] = blocks[step] + i;
              expected[2 * rows + i] = 1000 + blocks[step] + i;
            }
            assertArrayEquals(expected, rowIndex.read(), "step " + step);
          }
        });
  }

  @GpuTest
  void advance_movesTheRowsToTheNextBlock_andStopsAtThePlansEnd_gpu(DeviceSpec gpu) {
    advance_movesTheRowsToTheNextBlock_andStopsAtThePlansEnd(gpu);
  }
}
