package dev.remask.kernel;

import dev.remask.kernel.DiffusionState.Member;
import dev.remask.kernel.DiffusionState.PlanEntry;
import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.kernel.DiffusionState.Sequence;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// A single slot for tests that say in numbers what a step must do: two prompt tokens, then nothing
/// but masks. The model of [StepCase] is compared along the way.
final class OneSlot {
  static final int PROMPT = 2;

  int masks = 4;
  int blockLength = 4;
  int flags;
  CommitRule rule = CommitRule.QUOTA;
  float bound;
  float revisionBound;
  int revisions;
  int cacheRefresh;
  boolean guided;
  long seed;
  int logCapacity;
  private final List<PlanEntry> plan = new ArrayList<>();
  private StepCase steps;

  /// A plan entry; the first of a block says so itself.
  OneSlot entry(int block, int quota, int step, int flags, float chance) {
    boolean first = plan.isEmpty() || plan.getLast().block() != block;
    int all = flags | (first ? DiffusionState.FIRST_OF_BLOCK : 0);
    plan.add(new PlanEntry(block, quota, step, all, chance));
    return this;
  }

  OneSlot entry(int block, int quota, int step) {
    return entry(block, quota, step, 0, 0);
  }

  Sequence sequence(int maskCount, int planEnd, int flags) {
    return new Sequence(
        0,
        guided ? PROMPT + masks : DiffusionState.NO_GUIDANCE,
        maskCount,
        blockLength,
        planEnd,
        flags,
        1,
        0,
        seed,
        RemaskingRule.LOW_CONFIDENCE,
        rule,
        bound,
        revisionBound,
        0,
        1,
        0,
        0,
        0,
        logCapacity,
        cacheRefresh);
  }

  /// Puts it on the device, with the first `active` masks and `planEnd` entries.
  OneSlot on(KernelBench bench, int active, int planEnd) {
    int length = PROMPT + masks;
    var canvas = new int[guided ? 2 * length : length];
    Arrays.fill(canvas, StepCase.MASK);
    canvas[0] = 1;
    canvas[1] = 2;
    steps =
        new StepCase(
            bench,
            "one slot",
            canvas,
            IntStream.range(PROMPT, length).toArray(),
            plan.toArray(PlanEntry[]::new),
            new Sequence[] {sequence(active, planEnd, flags)},
            new Progress[] {Progress.start(0, revisions, Math.min(active, blockLength))},
            2 * blockLength,
            logCapacity);
    return this;
  }

  OneSlot on(KernelBench bench) {
    return on(bench, masks, plan.size());
  }

  /// A step in which the masked or reconsidered rows of the block have these keys, by their place
  /// in the block, and mask i the candidate 100 + i, or the EOS where `ends` says so.
  Progress step(boolean cached, List<Integer> ends, float... keys) {
    var member = new Member(0, 0, 0, PROMPT + masks, 0, blockLength, cached);
    steps.step(
        List.of(member),
        new StepCase.Judge() {
          @Override
          public int candidate(Row row) {
            return ends.contains(row.maskIndex()) ? StepCase.EOS : 100 + row.maskIndex();
          }

          @Override
          public float key(Row row) {
            return row.kind() == DiffusionState.NOTHING ? -1 : keys[row.maskIndex() % blockLength];
          }
        });
    return progress();
  }

  Progress step(float... keys) {
    return step(false, List.of(), keys);
  }

  Progress progress() {
    return steps.slot(0).progress();
  }

  void change(Sequence sequence, Progress progress) {
    steps.change(0, sequence, progress);
  }

  StepCase steps() {
    return steps;
  }

  /// Which masks are committed.
  int[] committed() {
    return IntStream.range(0, masks)
        .filter(i -> steps.canvas(PROMPT + i) != StepCase.MASK)
        .toArray();
  }
}
