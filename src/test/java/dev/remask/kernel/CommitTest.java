package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DiffusionState.CommitRecord;
import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Philox;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/// What a step commits and where the sequence stands then, rule by rule, in numbers; StepRunTest
/// has them all together at random.
class CommitTest {
  private static final float LAST = Float.POSITIVE_INFINITY;
  private static final float ABSENT = -1;

  private static void on(DeviceSpec device, Consumer<KernelBench> body) {
    KernelBench.on(device, DType.F32, Architecture.PORTABLE, body);
  }

  private static int[] masks(int... masks) {
    return masks;
  }

  private static int[] all(int count) {
    return IntStream.range(0, count).toArray();
  }

  private static int[] byQuota(KernelBench bench, int quota, float... keys) {
    var slot = new OneSlot();
    slot.masks = keys.length;
    slot.blockLength = keys.length;
    slot.entry(0, quota, 0).on(bench).step(keys);
    return slot.committed();
  }

  @OnSoftwareDevices
  void quota_takesTheSurest_tiesGoToTheLowerPosition(DeviceSpec device) {
    on(
        device,
        bench -> {
          assertArrayEquals(masks(0, 1), byQuota(bench, 2, 5, 5, 5, 5));
          assertArrayEquals(masks(1, 2), byQuota(bench, 2, 7, 0, 3, 3, 3));
          assertArrayEquals(masks(0, 2, 3), byQuota(bench, 3, 0, 1, 0, 0.5f, 1));
          assertArrayEquals(masks(1, 2), byQuota(bench, 2, 1, -0f, 0f, 0f));
          assertArrayEquals(masks(), byQuota(bench, 0, 1, 2));
          // Rows without a candidate never, deferred ones last.
          assertArrayEquals(masks(1, 3), byQuota(bench, 4, ABSENT, 2, ABSENT, 1));
          assertArrayEquals(masks(1), byQuota(bench, 2, Float.NaN, 4, Float.NaN));
          assertArrayEquals(masks(1, 2), byQuota(bench, 2, LAST, 1e30f, 3, LAST));
          assertArrayEquals(masks(0, 1, 2), byQuota(bench, 3, LAST, 1e30f, 3, LAST));
          // Odds apart that probabilities in f32 are not.
          assertArrayEquals(
              masks(2, 3), byQuota(bench, 2, 3e-10f, 2e-10f, 1e-10f, Float.MIN_VALUE, 1e-9f));
        });
  }

  @GpuTest
  void quota_takesTheSurest_tiesGoToTheLowerPosition_gpu(DeviceSpec gpu) {
    quota_takesTheSurest_tiesGoToTheLowerPosition(gpu);
  }

  private static int[] byRule(KernelBench bench, CommitRule rule, float bound, float... keys) {
    var slot = new OneSlot();
    slot.masks = keys.length;
    slot.blockLength = keys.length;
    slot.rule = rule;
    slot.bound = bound;
    slot.entry(0, 0, 0, DiffusionState.UNTIL_FULL, 0).on(bench).step(keys);
    return slot.committed();
  }

  @OnSoftwareDevices
  void threshold_takesAllWithinTheBound_andAtLeastTheSurest(DeviceSpec device) {
    on(
        device,
        bench -> {
          CommitRule rule = CommitRule.THRESHOLD;
          assertArrayEquals(masks(0, 2), byRule(bench, rule, 0.5f, 0.5f, 0.51f, 0.1f, LAST));
          assertArrayEquals(masks(1), byRule(bench, rule, 0.5f, 3, 2, 2, LAST));
          assertArrayEquals(masks(0), byRule(bench, rule, 0.5f, LAST, LAST));
          assertArrayEquals(masks(0, 1), byRule(bench, rule, LAST, LAST, 4, ABSENT));
          assertArrayEquals(masks(1), byRule(bench, rule, 0, 0.1f, 0, 0.2f));
          assertArrayEquals(masks(2), byRule(bench, rule, Float.NaN, 0.2f, 0.2f, 0.1f));
        });
  }

  @GpuTest
  void threshold_takesAllWithinTheBound_andAtLeastTheSurest_gpu(DeviceSpec gpu) {
    threshold_takesAllWithinTheBound_andAtLeastTheSurest(gpu);
  }

  @OnSoftwareDevices
  void factor_takesTheLargestCountThatFits_andAtLeastTheSurest(DeviceSpec device) {
    on(
        device,
        bench -> {
          CommitRule rule = CommitRule.FACTOR;
          // 1 - c is key / (1 + key): 1/4, 1/4, 1/2. (n + 1) of it: 0.5, 0.75, 2.
          float[] keys = {1, 1 / 3f, 1 / 3f};
          assertArrayEquals(masks(1), byRule(bench, rule, 0.1f, keys));
          assertArrayEquals(masks(1), byRule(bench, rule, 0.75f, keys));
          assertArrayEquals(masks(1, 2), byRule(bench, rule, 0.76f, keys));
          assertArrayEquals(masks(1, 2), byRule(bench, rule, 2, keys));
          assertArrayEquals(all(3), byRule(bench, rule, 2.01f, keys));
          // A deferred row has confidence 0: the third of three fits only where 4 < f.
          assertArrayEquals(masks(1, 2), byRule(bench, rule, 4, LAST, 0, 0));
          assertArrayEquals(all(3), byRule(bench, rule, 4.01f, LAST, 0, 0));
          assertArrayEquals(masks(0), byRule(bench, rule, 1, LAST, ABSENT, Float.NaN));
        });
  }

  @GpuTest
  void factor_takesTheLargestCountThatFits_andAtLeastTheSurest_gpu(DeviceSpec gpu) {
    factor_takesTheLargestCountThatFits_andAtLeastTheSurest(gpu);
  }

  @OnSoftwareDevices
  void chance_takesEachRowByItsOwnDraw(DeviceSpec device) {
    on(
        device,
        bench -> {
          var slot = new OneSlot();
          slot.masks = 300;
          slot.blockLength = 300;
          slot.rule = CommitRule.CHANCE;
          slot.seed = 0x1234_5678_9abcL;
          slot.entry(0, 0, 40, 0, 0.25f).entry(0, 0, 41, 0, 0).entry(0, 0, 42, 0, 1).on(bench);
          float[] keys = new float[300];
          keys[7] = LAST;
          keys[9] = ABSENT;
          slot.step(keys);
          int[] drawn =
              IntStream.range(0, 300)
                  .filter(i -> i != 9)
                  .filter(i -> Philox.chance(slot.seed, 40, OneSlot.PROMPT + i) < 0.25f)
                  .toArray();
          assertArrayEquals(drawn, slot.committed());
          slot.step(keys);
          assertArrayEquals(drawn, slot.committed(), "chance 0");
          slot.step(keys);
          assertEquals(299, slot.committed().length, "chance 1");
          keys[9] = 0;
          assertEquals(SequenceStatus.FILLED, slot.step(keys).status());
        });
  }

  @GpuTest
  void chance_takesEachRowByItsOwnDraw_gpu(DeviceSpec gpu) {
    chance_takesEachRowByItsOwnDraw(gpu);
  }

  @OnSoftwareDevices
  void plan_repeatsUntilABlockIsFull_andSkipsWhatIsLeftOfIt(DeviceSpec device) {
    on(
        device,
        bench -> {
          var slot = new OneSlot();
          slot.masks = 7;
          slot.entry(0, 1, 0).entry(0, 3, 1).entry(0, 1, 2).entry(1, 1, 3).on(bench);
          assertEquals(running(1, 0, 1, 3), slot.step(1, 2, 3, 4));
          // The block is full with entry 1: entry 2 is skipped.
          assertEquals(running(3, 0, 2, 3), slot.step(1, 2, 3, 4));
          // The last entry of a block is repeated while it has masks.
          assertEquals(running(3, 1, 3, 2), slot.step(3, 1, 2, 9));
          assertEquals(running(3, 2, 4, 1), slot.step(3, 1, 2, 9));
          assertArrayEquals(masks(0, 1, 2, 3, 5, 6), slot.committed());
          var filled = new Progress(4, 0, 5, SequenceStatus.FILLED, 0, 0, -1, 0);
          assertEquals(filled, slot.step(3, 1, 2, 9));
          assertEquals(filled, slot.step(3, 1, 2, 9), "a filled slot is left alone");
        });
  }

  @GpuTest
  void plan_repeatsUntilABlockIsFull_andSkipsWhatIsLeftOfIt_gpu(DeviceSpec gpu) {
    plan_repeatsUntilABlockIsFull_andSkipsWhatIsLeftOfIt(gpu);
  }

  private static Progress running(int cursor, int repeats, int passes, int masksLeft) {
    return new Progress(cursor, repeats, passes, SequenceStatus.RUNNING, 0, 0, -1, masksLeft);
  }

  @OnSoftwareDevices
  void revision_masksTheMostDoubtfulAgain_withinItsBudget_andRecordsIt(DeviceSpec device) {
    on(
        device,
        bench -> {
          var slot = new OneSlot();
          slot.flags = DiffusionState.REVISE | DiffusionState.LOG;
          slot.revisions = 3;
          slot.revisionBound = 1;
          slot.logCapacity = 10;
          slot.guided = true;
          slot.entry(0, 3, 5).entry(0, 1, 6, DiffusionState.UNTIL_FULL, 0).on(bench);
          slot.step(1, 3, 0, 9);
          assertArrayEquals(masks(0, 1, 2), slot.committed());
          // Mask 3 commits; 0 is not beyond the bound, 1 and 2 are.
          Progress at = slot.step(1, 1.5f, 7, 0.5f);
          assertArrayEquals(masks(0, 3), slot.committed());
          assertEquals(1, at.revisionsLeft());
          assertEquals(2, at.masksLeft());
          // One is left: of equal keys the lower position.
          at = slot.step(4, 3, 0.25f, 4);
          assertArrayEquals(masks(2, 3), slot.committed());
          assertEquals(0, at.revisionsLeft());
          at = slot.step(4, 3, 4, 4);
          at = slot.step(4, 3, 4, 4);
          assertEquals(SequenceStatus.FILLED, at.status());
          assertEquals(
              List.of(
                  record(5, 0, 1),
                  record(5, 1, 3),
                  record(5, 2, 0),
                  record(6, 3, 0.5f),
                  again(6, 1, 1.5f),
                  again(6, 2, 7),
                  record(7, 2, 0.25f),
                  again(7, 0, 4),
                  record(8, 1, 3),
                  record(9, 0, 4)),
              slot.steps().slot(0).log());
        });
  }

  private static CommitRecord record(int step, int mask, float key) {
    return new CommitRecord(step, OneSlot.PROMPT + mask, 100 + mask, 1 / (1 + key));
  }

  private static CommitRecord again(int step, int mask, float key) {
    return new CommitRecord(
        step, OneSlot.PROMPT + mask, DiffusionState.MASKED_AGAIN, 1 / (1 + key));
  }

  @GpuTest
  void revision_masksTheMostDoubtfulAgain_withinItsBudget_andRecordsIt_gpu(DeviceSpec gpu) {
    revision_masksTheMostDoubtfulAgain_withinItsBudget_andRecordsIt(gpu);
  }

  @OnSoftwareDevices
  void earlyStop_waitsForEveryMaskBeforeTheEnd(DeviceSpec device) {
    on(
        device,
        bench -> {
          var slot = new OneSlot();
          slot.masks = 8;
          slot.flags = DiffusionState.EARLY_STOP;
          slot.entry(0, 1, 0).entry(0, 1, 1).entry(0, 2, 2).entry(1, 4, 3).on(bench);
          List<Integer> ends = List.of(1);
          assertEquals(SequenceStatus.RUNNING, slot.step(false, ends, 5, 0, 9, 9).status());
          assertArrayEquals(masks(1), slot.committed());
          Progress at = slot.step(false, ends, 5, 0, 9, 9);
          assertArrayEquals(masks(0, 1), slot.committed(), "masks behind the end are left");
          assertEquals(new Progress(2, 0, 2, SequenceStatus.STOPPED, 0, 0, -1, 2), at);
          assertEquals(at, slot.step(false, ends, 5, 0, 9, 9), "a stopped slot is left alone");
        });
  }

  @GpuTest
  void earlyStop_waitsForEveryMaskBeforeTheEnd_gpu(DeviceSpec gpu) {
    earlyStop_waitsForEveryMaskBeforeTheEnd(gpu);
  }

  @OnSoftwareDevices
  void autoLength_asksOnceABlockBeginsWithoutASureEnd(DeviceSpec device) {
    on(
        device,
        bench -> {
          var slot = new OneSlot();
          slot.masks = 8;
          slot.flags = DiffusionState.AUTO_LENGTH;
          slot.entry(0, 2, 0).entry(0, 2, 1).entry(1, 3, 2).entry(1, 1, 3).on(bench, 4, 2);
          // An end that is less likely than not counts for nothing.
          Progress at = slot.step(false, List.of(3), 0, 0, 0, 1.01f);
          assertEquals(new Progress(0, 0, 1, SequenceStatus.WANTS_LENGTH, 0, 0, -1, 4), at);
          assertArrayEquals(masks(), slot.committed());
          // Twice as long, the block is not the last one any more.
          slot.change(slot.sequence(8, 4, slot.flags), at.with(SequenceStatus.RUNNING));
          slot.step(0, 0, 0, 0);
          slot.step(0, 0, 0, 0);
          assertArrayEquals(masks(0, 1, 2, 3), slot.committed());
          // Now the last one begins, and with a sure end.
          at = slot.step(false, List.of(6), 0, 0, 1, 2);
          assertEquals(new Progress(3, 0, 4, SequenceStatus.RUNNING, 0, 0, -1, 1), at);
          assertEquals(
              SequenceStatus.FILLED, slot.step(9, 9, 9, 9).status(), "asks at begins only");
        });
  }

  @GpuTest
  void autoLength_asksOnceABlockBeginsWithoutASureEnd_gpu(DeviceSpec gpu) {
    autoLength_asksOnceABlockBeginsWithoutASureEnd(gpu);
  }

  @OnSoftwareDevices
  void cached_asksForTheOtherKindOfPass_whenItIsDue(DeviceSpec device) {
    on(
        device,
        bench -> {
          var slot = new OneSlot();
          slot.masks = 9;
          slot.flags = DiffusionState.CACHED;
          slot.cacheRefresh = 2;
          slot.entry(0, 1, 0).entry(0, 1, 1).entry(0, 1, 2).entry(0, 1, 3);
          slot.entry(1, 4, 4).entry(2, 1, 5).on(bench);
          // Whole, then two cached ones, then whole again by cacheRefresh, ...
          check(slot, false, SequenceStatus.WANTS_PASS, 0);
          check(slot, true, SequenceStatus.RUNNING, 1);
          check(slot, true, SequenceStatus.WANTS_PASS, -1);
          // ... which fills the block: the next block begins with a whole one, too, and so on.
          check(slot, false, SequenceStatus.RUNNING, -1);
          check(slot, false, SequenceStatus.RUNNING, -1);
          check(slot, false, SequenceStatus.FILLED, -1);
        });
  }

  private static void check(OneSlot slot, boolean cached, SequenceStatus status, int sinceWhole) {
    Progress at = slot.step(cached, List.of(), 0, 0, 0, 0);
    assertEquals(status, at.status());
    assertEquals(sinceWhole, at.sinceWhole());
    if (status == SequenceStatus.WANTS_PASS) {
      slot.change(slot.sequence(slot.masks, 6, slot.flags), at.with(SequenceStatus.RUNNING));
    }
  }

  @GpuTest
  void cached_asksForTheOtherKindOfPass_whenItIsDue_gpu(DeviceSpec gpu) {
    cached_asksForTheOtherKindOfPass_whenItIsDue(gpu);
  }

  @OnSoftwareDevices
  void stuck_whereNoRowCanBeChosen_andNothingMoves(DeviceSpec device) {
    on(
        device,
        bench -> {
          for (CommitRule rule : CommitRule.values()) {
            var slot = new OneSlot();
            slot.rule = rule;
            slot.bound = LAST;
            slot.flags = DiffusionState.AUTO_LENGTH | DiffusionState.LOG;
            slot.logCapacity = 4;
            slot.entry(0, 4, 0, 0, 1).on(bench);
            Progress at = slot.step(ABSENT, Float.NaN, ABSENT, Float.NEGATIVE_INFINITY);
            assertEquals(new Progress(0, 0, 1, SequenceStatus.STUCK, 0, 0, -1, 4), at);
            assertArrayEquals(masks(), slot.committed());
          }
        });
  }

  @GpuTest
  void stuck_whereNoRowCanBeChosen_andNothingMoves_gpu(DeviceSpec gpu) {
    stuck_whereNoRowCanBeChosen_andNothingMoves(gpu);
  }

  @OnSoftwareDevices
  void emptyPlan_isFilled_notRunForEver(DeviceSpec device) {
    on(
        device,
        bench -> {
          var slot = new OneSlot();
          slot.entry(0, 4, 0).on(bench, 4, 0);
          Progress at = slot.step(0, 0, 0, 0);
          assertEquals(new Progress(0, 0, 0, SequenceStatus.FILLED, 0, 0, -1, 4), at);
        });
  }

  @GpuTest
  void emptyPlan_isFilled_notRunForEver_gpu(DeviceSpec gpu) {
    emptyPlan_isFilled_notRunForEver(gpu);
  }
}
