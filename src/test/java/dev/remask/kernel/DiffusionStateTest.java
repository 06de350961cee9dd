package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.remask.kernel.DiffusionState.CommitRecord;
import dev.remask.kernel.DiffusionState.Member;
import dev.remask.kernel.DiffusionState.PlanEntry;
import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.kernel.DiffusionState.Sequence;
import dev.remask.testing.AbiTable;
import java.lang.foreign.StructLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Locale;
import org.junit.jupiter.api.Test;

/// The records of kernels/include/diffusion_state.h, which the ABI table has from a C++ compiler.
class DiffusionStateTest {
  private static final int OFFSET = 24;

  @Test
  void layoutsAndConstants_areThoseOfTheAbiTable() {
    AbiTable table = AbiTable.read();
    table.check(DiffusionState.SEQUENCE_LAYOUT);
    table.check(DiffusionState.PROGRESS_LAYOUT);
    table.check(DiffusionState.PLAN_ENTRY_LAYOUT);
    table.check(DiffusionState.MEMBER_LAYOUT);
    table.check(DiffusionState.ROW_LAYOUT);
    table.check(DiffusionState.COMMIT_RECORD_LAYOUT);
    table.check(DiffusionState.PARTIAL_LAYOUT);
    table.check("kSuppressEos", DiffusionState.SUPPRESS_EOS);
    table.check("kDeferEos", DiffusionState.DEFER_EOS);
    table.check("kEarlyStop", DiffusionState.EARLY_STOP);
    table.check("kAutoLength", DiffusionState.AUTO_LENGTH);
    table.check("kRevise", DiffusionState.REVISE);
    table.check("kLog", DiffusionState.LOG);
    table.check("kCached", DiffusionState.CACHED);
    table.check("kUntilFull", DiffusionState.UNTIL_FULL);
    table.check("kFirstOfBlock", DiffusionState.FIRST_OF_BLOCK);
    table.check("kNothing", DiffusionState.NOTHING);
    table.check("kChoose", DiffusionState.CHOOSE);
    table.check("kReconsider", DiffusionState.RECONSIDER);
    for (RemaskingRule rule : RemaskingRule.values()) {
      table.check(constant(rule), rule.code);
    }
    for (CommitRule rule : CommitRule.values()) {
      table.check(constant(rule), rule.code);
    }
    for (SequenceStatus status : SequenceStatus.values()) {
      table.check(constant(status), status.code);
      assertEquals(status, SequenceStatus.of(status.code));
    }
  }

  @Test
  void write_putsEveryFieldInItsPlace_andZeroesTheRest() throws ReflectiveOperationException {
    ByteBuffer memory = poisoned();
    var sequence =
        new Sequence(
            1,
            2,
            3,
            4,
            5,
            6,
            7.5f,
            0.75f,
            0x1234_5678_9abc_def0L,
            RemaskingRule.MARGIN,
            CommitRule.FACTOR,
            8.5f,
            9.5f,
            10,
            0.25f,
            11,
            12,
            13,
            14,
            15);
    DiffusionState.write(memory, OFFSET, sequence);
    check(memory, DiffusionState.SEQUENCE_LAYOUT, sequence);
    assertEquals(0, memory.getInt(OFFSET + at(DiffusionState.SEQUENCE_LAYOUT, "eos_last")));
    for (int i = at(DiffusionState.SEQUENCE_LAYOUT, "reserved"); i < 128; i++) {
      assertEquals(0, memory.get(OFFSET + i));
    }
    assertEquals(-1, memory.get(OFFSET + 128), "what lies behind it");
    var progress = new Progress(1, 2, 3, SequenceStatus.WANTS_LENGTH, 4, 5, -1, 7);
    memory = poisoned();
    DiffusionState.write(memory, OFFSET, progress);
    check(memory, DiffusionState.PROGRESS_LAYOUT, progress);
    assertEquals(progress, DiffusionState.readProgress(memory, OFFSET));
    var entry = new PlanEntry(1, 2, 3, DiffusionState.UNTIL_FULL, 0.5f);
    memory = poisoned();
    DiffusionState.write(memory, OFFSET, entry);
    check(memory, DiffusionState.PLAN_ENTRY_LAYOUT, entry);
    assertEquals(-1, memory.get(OFFSET + 32), "what lies behind it");
    var member = new Member(1, 2, 3, 4, 5, 6, true);
    memory = poisoned();
    DiffusionState.write(memory, OFFSET, member);
    check(memory, DiffusionState.MEMBER_LAYOUT, member);
    assertEquals(0, memory.getInt(OFFSET + at(DiffusionState.MEMBER_LAYOUT, "reserved")));
    var row = new Row(1, 2, 3, DiffusionState.RECONSIDER, 4, 5, 6);
    memory = poisoned();
    DiffusionState.write(memory, OFFSET, row);
    check(memory, DiffusionState.ROW_LAYOUT, row);
    assertEquals(row, DiffusionState.readRow(memory, OFFSET));
  }

  @Test
  void read_findsTheRecordsOfTheLog() {
    ByteBuffer memory = poisoned();
    memory.putInt(OFFSET, 1).putInt(OFFSET + 4, 2).putInt(OFFSET + 8, DiffusionState.MASKED_AGAIN);
    memory.putFloat(OFFSET + 12, 0.25f);
    assertEquals(
        new CommitRecord(1, 2, DiffusionState.MASKED_AGAIN, 0.25f),
        DiffusionState.readCommitRecord(memory, OFFSET));
  }

  @Test
  void sequence_refusesWhatIsNone() {
    for (float temperature : new float[] {-1, Float.NaN, Float.POSITIVE_INFINITY}) {
      assertThrows(IllegalArgumentException.class, () -> sequence(temperature, 1));
    }
    assertThrows(IllegalArgumentException.class, () -> sequence(0, 0));
    assertThrows(IllegalStateException.class, () -> SequenceStatus.of(6));
    assertThrows(IllegalStateException.class, () -> SequenceStatus.of(-1));
  }

  private static Sequence sequence(float temperature, int blockLength) {
    return new Sequence(
        0,
        DiffusionState.NO_GUIDANCE,
        1,
        blockLength,
        1,
        0,
        1,
        temperature,
        0,
        RemaskingRule.ENTROPY,
        CommitRule.QUOTA,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0);
  }

  private static ByteBuffer poisoned() {
    ByteBuffer memory = ByteBuffer.allocateDirect(256).order(ByteOrder.nativeOrder());
    for (int i = 0; i < memory.capacity(); i++) {
      memory.put(i, (byte) -1);
    }
    return memory;
  }

  private static String constant(Enum<?> value) {
    var name = new StringBuilder("k");
    for (String word : value.name().toLowerCase(Locale.ROOT).split("_")) {
      name.append(Character.toUpperCase(word.charAt(0))).append(word.substring(1));
    }
    return name.toString();
  }

  private static int at(StructLayout layout, String field) {
    return (int) DiffusionState.offset(layout, field);
  }

  /// Every component of the record lies where the layout has the field of that name.
  private static void check(ByteBuffer memory, StructLayout layout, java.lang.Record value)
      throws ReflectiveOperationException {
    for (var component : value.getClass().getRecordComponents()) {
      String name = component.getName();
      String field = name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
      int at = OFFSET + at(layout, field);
      Object written =
          switch (component.getAccessor().invoke(value)) {
            case Long ignored -> memory.getLong(at);
            case Float ignored -> memory.getFloat(at);
            default -> memory.getInt(at);
          };
      Object expected =
          switch (component.getAccessor().invoke(value)) {
            case Boolean flag -> flag ? 1 : 0;
            case RemaskingRule rule -> rule.code;
            case CommitRule rule -> rule.code;
            case SequenceStatus status -> status.code;
            case Object other -> other;
          };
      assertEquals(expected, written, name);
    }
  }
}
