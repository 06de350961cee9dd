package dev.remask.kernel;

import dev.remask.kernel.DiffusionState.Member;
import dev.remask.kernel.DiffusionState.PlanEntry;
import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.kernel.DiffusionState.Sequence;
import dev.remask.testing.Seed;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;

/// A random run of the loop: a few slots with any rules, plans and flags, steps of any of them in
/// any order with keys of every kind, and a host that answers what the slots ask for.
final class StepRun {
  /// A slot's place in the arenas and what it may still grow by.
  private record Place(int length, int maxMasks, int fullPlanEnd, int revisionBudget) {}

  private final SplittableRandom random;
  private final String what;
  private final List<Integer> canvas = new ArrayList<>();
  private final List<Integer> maskPositions = new ArrayList<>();
  private final List<PlanEntry> plan = new ArrayList<>();
  private final List<Sequence> sequences = new ArrayList<>();
  private final List<Progress> progress = new ArrayList<>();
  private final List<Place> places = new ArrayList<>();
  private final int[] blockLengths;
  private int logRecords;

  StepRun(Seed seed, String what, int... blockLengths) {
    random = seed.random();
    this.what = what + ", " + seed;
    this.blockLengths = blockLengths;
  }

  private boolean chance(double probability) {
    return random.nextDouble() < probability;
  }

  private int uniform(int low, int high) {
    return low + random.nextInt(high - low + 1);
  }

  @SafeVarargs
  private <T> T anyOf(T... values) {
    return values[random.nextInt(values.length)];
  }

  /// How slots stood after the steps of a run, and what else happened.
  record Seen(EnumSet<SequenceStatus> statuses, EnumSet<CommitRule> filledBy, long masked) {
    Seen() {
      this(EnumSet.noneOf(SequenceStatus.class), EnumSet.noneOf(CommitRule.class), 0);
    }

    Seen and(Seen other) {
      var all = new Seen(EnumSet.copyOf(statuses), EnumSet.copyOf(filledBy), masked + other.masked);
      all.statuses.addAll(other.statuses);
      all.filledBy.addAll(other.filledBy);
      return all;
    }
  }

  /// Draws slots and runs at most `steps` steps.
  Seen run(KernelBench bench, int steps) {
    int slots = uniform(1, 4);
    for (int i = 0; i < slots; i++) {
      addSlot();
    }
    int rows = 5;
    for (Sequence sequence : sequences) {
      rows += 2 * sequence.blockLength() + 3;
    }
    var run =
        new StepCase(
            bench,
            what,
            canvas.stream().mapToInt(i -> i).toArray(),
            maskPositions.stream().mapToInt(i -> i).toArray(),
            plan.toArray(PlanEntry[]::new),
            sequences.toArray(Sequence[]::new),
            progress.toArray(Progress[]::new),
            rows,
            logRecords);
    var statuses = EnumSet.noneOf(SequenceStatus.class);
    var filledBy = EnumSet.noneOf(CommitRule.class);
    for (int step = 0; step < steps; step++) {
      boolean running = false;
      for (int i = 0; i < slots; i++) {
        answer(run, i);
        running |= run.slot(i).progress().status() == SequenceStatus.RUNNING;
      }
      if (!running) {
        break;
      }
      run.step(members(run), new Keys());
      for (int i = 0; i < slots; i++) {
        SequenceStatus status = run.slot(i).progress().status();
        statuses.add(status);
        if (status == SequenceStatus.FILLED) {
          filledBy.add(sequences.get(i).commitRule());
        }
      }
    }
    long masked = 0;
    for (int i = 0; i < slots; i++) {
      masked +=
          run.slot(i).log().stream().filter(r -> r.token() == DiffusionState.MASKED_AGAIN).count();
    }
    return new Seen(statuses, filledBy, masked);
  }

  private void addSlot() {
    int block = anyOf(box(blockLengths));
    int most = Math.min(3 * block + 2, block + 400);
    int maxMasks = uniform(1, most);
    boolean autoLength = chance(0.25);
    int masks = autoLength ? uniform(1, maxMasks) : maxMasks;
    int prompt = uniform(0, 4);
    double hole = anyOf(0.0, 0.0, 0.3);
    // Arenas start at the same index: the largest of the three parts decides how far apart.
    int begin = canvas.size() + uniform(0, 3);
    var tokens = new ArrayList<Integer>();
    var masksAt = new ArrayList<Integer>();
    for (int p = 0; p < prompt; p++) {
      tokens.add(100 + p);
    }
    while (masksAt.size() < maxMasks) {
      if (chance(hole)) {
        tokens.add(anyOf(200, StepCase.EOS));
      } else {
        masksAt.add(tokens.size());
        tokens.add(StepCase.MASK);
      }
    }
    CommitRule rule = anyOf(CommitRule.values());
    boolean revise = chance(0.3);
    List<PlanEntry> entries = plan(rule, maxMasks, block);
    int blocks = Math.ceilDiv(masks, block);
    int active = (int) entries.stream().filter(e -> e.block() < blocks).count();
    boolean guided = chance(0.3);
    int shift = uniform(-prompt, 3); // a negative prompt of another length
    int copyBegin = begin + Math.max(tokens.size(), entries.size()) + 3 - Math.min(shift, 0);
    int end = guided ? copyBegin + tokens.size() + 6 : copyBegin;
    fill(canvas, begin, tokens, end, 50);
    fill(maskPositions, begin, masksAt, end, -7);
    while (plan.size() < begin) {
      plan.add(new PlanEntry(-1, -1, -1, -1, Float.NaN));
    }
    plan.addAll(entries);
    while (plan.size() < end) {
      plan.add(new PlanEntry(-1, -1, -1, -1, Float.NaN));
    }
    int budget = revise ? uniform(0, 20) : 0;
    boolean log = chance(0.6);
    int capacity = log ? (chance(0.1) ? uniform(0, masks) : maxMasks + 2 * budget) : 0;
    int flags =
        (autoLength ? DiffusionState.AUTO_LENGTH : 0)
            | (revise ? DiffusionState.REVISE : 0)
            | (log ? DiffusionState.LOG : 0)
            | (chance(0.3) ? DiffusionState.EARLY_STOP : 0)
            | (chance(0.4) ? DiffusionState.CACHED : 0)
            | uniform(0, 3);
    float bound = rule == CommitRule.FACTOR ? anyOf(0.1f, 1f, 1.5f, 4f, 30f) : anyKey();
    sequences.add(
        new Sequence(
            begin,
            guided ? copyBegin + shift : DiffusionState.NO_GUIDANCE,
            masks,
            block,
            begin + active,
            flags,
            1.5f,
            0,
            random.nextLong(),
            anyOf(RemaskingRule.values()),
            rule,
            bound,
            anyOf(0f, 0.5f, 3f, Float.POSITIVE_INFINITY),
            0,
            1,
            0,
            0,
            logRecords,
            capacity,
            anyOf(0, 0, 1, 3)));
    logRecords += capacity + 1;
    Progress start = Progress.start(begin, budget, Math.min(block, masks));
    progress.add(chance(0.05) ? start.with(anyOf(SequenceStatus.values())) : start);
    places.add(new Place(tokens.size(), maxMasks, begin + entries.size(), budget));
  }

  private static Integer[] box(int[] values) {
    return Arrays.stream(values).boxed().toArray(Integer[]::new);
  }

  private static void fill(List<Integer> arena, int begin, List<Integer> part, int end, int pad) {
    while (arena.size() < begin) {
      arena.add(pad);
    }
    arena.addAll(part);
    while (arena.size() < end) {
      arena.add(pad);
    }
  }

  /// Entries for all blocks. Mostly plans that fill them; some that leave masks to the last entry.
  private List<PlanEntry> plan(CommitRule rule, int masks, int block) {
    var entries = new ArrayList<PlanEntry>();
    for (int b = 0; b * block < masks; b++) {
      int left = Math.min(block, masks - b * block);
      boolean once = rule == CommitRule.THRESHOLD || rule == CommitRule.FACTOR;
      int count = once ? 1 : uniform(1, Math.min(left, 9));
      for (int e = 0; e < count; e++) {
        boolean last = e == count - 1;
        int quota = last ? left : Math.min(left, uniform(0, 2 * left / (count - e)));
        left -= quota;
        int flags =
            (e == 0 ? DiffusionState.FIRST_OF_BLOCK : 0)
                | (once || chance(0.1) ? DiffusionState.UNTIL_FULL : 0);
        float chance = last && chance(0.7) ? 1 : random.nextFloat();
        int given = chance(0.05) ? 1 : quota;
        entries.add(new PlanEntry(b, given, uniform(0, 1000), flags, chance));
      }
    }
    return entries;
  }

  /// What the host does about a slot that asks for something.
  private void answer(StepCase run, int slot) {
    Sequence sequence = run.slot(slot).sequence();
    Progress at = run.slot(slot).progress();
    Place place = places.get(slot);
    switch (at.status()) {
      case WANTS_PASS -> run.change(slot, sequence, at.with(SequenceStatus.RUNNING));
      case WANTS_LENGTH -> {
        int masks = Math.min(sequence.maskCount() + sequence.blockLength(), place.maxMasks);
        boolean longer = masks > sequence.maskCount();
        int blocks = Math.ceilDiv(masks, sequence.blockLength());
        int planEnd = sequence.canvasBegin();
        while (planEnd < place.fullPlanEnd && plan.get(planEnd).block() < blocks) {
          planEnd++;
        }
        int flags = longer ? sequence.flags() : sequence.flags() & ~DiffusionState.AUTO_LENGTH;
        run.change(slot, with(sequence, masks, planEnd, flags), at.with(SequenceStatus.RUNNING));
      }
      case STUCK -> {
        if (chance(0.8)) {
          run.change(slot, sequence, at.with(SequenceStatus.RUNNING));
        }
      }
      case RUNNING, FILLED, STOPPED -> {}
    }
  }

  private static Sequence with(Sequence s, int maskCount, int planEnd, int flags) {
    return new Sequence(
        s.canvasBegin(),
        s.unconditionalBegin(),
        maskCount,
        s.blockLength(),
        planEnd,
        flags,
        s.guidance(),
        s.temperature(),
        s.seed(),
        s.rule(),
        s.commitRule(),
        s.bound(),
        s.revisionBound(),
        s.topK(),
        s.topP(),
        s.constraintBegin(),
        s.constraintCount(),
        s.logBegin(),
        s.logCapacity(),
        s.cacheRefresh());
  }

  /// Some of the slots in any order, somewhere in a pass.
  private List<Member> members(StepCase run) {
    var chosen = new ArrayList<Integer>();
    for (int i = 0; i < sequences.size(); i++) {
      if (chance(0.85)) {
        chosen.add(i);
      }
    }
    if (chosen.isEmpty()) {
      chosen.add(random.nextInt(sequences.size()));
    }
    Collections.shuffle(chosen, new Random(random.nextLong()));
    var members = new ArrayList<Member>();
    int row = uniform(0, 2);
    for (int slot : chosen) {
      Sequence sequence = sequences.get(slot);
      int copyRow = row + sequence.blockLength();
      boolean cached =
          sequence.has(DiffusionState.CACHED)
              && run.slot(slot).progress().sinceWhole() >= 0
              && chance(0.95);
      members.add(
          new Member(slot, uniform(0, 99), uniform(0, 9), uniform(100, 199), row, copyRow, cached));
      row = copyRow + (sequence.guided() ? sequence.blockLength() : 0) + uniform(0, 3);
    }
    return members;
  }

  private float anyKey() {
    return switch (random.nextInt(12)) {
      case 0 -> Float.POSITIVE_INFINITY;
      case 1 -> anyOf(0f, -0f, Float.MIN_VALUE, 1f, Float.MAX_VALUE);
      case 2 -> (float) Math.scalb(random.nextDouble(), uniform(-140, 120));
      case 3, 4, 5 -> random.nextFloat() * 3;
      default -> random.nextInt(5) * 0.37f;
    };
  }

  /// The keys and candidates of a step. Rows that stand for nothing get some, too: what lies there
  /// must not matter.
  private final class Keys implements StepCase.Judge {
    private final double absent = anyOf(0.0, 0.1, 0.6, 1.0);
    private final double ends = anyOf(0.0, 0.02, 0.3);
    private final boolean sure = chance(0.5);

    @Override
    public int candidate(Row row) {
      if (chance(ends)) {
        return StepCase.EOS;
      }
      return uniform(StepCase.MASK + 1, StepCase.TOKENS.vocabulary() - 1);
    }

    @Override
    public float key(Row row) {
      if (chance(absent) && !(sure && chance(0.9))) {
        return anyOf(-1f, Float.NaN, Float.NEGATIVE_INFINITY);
      }
      return anyKey();
    }
  }
}
