package dev.remask.diffusion;

import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.CommitRule;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.DiffusionState.Member;
import dev.remask.kernel.DiffusionState.PlanEntry;
import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.kernel.DiffusionState.Sequence;
import dev.remask.kernel.SequenceStatus;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.WorkspaceLimits;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/// Who has which place in the loop's memory, and the uploads of what stands there. Device thread
/// only.
final class Slots {
  private final LoopMemory memory;
  private final WorkspaceLimits limits;
  private final SpecialTokens tokens;
  private final Staging staging;
  private final Regions arena;
  private final Regions constraints;
  private final Regions log;
  private final Regions cache;
  private final Slot[] taken;

  // What the slots take of a pass together.
  private int usedTokens;
  private int usedRows;
  private int usedSequences;

  Slots(LoopMemory memory, WorkspaceLimits limits, SpecialTokens tokens, Stream stream) {
    this.memory = memory;
    this.limits = limits;
    this.tokens = tokens;
    staging = new Staging(memory.staging, stream);
    arena = new Regions(memory.arenaSize);
    constraints = new Regions(memory.constraintEntries);
    log = new Regions(memory.logRecords);
    cache = new Regions(limits.maxCacheTokens());
    taken = new Slot[limits.maxSequences()];
  }

  void requireFits(SlotRequest request) {
    checkLimit("maxSequences", request.sequences(), limits.maxSequences(), "sequences");
    checkLimit("maxTokens", request.tokens(), limits.maxTokens(), "tokens in one pass");
    checkLimit("maxRows", request.rows(), limits.maxRows(), "rows of logits in one step");
    checkLimit("maxCacheTokens", request.cacheTokens(), limits.maxCacheTokens(), "tokens of cache");
    checkLimit("maxTokens", arenaLength(request), arena.size(), "entries of plan");
    checkLimit(
        "maxTokens",
        entries(request.constraints().encode(0, 0)),
        constraints.size(),
        "entries of constraints");
    checkLimit("maxTokens", logCapacity(request), log.size(), "records of commits");
  }

  private static void checkLimit(String setting, long needed, int limit, String what) {
    if (needed > limit) {
      throw new InvalidOptionException(
          setting,
          "is too small for this request: it needs "
              + needed
              + " "
              + what
              + " (an unconditional copy for cfg_scale included), the model was loaded for "
              + limit
              + "; raise LoadOptions."
              + setting
              + " (--"
              + setting.replaceAll("([A-Z])", "-$1").toLowerCase(Locale.ROOT)
              + ")");
    }
  }

  /// The slot, its uploads enqueued, or null when something has no room now.
  Slot admit(SlotRequest request) {
    int index = 0;
    while (index < taken.length && taken[index] != null) {
      index++;
    }
    if (index == taken.length
        || usedTokens + request.tokens() > limits.maxTokens()
        || usedRows + request.rows() > limits.maxRows()
        || usedSequences + request.sequences() > limits.maxSequences()) {
      return null;
    }
    int begin = arena.take(arenaLength(request));
    int constraintEntries = entries(request.constraints().encode(0, 0));
    int constraintBegin = constraints.take(constraintEntries);
    int logBegin = log.take(logCapacity(request));
    int cacheBegin = cache.take(request.cacheTokens());
    var slot =
        new Slot(
            index,
            request,
            maskPositions(request.canvas()),
            begin,
            constraintBegin,
            constraintEntries,
            logBegin,
            cacheBegin);
    if (begin == Regions.NONE
        || constraintBegin == Regions.NONE
        || logBegin == Regions.NONE
        || cacheBegin == Regions.NONE) {
      giveRegions(slot);
      return null;
    }
    taken[index] = slot;
    usedTokens += request.tokens();
    usedRows += request.rows();
    usedSequences += request.sequences();
    try {
      upload(slot);
    } catch (Throwable failure) {
      release(slot);
      throw failure;
    }
    return slot;
  }

  void release(Slot slot) {
    if (slot.released) {
      throw new IllegalStateException("slot " + slot.index + " is released already");
    }
    slot.released = true;
    taken[slot.index] = null;
    usedTokens -= slot.request.tokens();
    usedRows -= slot.request.rows();
    usedSequences -= slot.request.sequences();
    giveRegions(slot);
  }

  private void giveRegions(Slot slot) {
    give(arena, slot.begin, arenaLength(slot.request));
    give(constraints, slot.constraintBegin, slot.constraintEntries);
    give(log, slot.logBegin, logCapacity(slot.request));
    give(cache, slot.cacheBegin, slot.request.cacheTokens());
  }

  private static void give(Regions regions, int begin, int length) {
    if (begin != Regions.NONE) {
      regions.give(begin, length);
    }
  }

  private int[] maskPositions(int[] canvas) {
    int[] positions = new int[canvas.length];
    int count = 0;
    for (int position = 0; position < canvas.length; position++) {
      if (canvas[position] == tokens.mask()) {
        positions[count++] = position;
      }
    }
    return Arrays.copyOf(positions, count);
  }

  /// Elements of the arenas whose elements are tokens, mask positions and plan entries.
  private static int arenaLength(SlotRequest request) {
    return Math.max(request.tokens(), request.plan().size());
  }

  /// Entries of the constraints' arena: the rules, then their data.
  private static int entries(Constraints.Encoded encoded) {
    return encoded.count() + Math.ceilDiv(encoded.data().length, Constraints.ENTRY_INTS);
  }

  /// Every mask commits once, and a revision takes two records more.
  private static int logCapacity(SlotRequest request) {
    return request.log()
        ? Math.addExact(
            request.plan().maskCount(), Math.multiplyExact(2, request.options().revisionBudget()))
        : 0;
  }

  private void upload(Slot slot) {
    SlotRequest request = slot.request;
    staging.upload(memory.canvas, slot.canvasBegin(), request.canvas());
    if (slot.guided()) {
      staging.upload(memory.canvas, slot.copyBegin(), request.unconditionalOrNull());
    }
    staging.upload(memory.maskPositions, slot.begin, slot.maskPositions);
    uploadPlan(slot);
    uploadConstraints(slot);
    uploadSequence(slot);
    int firstBlock = Math.min(request.options().blockLength(), slot.activeMasks);
    Progress start = Progress.start(slot.begin, request.options().revisionBudget(), firstBlock);
    uploadProgress(
        slot, slot.maskPositions.length == 0 ? start.with(SequenceStatus.FILLED) : start);
    memory.mapped.storeInt(headOffset(slot), 0);
  }

  private void uploadConstraints(Slot slot) {
    SlotRequest request = slot.request;
    if (!request.constraints().isEmpty()) {
      int begin = slot.constraintBegin;
      int count = request.constraints().encode(0, 0).count();
      int dataBegin = (begin + count) * Constraints.ENTRY_INTS;
      Constraints.Encoded encoded = request.constraints().encode(request.answerBegin(), dataBegin);
      staging.upload(memory.constraints, (long) begin * Constraints.ENTRY_INTS, encoded.entries());
      staging.upload(memory.constraints, dataBegin, encoded.data());
      slot.constraintCount = count;
    }
  }

  private void uploadPlan(Slot slot) {
    DenoisingPlan plan = slot.request.plan();
    if (plan.size() == 0) {
      return;
    }
    long bytes = (long) plan.size() * DiffusionState.PLAN_ENTRY_BYTES;
    long at = staging.take(bytes);
    ByteBuffer entries = staging.memory().buffer(at, Math.toIntExact(bytes));
    for (int i = 0; i < plan.size(); i++) {
      DiffusionState.write(
          entries,
          i * DiffusionState.PLAN_ENTRY_BYTES,
          new PlanEntry(plan.block(i), plan.quota(i), plan.step(i), plan.flags(i), plan.chance(i)));
    }
    staging.upload(
        memory.plan.slice((long) slot.begin * DiffusionState.PLAN_ENTRY_BYTES, bytes), at, bytes);
  }

  private void uploadSequence(Slot slot) {
    SlotRequest request = slot.request;
    DiffusionOptions options = request.options();
    var sequence =
        new Sequence(
            slot.canvasBegin(),
            slot.guided() ? slot.copyBegin() + request.shift() : DiffusionState.NO_GUIDANCE,
            slot.activeMasks,
            options.blockLength(),
            slot.planEnd(),
            flags(slot),
            (float) (options.cfgScale() + 1),
            (float) options.temperature(),
            options.seed(),
            options.remasking().kernelRule(),
            commitRule(options),
            bound(options),
            (float) key(options.revisionThreshold()),
            options.topK(),
            (float) options.topP(),
            slot.constraintBegin,
            slot.constraintCount,
            slot.logBegin,
            logCapacity(request),
            options.cacheRefresh());
    long at = staging.take(DiffusionState.SEQUENCE_BYTES);
    DiffusionState.write(staging.memory(), at, sequence);
    staging.upload(
        memory.sequences.slice(
            (long) slot.index * DiffusionState.SEQUENCE_BYTES, DiffusionState.SEQUENCE_BYTES),
        at,
        DiffusionState.SEQUENCE_BYTES);
  }

  private static CommitRule commitRule(DiffusionOptions options) {
    if (options.threshold().isPresent()) {
      return CommitRule.THRESHOLD;
    }
    if (options.factor().isPresent()) {
      return CommitRule.FACTOR;
    }
    return options.remasking() == Remasking.ORIGIN ? CommitRule.CHANCE : CommitRule.QUOTA;
  }

  private static float bound(DiffusionOptions options) {
    if (options.threshold().isPresent()) {
      return (float) key(options.threshold().getAsDouble());
    }
    return (float) options.factor().orElse(0);
  }

  /// The key of a confidence: the odds of being wrong.
  private static double key(double confidence) {
    return (1 - confidence) / confidence;
  }

  private static int flags(Slot slot) {
    DiffusionOptions options = slot.request.options();
    return (options.suppressEos() ? DiffusionState.SUPPRESS_EOS : 0)
        | (options.deferEos() ? DiffusionState.DEFER_EOS : 0)
        | (options.earlyStop() ? DiffusionState.EARLY_STOP : 0)
        | (slot.mayGrow ? DiffusionState.AUTO_LENGTH : 0)
        | (options.revises() ? DiffusionState.REVISE : 0)
        | (slot.request.log() ? DiffusionState.LOG : 0)
        | (slot.cached() ? DiffusionState.CACHED : 0);
  }

  private void uploadProgress(Slot slot, Progress progress) {
    long at = staging.take(DiffusionState.PROGRESS_BYTES);
    DiffusionState.write(staging.memory(), at, progress);
    staging.upload(
        memory.progress.slice(
            (long) slot.index * DiffusionState.PROGRESS_BYTES, DiffusionState.PROGRESS_BYTES),
        at,
        DiffusionState.PROGRESS_BYTES);
    slot.progress(progress);
  }

  void uploadMembers(List<Member> members) {
    long bytes = (long) members.size() * DiffusionState.MEMBER_BYTES;
    long at = staging.take(bytes);
    for (int i = 0; i < members.size(); i++) {
      DiffusionState.write(
          staging.memory(), at + (long) i * DiffusionState.MEMBER_BYTES, members.get(i));
    }
    staging.upload(memory.members, at, bytes);
  }

  /// The device is idle, and the progress of all slots has been copied back.
  void readProgress(List<Slot> members) {
    staging.idle();
    for (Slot slot : members) {
      slot.progress(
          DiffusionState.readProgress(
              memory.readback, (long) slot.index * DiffusionState.PROGRESS_BYTES));
    }
  }

  void resume(Slot slot) {
    uploadProgress(slot, slot.progress().with(SequenceStatus.RUNNING));
  }

  void extend(Slot slot) {
    int all = slot.maskPositions.length;
    slot.activeMasks = Math.min(all, slot.activeMasks + slot.request.options().blockLength());
    slot.mayGrow = slot.activeMasks < all;
    uploadSequence(slot);
    resume(slot);
  }

  CommitLog log(Slot slot) {
    PinnedMemory mapped = memory.mapped;
    return new CommitLog(
        mapped,
        headOffset(slot),
        LoopMemory.logOffset(taken.length)
            + (long) slot.logBegin * DiffusionState.COMMIT_RECORD_BYTES);
  }

  private static long headOffset(Slot slot) {
    return LoopMemory.headsOffset() + (long) slot.index * Integer.BYTES;
  }
}
