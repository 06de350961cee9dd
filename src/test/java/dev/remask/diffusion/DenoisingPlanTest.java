package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DenoisingPlanTest {
  private record Entry(int block, int quota, int step) {}

  private static List<Entry> plan(int genLength, int blockLength, int steps) {
    return entries(
        DiffusionOptions.builder()
            .genLength(genLength)
            .blockLength(blockLength)
            .steps(steps)
            .build());
  }

  private static List<Entry> entries(DiffusionOptions options) {
    var plan = DenoisingPlan.of(options.genLength(), options);
    var entries = new ArrayList<Entry>();
    for (int i = 0; i < plan.size(); i++) {
      entries.add(new Entry(plan.block(i), plan.quota(i), plan.step(i)));
    }
    return entries;
  }

  @Test
  void quota_firstStepsTakeTheRemainder() {
    assertEquals(
        List.of(
            new Entry(0, 3, 0),
            new Entry(0, 2, 1),
            new Entry(0, 2, 2),
            new Entry(1, 3, 3),
            new Entry(1, 2, 4),
            new Entry(1, 2, 5)),
        plan(14, 7, 6));
  }

  @Test
  void quotaZero_isSkippedAndTheStepKeepsItsNumber() {
    assertEquals(
        List.of(new Entry(0, 1, 0), new Entry(0, 1, 1), new Entry(1, 1, 5), new Entry(1, 1, 6)),
        plan(4, 2, 10));
  }

  @Test
  void hugeNumberOfSteps_plansOneEntryPerPosition() {
    List<Entry> plan = plan(4, 2, 2_000_000_000);
    assertEquals(4, plan.size());
    assertEquals(1_000_000_001, plan.get(3).step());
  }

  @Test
  void quotas_equalTheReferencesFormulaEverywhere() {
    long seed = System.nanoTime();
    var random = new Random(seed);
    for (int round = 0; round < 200; round++) {
      int block = 1 + random.nextInt(40);
      int blocks = 1 + random.nextInt(5);
      int perBlock = 1 + random.nextInt(60);
      List<Entry> plan = plan(block * blocks, block, perBlock * blocks);
      int next = 0;
      for (int b = 0; b < blocks; b++) {
        for (int i = 0; i < perBlock; i++) {
          int quota = block / perBlock + (i < block % perBlock ? 1 : 0);
          if (quota > 0) {
            assertEquals(new Entry(b, quota, b * perBlock + i), plan.get(next++), "seed " + seed);
          }
        }
      }
      assertEquals(next, plan.size(), "seed " + seed);
    }
  }

  @Test
  void goldenTraces_followThePlan() {
    for (var golden : GoldenCases.all()) {
      List<Entry> plan = entries(golden.options());
      assertTrue(plan.size() <= golden.forwardPasses(), golden.toString());
      for (Entry entry : plan) {
        long committed =
            golden.trace().stream().filter(commit -> commit.step() == entry.step()).count();
        assertEquals(entry.quota(), committed, golden + " step " + entry.step());
      }
      int planned = plan.stream().mapToInt(Entry::quota).sum();
      assertEquals(golden.trace().size(), planned, golden.toString());
    }
  }

  @Test
  void shortLastBlock_takesAsManyStepsAsTheOthers() {
    // 7 masks in blocks of 3: 3, 3 and 1.
    var options = DiffusionOptions.builder().blockLength(3).steps(6).build().forMasks(7);
    assertEquals(
        List.of(
            new Entry(0, 2, 0),
            new Entry(0, 1, 1),
            new Entry(1, 2, 2),
            new Entry(1, 1, 3),
            new Entry(2, 1, 4)),
        entries(options));
    var oneByOne = DiffusionOptions.builder().blockLength(3).build().forMasks(7);
    assertEquals(
        new Entry(2, 1, 6), entries(oneByOne).getLast(), "by default a step for each mask");
  }

  @Test
  void stepsPerBlock_areEachBlocksOwn() {
    var options =
        DiffusionOptions.builder().genLength(6).blockLength(2).stepsPerBlock(1, 2, 4).build();
    assertEquals(
        List.of(
            new Entry(0, 2, 0),
            new Entry(1, 1, 1),
            new Entry(1, 1, 2),
            new Entry(2, 1, 3),
            new Entry(2, 1, 4)),
        entries(options));
  }

  @Test
  void curves_takeWhatTheySay() {
    var eight = DiffusionOptions.builder().genLength(8).steps(4);
    // 8 · (1 − cos(π/2 · i/4)): 0.61, 2.34, 4.94, 8.
    assertEquals(List.of(1, 1, 3, 3), quotas(eight.schedule(Schedule.cosine()).build()));
    assertEquals(List.of(2, 2, 2, 2), quotas(eight.schedule(Schedule.linear()).build()));
    var ten = DiffusionOptions.builder().genLength(10).steps(4);
    assertEquals(List.of(3, 3, 2, 2), quotas(ten.build()), "the reference: more at first");
    // 10 · i/4 = 2.5, 5, 7.5, 10, halves up.
    assertEquals(List.of(3, 2, 3, 2), quotas(ten.schedule(Schedule.linear()).build()));
    var listed = DiffusionOptions.builder().genLength(10);
    assertEquals(List.of(1, 4, 5), quotas(listed.schedule(Schedule.of(1, 0.9, 0.5, 0)).build()));
    assertEquals(List.of(10), quotas(listed.schedule(Schedule.of(1, 0)).build()));
    // A step that takes nothing is skipped, and keeps its number.
    assertEquals(
        List.of(new Entry(0, 5, 1), new Entry(0, 5, 2)),
        entries(listed.schedule(Schedule.of(1, 0.99, 0.5, 0)).build()));
  }

  private static List<Integer> quotas(DiffusionOptions options) {
    return entries(options).stream().map(Entry::quota).toList();
  }

  @Test
  void origin_hasDreamsChances() {
    var options =
        DiffusionOptions.builder().genLength(8).blockLength(4).steps(8).remasking(Remasking.ORIGIN);
    DenoisingPlan plan = DenoisingPlan.of(8, options.build());
    assertEquals(8, plan.size());
    for (int i = 0; i < 8; i++) {
      // 1 − s/t with t = 1 − i/4 and s = 1 − (i+1)/4.
      assertEquals(1f / (4 - i % 4), plan.chance(i), 1e-7, "entry " + i);
      assertEquals(i, plan.step(i));
      assertEquals(i % 4 == 0 ? DenoisingPlan.FIRST_OF_BLOCK : 0, plan.flags(i));
    }
    assertEquals(1, plan.chance(3));
    DenoisingPlan listed =
        DenoisingPlan.of(
            4,
            DiffusionOptions.builder()
                .genLength(4)
                .schedule(Schedule.of(1, 0.8, 0.2, 0))
                .remasking(Remasking.ORIGIN)
                .build());
    assertEquals(0.2, listed.chance(0), 1e-6);
    assertEquals(0.75, listed.chance(1), 1e-6);
    assertEquals(1, listed.chance(2));
    assertEquals(3, listed.maxPasses());
  }

  @Test
  void thresholdAndFactor_repeatOneEntryABlock() {
    for (var builder :
        List.of(DiffusionOptions.builder().threshold(0.9), DiffusionOptions.builder().factor(1))) {
      DenoisingPlan plan = DenoisingPlan.of(7, builder.blockLength(3).build().forMasks(7));
      assertEquals(3, plan.size());
      for (int i = 0; i < 3; i++) {
        assertEquals(i, plan.block(i));
        assertEquals(3 * i, plan.step(i));
        assertEquals(DenoisingPlan.UNTIL_FULL | DenoisingPlan.FIRST_OF_BLOCK, plan.flags(i));
      }
      assertEquals(7, plan.maxPasses(), "a mask a pass at worst");
    }
  }

  @Test
  void revision_repeatsTheLastEntryOfABlock_andLeavesRoomForItsSteps() {
    var options = DiffusionOptions.builder().genLength(6).blockLength(3).steps(4).revisionBudget(5);
    DenoisingPlan plan = DenoisingPlan.of(6, options.build());
    assertEquals(4, plan.size());
    assertEquals(DenoisingPlan.FIRST_OF_BLOCK, plan.flags(0));
    assertEquals(DenoisingPlan.UNTIL_FULL, plan.flags(1));
    assertEquals(7, plan.step(2), "2 steps and 5 repeats of block 0");
    assertEquals(9, plan.maxPasses());
  }

  @Test
  void automaticLength_plansTheLongestAnswer() {
    var options =
        DiffusionOptions.builder().genLength(8).maxGenLength(24).blockLength(4).steps(4).build();
    DenoisingPlan plan = DenoisingPlan.of(24, options);
    assertEquals(6, plan.blocks());
    assertEquals(12, plan.size(), "2 steps in each block, further ones included");
    assertEquals(4, plan.end(8));
    assertEquals(6, plan.end(12));
    assertEquals(12, plan.end(24));
  }

  @Test
  void randomPlans_fillEveryBlockOnce() {
    long seed = System.nanoTime();
    var random = new Random(seed);
    for (int round = 0; round < 2000; round++) {
      int masks = 1 + random.nextInt(60);
      int block = 1 + random.nextInt(masks);
      int blocks = Math.ceilDiv(masks, block);
      var builder = DiffusionOptions.builder().blockLength(block);
      switch (random.nextInt(4)) {
        case 0 -> builder.steps(blocks * (1 + random.nextInt(3 * block)));
        case 1 -> builder.steps(blocks * (1 + random.nextInt(Integer.MAX_VALUE / blocks - 1)));
        case 2 -> builder.stepsPerBlock(random.ints(blocks, 1, 2 * block + 1).toArray());
        default -> {} // a step for each mask
      }
      Schedule[] schedules = {Schedule.uniform(), Schedule.linear(), Schedule.cosine()};
      builder.schedule(schedules[random.nextInt(3)]);
      if (random.nextInt(4) == 0) {
        builder.steps(blocks).unset("steps").schedule(randomList(random));
      }
      DiffusionOptions options = builder.build().forMasks(masks);
      String what = "seed " + seed + " round " + round + " " + options + " masks " + masks;
      DenoisingPlan plan = DenoisingPlan.of(masks, options);
      int[] filled = new int[blocks];
      for (int i = 0; i < plan.size(); i++) {
        assertTrue(plan.quota(i) >= 1, what);
        assertEquals(0, plan.chance(i), what);
        if (i > 0) {
          assertTrue(plan.step(i) > plan.step(i - 1), what);
          assertTrue(plan.block(i) - plan.block(i - 1) <= 1, what);
        }
        boolean first = i == 0 || plan.block(i) > plan.block(i - 1);
        assertEquals(first ? DenoisingPlan.FIRST_OF_BLOCK : 0, plan.flags(i), what);
        filled[plan.block(i)] += plan.quota(i);
      }
      for (int b = 0; b < blocks; b++) {
        assertEquals(Math.min(block, masks - b * block), filled[b], what);
      }
      assertTrue(plan.size() <= masks, what);
      assertEquals(plan.size(), plan.maxPasses(), what);
      assertEquals(plan.size(), plan.end(masks), what);
    }
  }

  private static Schedule randomList(Random random) {
    int steps = 1 + random.nextInt(20);
    double[] times = new double[steps + 1];
    times[0] = 1;
    for (int i = 1; i < steps; i++) {
      times[i] = times[i - 1] * (0.05 + 0.9 * random.nextDouble());
    }
    return Schedule.of(times);
  }

  @Test
  void committed_neverFalls_andTheSearchAgreesWithACount() {
    var random = new Random(5);
    for (int round = 0; round < 3000; round++) {
      int masks = 1 + random.nextInt(50);
      int steps = 1 + random.nextInt(80);
      for (Schedule schedule : List.of(Schedule.uniform(), Schedule.linear(), Schedule.cosine())) {
        int last = 0;
        var counted = new ArrayList<Entry>();
        for (int i = 0; i < steps; i++) {
          int now = schedule.committed(masks, i + 1, steps);
          assertTrue(now >= last, schedule + " " + masks + " " + steps);
          if (now > last) {
            counted.add(new Entry(0, now - last, i));
          }
          last = now;
        }
        assertEquals(masks, last);
        assertEquals(
            counted,
            entries(
                DiffusionOptions.builder()
                    .genLength(masks)
                    .steps(steps)
                    .schedule(schedule)
                    .build()));
      }
    }
  }
}
