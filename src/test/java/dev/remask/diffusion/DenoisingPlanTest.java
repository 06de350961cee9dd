package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DenoisingPlanTest {
  private record Entry(int blockBegin, int quota, int step) {}

  private static List<Entry> plan(int prompt, int genLength, int blockLength, int steps) {
    return entries(
        prompt,
        DiffusionOptions.builder()
            .genLength(genLength)
            .blockLength(blockLength)
            .steps(steps)
            .build());
  }

  private static List<Entry> entries(int prompt, DiffusionOptions options) {
    var plan = new DenoisingPlan(prompt, options);
    var entries = new ArrayList<Entry>();
    for (int i = 0; i < plan.size(); i++) {
      entries.add(new Entry(plan.blockBegin(i), plan.quota(i), plan.step(i)));
    }
    return entries;
  }

  @Test
  void quota_firstStepsTakeTheRemainder() {
    assertEquals(
        List.of(
            new Entry(5, 3, 0),
            new Entry(5, 2, 1),
            new Entry(5, 2, 2),
            new Entry(12, 3, 3),
            new Entry(12, 2, 4),
            new Entry(12, 2, 5)),
        plan(5, 14, 7, 6));
  }

  @Test
  void quotaZero_isSkippedAndTheStepKeepsItsNumber() {
    assertEquals(
        List.of(new Entry(0, 1, 0), new Entry(0, 1, 1), new Entry(2, 1, 5), new Entry(2, 1, 6)),
        plan(0, 4, 2, 10));
  }

  @Test
  void hugeNumberOfSteps_plansOneEntryPerPosition() {
    List<Entry> plan = plan(0, 4, 2, 2_000_000_000);
    assertEquals(4, plan.size());
    assertEquals(1_000_000_001, plan.get(3).step());
  }

  @Test
  void lastStep_isTheBlocksLastThatCommits() {
    var options = DiffusionOptions.builder().genLength(4).blockLength(2).steps(10).build();
    assertEquals(1, new DenoisingPlan(0, options).lastStep(0));
    assertEquals(6, new DenoisingPlan(0, options).lastStep(1));
  }

  @Test
  void quotas_equalTheReferencesFormulaEverywhere() {
    long seed = System.nanoTime();
    var random = new Random(seed);
    for (int round = 0; round < 200; round++) {
      int block = 1 + random.nextInt(40);
      int blocks = 1 + random.nextInt(5);
      int perBlock = 1 + random.nextInt(60);
      List<Entry> plan = plan(3, block * blocks, block, perBlock * blocks);
      int next = 0;
      for (int b = 0; b < blocks; b++) {
        for (int i = 0; i < perBlock; i++) {
          int quota = block / perBlock + (i < block % perBlock ? 1 : 0);
          if (quota > 0) {
            assertEquals(
                new Entry(3 + b * block, quota, b * perBlock + i),
                plan.get(next++),
                "seed " + seed);
          }
        }
      }
      assertEquals(next, plan.size(), "seed " + seed);
    }
  }

  @Test
  void goldenTraces_followThePlan() {
    for (var golden : GoldenCases.all()) {
      List<Entry> plan = entries(golden.promptIds().length, golden.options());
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
}
