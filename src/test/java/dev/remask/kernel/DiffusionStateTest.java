package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

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
    assertEquals(16, DiffusionState.PARTIAL_BYTES);
    assertEquals(24, DiffusionState.offset(DiffusionState.SEQUENCE_LAYOUT, "cursor"));
    assertEquals(32, DiffusionState.offset(DiffusionState.SEQUENCE_LAYOUT, "guidance"));
    assertEquals(40, DiffusionState.offset(DiffusionState.SEQUENCE_LAYOUT, "seed"));
  }

  @Test
  void write_putsEveryFieldInItsPlace_andZeroesTheRest() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment at = arena.allocate(DiffusionState.SEQUENCE_BYTES, 8).fill((byte) 0xff);
      DiffusionState.write(
          at, new DiffusionState.Sequence(1, 2, 3, 4, 5, 6, 7, 8, 9.5f, 0x1234_5678_9abc_def0L));
      int[] words = at.toArray(ValueLayout.JAVA_INT);
      int[] expected = {
        1, 2, 3, 4, 5, 7, 6, 8, Float.floatToIntBits(9.5f), 0, 0x9abc_def0, 0x1234_5678, 0, 0, 0, 0
      };
      assertArrayEquals(expected, words);
      MemorySegment entry = arena.allocate(DiffusionState.PLAN_ENTRY_BYTES, 4).fill((byte) 0xff);
      DiffusionState.write(entry, new DiffusionState.PlanEntry(1, 2, 3));
      assertArrayEquals(new int[] {1, 2, 3, 0}, entry.toArray(ValueLayout.JAVA_INT));
    }
  }
}
