package dev.remask.kernel;

import dev.remask.cuda.PinnedMemory;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// The diffusion loop's state as the kernels see it: the Java side of
/// `kernels/include/diffusion_state.h`, which says what every field means. The host writes
/// sequences, plans, members and the first progress into pinned memory and copies them to the
/// device; from there on kernels move them, and the host reads progress and the commit log.
///
/// Records are written and read at a byte offset of pinned memory, or of a direct buffer whose
/// order is native. Any thread. IndexOutOfBoundsException if one does not fit.
public final class DiffusionState {
  /// Logits of the end token are −∞ before anything else.
  public static final int SUPPRESS_EOS = 1;

  /// A position that chose an end token goes last; the others' confidences leave end tokens out.
  public static final int DEFER_EOS = 2;

  /// The sequence ends once a block holds an end token with no mask before it.
  public static final int EARLY_STOP = 4;

  /// Asks for length where the last active block begins without a sure end token.
  public static final int AUTO_LENGTH = 8;

  /// Committed tokens of the block may be masked again.
  public static final int REVISE = 16;

  /// Every commit is recorded.
  public static final int LOG = 32;

  /// Passes over the whole canvas and passes over a part of it take turns.
  public static final int CACHED = 64;

  /// A [PlanEntry] that is repeated until its block has no masks.
  public static final int UNTIL_FULL = 1;

  /// The first [PlanEntry] of its block.
  public static final int FIRST_OF_BLOCK = 2;

  /// A [Row] that gets no candidate.
  public static final int NOTHING = 0;

  /// A [Row] of a masked position: gets a candidate and a key.
  public static final int CHOOSE = 1;

  /// A [Row] of a committed position: gets a key for the token that is there.
  public static final int RECONSIDER = 2;

  /// [Sequence#unconditionalBegin] without guidance.
  public static final int NO_GUIDANCE = Integer.MIN_VALUE;

  /// [CommitRecord#token] of a position that was masked again.
  public static final int MASKED_AGAIN = -1;

  static final StructLayout SEQUENCE_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_INT.withName("canvas_begin"),
              ValueLayout.JAVA_INT.withName("unconditional_begin"),
              ValueLayout.JAVA_INT.withName("mask_count"),
              ValueLayout.JAVA_INT.withName("block_length"),
              ValueLayout.JAVA_INT.withName("plan_end"),
              ValueLayout.JAVA_INT.withName("flags"),
              ValueLayout.JAVA_FLOAT.withName("guidance"),
              ValueLayout.JAVA_FLOAT.withName("temperature"),
              ValueLayout.JAVA_LONG.withName("seed"),
              ValueLayout.JAVA_INT.withName("rule"),
              ValueLayout.JAVA_INT.withName("commit_rule"),
              ValueLayout.JAVA_FLOAT.withName("bound"),
              ValueLayout.JAVA_FLOAT.withName("revision_bound"),
              ValueLayout.JAVA_INT.withName("top_k"),
              ValueLayout.JAVA_FLOAT.withName("top_p"),
              ValueLayout.JAVA_INT.withName("constraint_begin"),
              ValueLayout.JAVA_INT.withName("constraint_count"),
              ValueLayout.JAVA_INT.withName("log_begin"),
              ValueLayout.JAVA_INT.withName("log_capacity"),
              ValueLayout.JAVA_INT.withName("cache_refresh"),
              ValueLayout.JAVA_INT.withName("eos_last"),
              MemoryLayout.sequenceLayout(10, ValueLayout.JAVA_INT).withName("reserved"))
          .withName("Sequence");

  static final StructLayout PROGRESS_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_INT.withName("cursor"),
              ValueLayout.JAVA_INT.withName("repeats"),
              ValueLayout.JAVA_INT.withName("passes"),
              ValueLayout.JAVA_INT.withName("status"),
              ValueLayout.JAVA_INT.withName("revisions_left"),
              ValueLayout.JAVA_INT.withName("log_count"),
              ValueLayout.JAVA_INT.withName("since_whole"),
              ValueLayout.JAVA_INT.withName("masks_left"))
          .withByteAlignment(16)
          .withName("Progress");

  static final StructLayout PLAN_ENTRY_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_INT.withName("block"),
              ValueLayout.JAVA_INT.withName("quota"),
              ValueLayout.JAVA_INT.withName("step"),
              ValueLayout.JAVA_INT.withName("flags"),
              ValueLayout.JAVA_FLOAT.withName("chance"),
              MemoryLayout.sequenceLayout(3, ValueLayout.JAVA_INT).withName("reserved"))
          .withByteAlignment(16)
          .withName("PlanEntry");

  static final StructLayout MEMBER_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_INT.withName("sequence"),
              ValueLayout.JAVA_INT.withName("query_begin"),
              ValueLayout.JAVA_INT.withName("query_first"),
              ValueLayout.JAVA_INT.withName("unconditional_query_begin"),
              ValueLayout.JAVA_INT.withName("row_begin"),
              ValueLayout.JAVA_INT.withName("unconditional_row_begin"),
              ValueLayout.JAVA_INT.withName("cached"),
              ValueLayout.JAVA_INT.withName("reserved"))
          .withByteAlignment(16)
          .withName("Member");

  static final StructLayout ROW_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_INT.withName("sequence"),
              ValueLayout.JAVA_INT.withName("position"),
              ValueLayout.JAVA_INT.withName("step"),
              ValueLayout.JAVA_INT.withName("kind"),
              ValueLayout.JAVA_INT.withName("unconditional_row"),
              ValueLayout.JAVA_INT.withName("target"),
              ValueLayout.JAVA_INT.withName("mask_index"),
              ValueLayout.JAVA_INT.withName("reserved"))
          .withByteAlignment(16)
          .withName("Row");

  static final StructLayout COMMIT_RECORD_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_INT.withName("step"),
              ValueLayout.JAVA_INT.withName("position"),
              ValueLayout.JAVA_INT.withName("token"),
              ValueLayout.JAVA_FLOAT.withName("confidence"))
          .withByteAlignment(16)
          .withName("CommitRecord");

  static final StructLayout PARTIAL_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_FLOAT.withName("max"),
              ValueLayout.JAVA_FLOAT.withName("rest"),
              ValueLayout.JAVA_FLOAT.withName("best"),
              ValueLayout.JAVA_INT.withName("token"),
              ValueLayout.JAVA_FLOAT.withName("clean"),
              ValueLayout.JAVA_FLOAT.withName("spread"),
              ValueLayout.JAVA_FLOAT.withName("first"),
              ValueLayout.JAVA_FLOAT.withName("second"))
          .withByteAlignment(16)
          .withName("SelectPartial");

  /// Bytes of a [Sequence] on the device.
  public static final int SEQUENCE_BYTES = (int) SEQUENCE_LAYOUT.byteSize();

  /// Bytes of a [Progress] on the device.
  public static final int PROGRESS_BYTES = (int) PROGRESS_LAYOUT.byteSize();

  /// Bytes of a [PlanEntry] on the device.
  public static final int PLAN_ENTRY_BYTES = (int) PLAN_ENTRY_LAYOUT.byteSize();

  /// Bytes of a [Member] on the device.
  public static final int MEMBER_BYTES = (int) MEMBER_LAYOUT.byteSize();

  /// Bytes of a [Row] on the device.
  public static final int ROW_BYTES = (int) ROW_LAYOUT.byteSize();

  /// Bytes of a [CommitRecord] on the device.
  public static final int COMMIT_RECORD_BYTES = (int) COMMIT_RECORD_LAYOUT.byteSize();

  static final int PARTIAL_BYTES = (int) PARTIAL_LAYOUT.byteSize();

  private static final int STATUS = (int) offset(PROGRESS_LAYOUT, "status");

  private DiffusionState() {}

  /// What the host says of a slot at admission, and again where it extends one.
  ///
  /// @param canvasBegin arena index of position 0; mask positions and plan start there, too
  /// @param unconditionalBegin the copy's position p is at this + p of the canvas arena;
  ///   [#NO_GUIDANCE]
  /// @param maskCount active masks
  /// @param blockLength masks of a block, and rows of a pass
  /// @param planEnd one past the last active plan entry, an arena index
  /// @param flags [#SUPPRESS_EOS] to [#CACHED]
  /// @param guidance cfg_scale + 1; not read without a copy
  /// @param temperature of the choice of tokens, ≥ 0 and finite; 0: the largest logit
  /// @param seed of the noise of temperature, random order and chance
  /// @param rule what orders its rows
  /// @param commitRule which of them commit
  /// @param bound of a threshold: the largest key that commits, (1 − τ) / τ; of a factor: f
  /// @param revisionBound with [#REVISE]: a committed row whose key exceeds it may be masked again
  /// @param topK 0: off
  /// @param topP 1: off
  /// @param constraintBegin its entries of 16 bytes in the arena of constraints
  /// @param constraintCount how many
  /// @param logBegin its records in the commit log
  /// @param logCapacity records beyond it are dropped
  /// @param cacheRefresh with [#CACHED]: a whole pass after so many others; 0: at a block's begin
  public record Sequence(
      int canvasBegin,
      int unconditionalBegin,
      int maskCount,
      int blockLength,
      int planEnd,
      int flags,
      float guidance,
      float temperature,
      long seed,
      RemaskingRule rule,
      CommitRule commitRule,
      float bound,
      float revisionBound,
      int topK,
      float topP,
      int constraintBegin,
      int constraintCount,
      int logBegin,
      int logCapacity,
      int cacheRefresh) {
    /// Throws IllegalArgumentException if the temperature is negative or not finite, or the block
    /// length below 1.
    public Sequence {
      if (!(temperature >= 0 && Float.isFinite(temperature))) {
        throw new IllegalArgumentException(
            "sequence: temperature is " + temperature + "; wanted a finite number ≥ 0");
      }
      if (blockLength < 1) {
        throw new IllegalArgumentException(
            "sequence: block length is " + blockLength + "; wanted ≥ 1");
      }
    }

    /// Whether it has the flag.
    public boolean has(int flag) {
      return (flags & flag) != 0;
    }

    /// Whether it has an unconditional copy.
    public boolean guided() {
      return unconditionalBegin != NO_GUIDANCE;
    }
  }

  /// How far a slot is.
  ///
  /// @param cursor arena index of its plan entry; the sequence's plan end: done
  /// @param repeats passes that ended at this entry so far
  /// @param passes that it was a member of
  /// @param status how it stands
  /// @param revisionsLeft tokens that may still be masked again
  /// @param logCount records of its log
  /// @param sinceWhole passes over a part of the canvas since a whole one; −1: a whole one is due
  /// @param masksLeft masks of the current block
  public record Progress(
      int cursor,
      int repeats,
      int passes,
      SequenceStatus status,
      int revisionsLeft,
      int logCount,
      int sinceWhole,
      int masksLeft) {
    /// Before the first step; `masksLeft` of the first block.
    public static Progress start(int cursor, int revisions, int masksLeft) {
      return new Progress(cursor, 0, 0, SequenceStatus.RUNNING, revisions, 0, -1, masksLeft);
    }

    /// The same with another status.
    public Progress with(SequenceStatus status) {
      return new Progress(
          cursor, repeats, passes, status, revisionsLeft, logCount, sinceWhole, masksLeft);
    }
  }

  /// One denoising step of a sequence, or with repeats several.
  ///
  /// @param block which block of masks
  /// @param quota tokens to unmask, see [CommitRule#QUOTA]
  /// @param step the schedule's index of the step
  /// @param flags [#UNTIL_FULL], [#FIRST_OF_BLOCK]
  /// @param chance see [CommitRule#CHANCE]
  public record PlanEntry(int block, int quota, int step, int flags, float chance) {}

  /// A slot's place in the current pass.
  ///
  /// @param sequence its slot
  /// @param queryBegin packed index of its position `queryFirst`
  /// @param queryFirst the first position that the pass computes of it
  /// @param unconditionalQueryBegin the same for the copy's position `queryFirst`; not read without
  /// @param rowBegin its first row of logits
  /// @param unconditionalRowBegin the copy's first row of logits; not read without guidance
  /// @param cached whether the pass computes only a part of its positions
  public record Member(
      int sequence,
      int queryBegin,
      int queryFirst,
      int unconditionalQueryBegin,
      int rowBegin,
      int unconditionalRowBegin,
      boolean cached) {}

  /// What a row of logits stands for.
  ///
  /// @param sequence slot
  /// @param position in the canvas; −1 for [#NOTHING]
  /// @param step what noise is drawn for
  /// @param kind [#NOTHING], [#CHOOSE] or [#RECONSIDER]
  /// @param unconditionalRow the copy's row of logits; −1: none
  /// @param target the token that is reconsidered; −1: none
  /// @param maskIndex which of the sequence's masks; −1 for [#NOTHING]
  public record Row(
      int sequence,
      int position,
      int step,
      int kind,
      int unconditionalRow,
      int target,
      int maskIndex) {
    /// A row that stands for nothing, as padding has it.
    public static Row nothing(int sequence) {
      return new Row(sequence, -1, 0, NOTHING, -1, -1, -1);
    }
  }

  /// An entry of the commit log.
  ///
  /// @param step of the schedule
  /// @param position in the canvas
  /// @param token that was committed; [#MASKED_AGAIN]
  /// @param confidence 1 / (1 + key)
  public record CommitRecord(int step, int position, int token, float confidence) {}

  /// Writes the sequence.
  public static void write(PinnedMemory memory, long offset, Sequence sequence) {
    write(memory.buffer(offset, SEQUENCE_BYTES), 0, sequence);
  }

  /// Writes the sequence.
  public static void write(ByteBuffer memory, int offset, Sequence sequence) {
    ByteBuffer at = at(memory, offset, SEQUENCE_BYTES);
    at.putInt(sequence.canvasBegin);
    at.putInt(sequence.unconditionalBegin);
    at.putInt(sequence.maskCount);
    at.putInt(sequence.blockLength);
    at.putInt(sequence.planEnd);
    at.putInt(sequence.flags);
    at.putFloat(sequence.guidance);
    at.putFloat(sequence.temperature);
    at.putLong(sequence.seed);
    at.putInt(sequence.rule.code);
    at.putInt(sequence.commitRule.code);
    at.putFloat(sequence.bound);
    at.putFloat(sequence.revisionBound);
    at.putInt(sequence.topK);
    at.putFloat(sequence.topP);
    at.putInt(sequence.constraintBegin);
    at.putInt(sequence.constraintCount);
    at.putInt(sequence.logBegin);
    at.putInt(sequence.logCapacity);
    at.putInt(sequence.cacheRefresh);
    while (at.hasRemaining()) {
      at.putInt(0);
    }
  }

  /// Writes the progress.
  public static void write(PinnedMemory memory, long offset, Progress progress) {
    write(memory.buffer(offset, PROGRESS_BYTES), 0, progress);
  }

  /// Writes the progress.
  public static void write(ByteBuffer memory, int offset, Progress progress) {
    ByteBuffer at = at(memory, offset, PROGRESS_BYTES);
    at.putInt(progress.cursor);
    at.putInt(progress.repeats);
    at.putInt(progress.passes);
    at.putInt(progress.status.code);
    at.putInt(progress.revisionsLeft);
    at.putInt(progress.logCount);
    at.putInt(progress.sinceWhole);
    at.putInt(progress.masksLeft);
  }

  /// Reads a progress.
  public static Progress readProgress(PinnedMemory memory, long offset) {
    return readProgress(memory.buffer(offset, PROGRESS_BYTES), 0);
  }

  /// Reads a progress.
  public static Progress readProgress(ByteBuffer memory, int offset) {
    ByteBuffer at = at(memory, offset, PROGRESS_BYTES);
    return new Progress(
        at.getInt(),
        at.getInt(),
        at.getInt(),
        SequenceStatus.of(at.getInt()),
        at.getInt(),
        at.getInt(),
        at.getInt(),
        at.getInt());
  }

  /// Whether the progress is of a sequence that is running. Allocates nothing, unlike
  /// [#readProgress]: for loops that look at it after every step.
  public static boolean isRunning(ByteBuffer memory, int offset) {
    return memory.getInt(offset + STATUS) == SequenceStatus.RUNNING.code;
  }

  /// Writes the entry.
  public static void write(PinnedMemory memory, long offset, PlanEntry entry) {
    write(memory.buffer(offset, PLAN_ENTRY_BYTES), 0, entry);
  }

  /// Writes the entry.
  public static void write(ByteBuffer memory, int offset, PlanEntry entry) {
    ByteBuffer at = at(memory, offset, PLAN_ENTRY_BYTES);
    at.putInt(entry.block);
    at.putInt(entry.quota);
    at.putInt(entry.step);
    at.putInt(entry.flags);
    at.putFloat(entry.chance);
    at.putInt(0).putInt(0).putInt(0);
  }

  /// Writes the member.
  public static void write(PinnedMemory memory, long offset, Member member) {
    write(memory.buffer(offset, MEMBER_BYTES), 0, member);
  }

  /// Writes the member.
  public static void write(ByteBuffer memory, int offset, Member member) {
    ByteBuffer at = at(memory, offset, MEMBER_BYTES);
    at.putInt(member.sequence);
    at.putInt(member.queryBegin);
    at.putInt(member.queryFirst);
    at.putInt(member.unconditionalQueryBegin);
    at.putInt(member.rowBegin);
    at.putInt(member.unconditionalRowBegin);
    at.putInt(member.cached ? 1 : 0);
    at.putInt(0);
  }

  /// Writes the row.
  public static void write(PinnedMemory memory, long offset, Row row) {
    write(memory.buffer(offset, ROW_BYTES), 0, row);
  }

  /// Writes the row.
  public static void write(ByteBuffer memory, int offset, Row row) {
    ByteBuffer at = at(memory, offset, ROW_BYTES);
    at.putInt(row.sequence);
    at.putInt(row.position);
    at.putInt(row.step);
    at.putInt(row.kind);
    at.putInt(row.unconditionalRow);
    at.putInt(row.target);
    at.putInt(row.maskIndex);
    at.putInt(0);
  }

  /// Reads a row.
  public static Row readRow(PinnedMemory memory, long offset) {
    return readRow(memory.buffer(offset, ROW_BYTES), 0);
  }

  /// Reads a row.
  public static Row readRow(ByteBuffer memory, int offset) {
    ByteBuffer at = at(memory, offset, ROW_BYTES);
    return new Row(
        at.getInt(), at.getInt(), at.getInt(), at.getInt(), at.getInt(), at.getInt(), at.getInt());
  }

  /// Reads a record.
  public static CommitRecord readCommitRecord(PinnedMemory memory, long offset) {
    return readCommitRecord(memory.buffer(offset, COMMIT_RECORD_BYTES), 0);
  }

  /// Reads a record.
  public static CommitRecord readCommitRecord(ByteBuffer memory, int offset) {
    ByteBuffer at = at(memory, offset, COMMIT_RECORD_BYTES);
    return new CommitRecord(at.getInt(), at.getInt(), at.getInt(), at.getFloat());
  }

  private static ByteBuffer at(ByteBuffer memory, int offset, int bytes) {
    return memory.slice(offset, bytes).order(ByteOrder.nativeOrder());
  }

  static long offset(StructLayout layout, String field) {
    return layout.byteOffset(MemoryLayout.PathElement.groupElement(field));
  }
}
