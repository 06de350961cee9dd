package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.remask.testing.AbiTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/// The sizes and offsets of kernels/include/diffusion_state.h, whose static_asserts hold the other
/// side.
class DiffusionStateTest {
  @Test
  void layouts_areThoseOfTheHeader() {
    assertEquals(64, DiffusionState.SEQUENCE_BYTES);
    assertEquals(16, DiffusionState.PLAN_ENTRY_BYTES);
    assertEquals(32, DiffusionState.PARTIAL_BYTES);
    assertEquals(24, DiffusionState.offset(DiffusionState.SEQUENCE_LAYOUT, "cursor"));
    assertEquals(32, DiffusionState.offset(DiffusionState.SEQUENCE_LAYOUT, "guidance"));
    assertEquals(40, DiffusionState.offset(DiffusionState.SEQUENCE_LAYOUT, "seed"));
  }

  @Test
  void layoutsAndConstants_areThoseOfTheAbiTable() {
    AbiTable table = AbiTable.read();
    table.check(DiffusionState.SEQUENCE_LAYOUT);
    table.check(DiffusionState.PLAN_ENTRY_LAYOUT);
    table.check(DiffusionState.PARTIAL_LAYOUT);
    table.check("kSuppressEos", DiffusionState.SUPPRESS_EOS);
    table.check("kDeferEos", DiffusionState.DEFER_EOS);
    table.check("kLowConfidence", RemaskingRule.LOW_CONFIDENCE.code);
    table.check("kRandomOrder", RemaskingRule.RANDOM_ORDER.code);
    table.check("kEntropy", RemaskingRule.ENTROPY.code);
    table.check("kMargin", RemaskingRule.MARGIN.code);
  }

  @Test
  void sequence_refusesTemperaturesThatAreNone() {
    for (float temperature : new float[] {-1, Float.NaN, Float.POSITIVE_INFINITY}) {
      assertThrows(
          IllegalArgumentException.class,
          () ->
              new DiffusionState.Sequence(
                  0, -1, 0, -1, 1, 0, 1, 0, 1, temperature, 0, RemaskingRule.ENTROPY));
    }
  }

  @Test
  void write_putsEveryFieldInItsPlace_andZeroesTheRest() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment at = arena.allocate(DiffusionState.SEQUENCE_BYTES, 8).fill((byte) 0xff);
      DiffusionState.write(
          at,
          new DiffusionState.Sequence(
              1, 2, 3, 4, 5, 6, 7, 8, 9.5f, 0.75f, 0x1234_5678_9abc_def0L, RemaskingRule.MARGIN));
      int[] words = at.toArray(ValueLayout.JAVA_INT);
      int[] expected = {
        1,
        2,
        3,
        4,
        5,
        7,
        6,
        8,
        Float.floatToIntBits(9.5f),
        Float.floatToIntBits(0.75f),
        0x9abc_def0,
        0x1234_5678,
        3,
        0,
        0,
        0
      };
      assertArrayEquals(expected, words);
      MemorySegment entry = arena.allocate(DiffusionState.PLAN_ENTRY_BYTES, 4).fill((byte) 0xff);
      DiffusionState.write(entry, new DiffusionState.PlanEntry(1, 2, 3));
      assertArrayEquals(new int[] {1, 2, 3, 0}, entry.toArray(ValueLayout.JAVA_INT));
    }
  }
}
