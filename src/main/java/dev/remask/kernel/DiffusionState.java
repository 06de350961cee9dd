package dev.remask.kernel;

import dev.remask.cuda.PinnedMemory;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;

/// The diffusion loop's state as the kernels see it: the Java side of
/// `kernels/include/diffusion_state.h`. Written into pinned memory and copied to the device once
/// per generation; from there on kernels advance it.
public final class DiffusionState {
  /// Logits of the end token are −∞ before anything else.
  public static final int SUPPRESS_EOS = 1;

  /// A position that chose an end token goes last; the others' confidences leave end tokens out.
  public static final int DEFER_EOS = 2;

  static final StructLayout SEQUENCE_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_INT.withName("canvas_begin"),
              ValueLayout.JAVA_INT.withName("unconditional_begin"),
              ValueLayout.JAVA_INT.withName("row_begin"),
              ValueLayout.JAVA_INT.withName("unconditional_row_begin"),
              ValueLayout.JAVA_INT.withName("row_count"),
              ValueLayout.JAVA_INT.withName("plan_end"),
              ValueLayout.JAVA_INT.withName("cursor"),
              ValueLayout.JAVA_INT.withName("flags"),
              ValueLayout.JAVA_FLOAT.withName("guidance"),
              ValueLayout.JAVA_FLOAT.withName("temperature"),
              ValueLayout.JAVA_LONG.withName("seed"),
              ValueLayout.JAVA_INT.withName("rule"),
              MemoryLayout.sequenceLayout(3, ValueLayout.JAVA_INT).withName("reserved"))
          .withName("SequenceState");

  static final StructLayout PLAN_ENTRY_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_INT.withName("block_begin"),
              ValueLayout.JAVA_INT.withName("quota"),
              ValueLayout.JAVA_INT.withName("step"),
              ValueLayout.JAVA_INT.withName("reserved"))
          .withName("PlanEntry");

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

  /// Bytes of a [PlanEntry] on the device.
  public static final int PLAN_ENTRY_BYTES = (int) PLAN_ENTRY_LAYOUT.byteSize();

  static final int PARTIAL_BYTES = (int) PARTIAL_LAYOUT.byteSize();

  // Looked up once: a generation writes thousands of entries.
  private static final long CANVAS_BEGIN = offset(SEQUENCE_LAYOUT, "canvas_begin");
  private static final long UNCONDITIONAL_BEGIN = offset(SEQUENCE_LAYOUT, "unconditional_begin");
  private static final long ROW_BEGIN = offset(SEQUENCE_LAYOUT, "row_begin");
  private static final long UNCONDITIONAL_ROW_BEGIN =
      offset(SEQUENCE_LAYOUT, "unconditional_row_begin");
  private static final long ROW_COUNT = offset(SEQUENCE_LAYOUT, "row_count");
  private static final long PLAN_END = offset(SEQUENCE_LAYOUT, "plan_end");
  private static final long CURSOR = offset(SEQUENCE_LAYOUT, "cursor");
  private static final long FLAGS = offset(SEQUENCE_LAYOUT, "flags");
  private static final long GUIDANCE = offset(SEQUENCE_LAYOUT, "guidance");
  private static final long TEMPERATURE = offset(SEQUENCE_LAYOUT, "temperature");
  private static final long SEED = offset(SEQUENCE_LAYOUT, "seed");
  private static final long RULE = offset(SEQUENCE_LAYOUT, "rule");
  private static final long BLOCK_BEGIN = offset(PLAN_ENTRY_LAYOUT, "block_begin");
  private static final long QUOTA = offset(PLAN_ENTRY_LAYOUT, "quota");
  private static final long STEP = offset(PLAN_ENTRY_LAYOUT, "step");
  private static final long RESERVED = offset(PLAN_ENTRY_LAYOUT, "reserved");

  private DiffusionState() {}

  /// One sequence of a packed batch.
  ///
  /// @param canvasBegin packed index of its position 0
  /// @param unconditionalBegin packed index of position 0 of the copy whose prompt is masked; −1:
  ///   no guidance
  /// @param rowBegin its first selectable row
  /// @param unconditionalRowBegin the copy's first logits row; −1: no guidance
  /// @param rowCount its selectable rows: the block length
  /// @param cursor its current plan entry
  /// @param planEnd one past its last plan entry; cursor == planEnd: done
  /// @param flags [#SUPPRESS_EOS], [#DEFER_EOS]
  /// @param guidance cfg_scale + 1; not read without a copy
  /// @param temperature of the choice of tokens, ≥ 0 and finite; 0: the largest logit
  /// @param seed of the noise of temperature and random order
  /// @param rule what orders its rows
  public record Sequence(
      int canvasBegin,
      int unconditionalBegin,
      int rowBegin,
      int unconditionalRowBegin,
      int rowCount,
      int cursor,
      int planEnd,
      int flags,
      float guidance,
      float temperature,
      long seed,
      RemaskingRule rule) {
    /// Throws IllegalArgumentException if the temperature is negative or not finite.
    public Sequence {
      if (!(temperature >= 0 && Float.isFinite(temperature))) {
        throw new IllegalArgumentException(
            "sequence: temperature is " + temperature + "; wanted a finite number ≥ 0");
      }
    }
  }

  /// One step of one sequence.
  ///
  /// @param blockBegin first position of the block, counted from the start of the canvas
  /// @param quota tokens to unmask
  /// @param step the schedule's index of the step
  public record PlanEntry(int blockBegin, int quota, int step) {}

  /// Writes the sequence at `byteOffset` of pinned memory. Any thread; IndexOutOfBoundsException if
  /// it does not fit, IllegalArgumentException if the offset is not a multiple of 8.
  public static void write(PinnedMemory memory, long byteOffset, Sequence sequence) {
    write(
        MemorySegment.ofBuffer(memory.buffer()).asSlice(byteOffset, SEQUENCE_BYTES, Long.BYTES),
        sequence);
  }

  /// Writes the plan entry at `byteOffset` of pinned memory. Any thread; IndexOutOfBoundsException
  /// if it does not fit, IllegalArgumentException if the offset is not a multiple of 4.
  public static void write(PinnedMemory memory, long byteOffset, PlanEntry entry) {
    write(
        MemorySegment.ofBuffer(memory.buffer())
            .asSlice(byteOffset, PLAN_ENTRY_BYTES, Integer.BYTES),
        entry);
  }

  static void write(MemorySegment at, Sequence sequence) {
    at.fill((byte) 0);
    at.set(ValueLayout.JAVA_INT, CANVAS_BEGIN, sequence.canvasBegin);
    at.set(ValueLayout.JAVA_INT, UNCONDITIONAL_BEGIN, sequence.unconditionalBegin);
    at.set(ValueLayout.JAVA_INT, ROW_BEGIN, sequence.rowBegin);
    at.set(ValueLayout.JAVA_INT, UNCONDITIONAL_ROW_BEGIN, sequence.unconditionalRowBegin);
    at.set(ValueLayout.JAVA_INT, ROW_COUNT, sequence.rowCount);
    at.set(ValueLayout.JAVA_INT, PLAN_END, sequence.planEnd);
    at.set(ValueLayout.JAVA_INT, CURSOR, sequence.cursor);
    at.set(ValueLayout.JAVA_INT, FLAGS, sequence.flags);
    at.set(ValueLayout.JAVA_FLOAT, GUIDANCE, sequence.guidance);
    at.set(ValueLayout.JAVA_FLOAT, TEMPERATURE, sequence.temperature);
    at.set(ValueLayout.JAVA_LONG, SEED, sequence.seed);
    at.set(ValueLayout.JAVA_INT, RULE, sequence.rule.code);
  }

  static void write(MemorySegment at, PlanEntry entry) {
    at.set(ValueLayout.JAVA_INT, BLOCK_BEGIN, entry.blockBegin);
    at.set(ValueLayout.JAVA_INT, QUOTA, entry.quota);
    at.set(ValueLayout.JAVA_INT, STEP, entry.step);
    at.set(ValueLayout.JAVA_INT, RESERVED, 0);
  }

  static long offset(StructLayout layout, String field) {
    return layout.byteOffset(MemoryLayout.PathElement.groupElement(field));
  }
}
