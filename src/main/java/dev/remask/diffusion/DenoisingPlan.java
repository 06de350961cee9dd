package dev.remask.diffusion;

/// The steps of one answer that may commit something, in order. Immutable and pure: it follows from
/// the number of masks and the options alone.
///
/// Masks are counted, not positions: block b holds masks [b·B, min((b+1)·B, n)) of the n masks in
/// ascending position, so the last block of a canvas may be short.
///
/// - Rules with quotas (low_confidence, random, entropy, margin): an entry for each step that
///   commits something, see [Schedule]; at most one a mask, however many steps are asked for.
/// - origin: an entry for each step, with the chance that a mask is committed in it.
/// - threshold and factor: one entry a block, [#UNTIL_FULL]: it is repeated until no mask is left.
/// - With a revision budget the last entry of every block is [#UNTIL_FULL], because a block may
///   then hold masks after its planned steps.
public final class DenoisingPlan {
  /// Flag of an entry: it is repeated until its block holds no mask.
  public static final int UNTIL_FULL = 1;

  /// Flag of an entry: the first of its block.
  public static final int FIRST_OF_BLOCK = 2;

  private final int blockLength;
  private final int revisionBudget;
  private final boolean adaptive;
  private final boolean byChance;
  private final int[] blockEnds; // entries up to and with each block
  private final int[] block;
  private final int[] quota;
  private final int[] step;
  private final float[] chance;
  private final int maskCount;
  private int size;

  private DenoisingPlan(int maskCount, DiffusionOptions options) {
    this.maskCount = maskCount;
    blockLength = options.blockLength();
    revisionBudget = options.revisionBudget();
    adaptive = options.adaptive();
    byChance = options.remasking() == Remasking.ORIGIN;
    int blocks = Math.ceilDiv(maskCount, blockLength);
    blockEnds = new int[blocks];
    block = new int[maskCount];
    quota = new int[maskCount];
    step = new int[maskCount];
    chance = new float[maskCount];
    int firstStep = 0;
    for (int b = 0; b < blocks; b++) {
      int masks = Math.min(blockLength, maskCount - b * blockLength);
      int steps = adaptive ? masks : options.stepsOfBlock(b, masks, blocks);
      addBlock(b, masks, steps, firstStep, options);
      blockEnds[b] = size;
      firstStep = Math.addExact(Math.addExact(firstStep, steps), revisionBudget);
    }
  }

  /// The plan that fills `maskCount` masks by valid options. With automatic length, the masks of
  /// the longest answer; [#end] tells where a shorter one ends.
  public static DenoisingPlan of(int maskCount, DiffusionOptions options) {
    return new DenoisingPlan(maskCount, options);
  }

  private void addBlock(int b, int masks, int steps, int firstStep, DiffusionOptions options) {
    Schedule schedule = options.schedule();
    if (adaptive) {
      add(b, masks, firstStep, 0);
    } else if (byChance) {
      for (int i = 0; i < steps; i++) {
        add(b, 0, firstStep + i, schedule.chance(i, steps));
      }
    } else {
      int committed = 0;
      for (int i = 0; committed < masks; i++) {
        i = firstThatCommits(schedule, masks, i, steps, committed);
        int after = schedule.committed(masks, i + 1, steps);
        add(b, after - committed, firstStep + i, 0);
        committed = after;
      }
    }
  }

  /// The first step from `from` on after which more than `committed` masks are committed: a search,
  /// because steps may be two thousand million.
  private static int firstThatCommits(
      Schedule schedule, int masks, int from, int steps, int committed) {
    int low = from;
    int high = steps - 1;
    while (low < high) {
      int middle = low + (high - low) / 2;
      if (schedule.committed(masks, middle + 1, steps) > committed) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  private void add(int ofBlock, int ofQuota, int ofStep, float ofChance) {
    block[size] = ofBlock;
    quota[size] = ofQuota;
    step[size] = ofStep;
    chance[size] = ofChance;
    size++;
  }

  /// Entries in all: at most one a mask.
  public int size() {
    return size;
  }

  /// The masks it fills.
  public int maskCount() {
    return maskCount;
  }

  /// The number of blocks.
  public int blocks() {
    return blockEnds.length;
  }

  /// One past the last entry that the first `masks` masks need; `masks` is [#maskCount], or a whole
  /// number of blocks.
  public int end(int masks) {
    return masks == 0 ? 0 : blockEnds[Math.ceilDiv(masks, blockLength) - 1];
  }

  /// The entry's block, from 0.
  public int block(int entry) {
    return block[entry];
  }

  /// Masks to commit, at least 1; 0 under origin, and the block's masks under threshold and factor,
  /// where it is not what decides.
  public int quota(int entry) {
    return quota[entry];
  }

  /// The schedule's number of the step over the whole answer: steps that are skipped count, and
  /// each block of a revising plan leaves room for its budget. An entry that is repeated counts on
  /// from here.
  public int step(int entry) {
    return step[entry];
  }

  /// [#UNTIL_FULL], [#FIRST_OF_BLOCK] or both or none.
  public int flags(int entry) {
    int first = entry == 0 || block[entry - 1] != block[entry] ? FIRST_OF_BLOCK : 0;
    return first | (repeats(entry) ? UNTIL_FULL : 0);
  }

  private boolean repeats(int entry) {
    boolean last = entry == blockEnds[block[entry]] - 1;
    return last && (revisionBudget > 0 || adaptive);
  }

  /// Under origin the chance with which each mask is committed, else 0.
  public float chance(int entry) {
    return chance[entry];
  }

  /// The most passes that it can take. Every pass of an entry that is repeated commits at least one
  /// mask, and the budget bounds those that come back.
  public int maxPasses() {
    long passes = 0;
    for (int entry = 0; entry < size; entry++) {
      passes += adaptive ? quota[entry] : 1;
    }
    return (int) Math.min(Integer.MAX_VALUE, passes + revisionBudget);
  }
}
