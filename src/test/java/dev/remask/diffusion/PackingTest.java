package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.model.WorkspaceLimits;
import java.util.List;
import org.junit.jupiter.api.Test;

class PackingTest {
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(100, 20, 4);

  private static DiffusionOptions options(int genLength, int blockLength, double cfgScale) {
    return DiffusionOptions.builder()
        .genLength(genLength)
        .blockLength(blockLength)
        .cfgScale(cfgScale)
        .build();
  }

  @Test
  void copiesLieBehindAllSequences_inTokensAndRows() {
    Packing packing =
        Packing.of(
            List.of(new int[3], new int[0], new int[5]),
            List.of(options(8, 4, 0), options(6, 3, 1), options(4, 4, 0)),
            LIMITS);
    assertArrayEquals(new int[] {11, 6, 9, 6}, packing.lengths);
    assertEquals(32, packing.tokens);
    assertEquals(11, packing.rows);
    assertEquals(14, packing.logitsRows);
    assertEquals(18, packing.planEntries);
    assertEquals(8, packing.passes);
    Packing.Slot guided = packing.slots.get(1);
    assertEquals(11, guided.canvasBegin());
    assertEquals(26, guided.unconditionalBegin());
    assertEquals(4, guided.rowBegin());
    assertEquals(11, guided.unconditionalRowBegin());
    assertEquals(8, guided.planBegin());
    assertEquals(14, guided.planEnd());
    Packing.Slot last = packing.slots.get(2);
    assertEquals(17, last.canvasBegin());
    assertEquals(-1, last.unconditionalBegin());
    assertEquals(7, last.rowBegin());
    assertEquals(-1, last.unconditionalRowBegin());
  }

  private static void refused(String setting, String part, int[] prompt, DiffusionOptions options) {
    var e =
        assertThrows(
            InvalidOptionException.class,
            () -> Packing.of(List.of(prompt), List.of(options), LIMITS));
    assertEquals(setting, e.field());
    assertTrue(e.getMessage().contains(part), e.getMessage());
    assertTrue(e.getMessage().contains("LoadOptions." + setting), e.getMessage());
  }

  @Test
  void limits_areNamedByTheSettingOfTheLoad() {
    refused("maxTokens", "needs 101 tokens", new int[90], options(11, 11, 0));
    refused("maxTokens", "needs 102 tokens", new int[41], options(10, 10, 1));
    refused("maxRows", "needs 21 rows", new int[2], options(21, 21, 0));
    refused("maxRows", "needs 22 rows", new int[2], options(11, 11, 2));
    Packing.of(List.of(new int[40]), List.of(options(10, 10, 1)), LIMITS);
  }
}
