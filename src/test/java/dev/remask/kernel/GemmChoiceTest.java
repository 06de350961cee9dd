package dev.remask.kernel;

import static dev.remask.kernel.Architecture.PORTABLE;
import static dev.remask.kernel.Architecture.SM80;
import static dev.remask.kernel.Architecture.SM90A;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.MatmulType;
import dev.remask.kernel.GemmChoice.ManyRows;
import dev.remask.kernel.GemmChoice.Setting;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class GemmChoiceTest {
  private static final MatmulType BF16 = MatmulType.BF16_BF16;

  @AfterEach
  void forget() {
    System.clearProperty("remask.gemm.kernel");
  }

  private static GemmChoice choose(Setting setting, boolean library, Architecture family, int m) {
    return GemmChoice.of(setting, ManyRows.AUTO, library, family, BF16, m, 4096);
  }

  @Test
  void fewRows_goToTheNarrowestTile_withOrWithoutALibrary() {
    int[] rows = {1, 16, 17, 32, 33, 64, 65, 256};
    GemmChoice[] tiles = {
      GemmChoice.ROWS16, GemmChoice.ROWS16, GemmChoice.ROWS32, GemmChoice.ROWS32,
      GemmChoice.ROWS64, GemmChoice.ROWS64, GemmChoice.ROWS128, GemmChoice.ROWS128
    };
    for (int i = 0; i < rows.length; i++) {
      for (Architecture family : new Architecture[] {SM80, SM90A}) {
        assertEquals(tiles[i], choose(Setting.AUTO, true, family, rows[i]));
        assertEquals(tiles[i], choose(Setting.OWN, false, family, rows[i]));
      }
    }
  }

  @Test
  void manyRows_goToTheLibrary_orTheFamilysLargeTiles() {
    assertEquals(GemmChoice.LIBRARY, choose(Setting.AUTO, true, SM90A, 257));
    assertEquals(GemmChoice.SM90A, choose(Setting.AUTO, false, SM90A, 257));
    assertEquals(GemmChoice.ROWS128, choose(Setting.AUTO, false, SM80, 257));
    assertEquals(GemmChoice.ROWS128, choose(Setting.OWN, false, SM90A, 257), "same bits");
  }

  @Test
  void f32AndPortableKernels_goToTheLibrary_orThePortableKernel() {
    assertEquals(GemmChoice.LIBRARY, choose(Setting.AUTO, true, PORTABLE, 3));
    assertEquals(GemmChoice.PORTABLE, choose(Setting.AUTO, false, PORTABLE, 3));
    assertEquals(
        GemmChoice.PORTABLE,
        GemmChoice.of(Setting.OWN, ManyRows.AUTO, false, SM90A, MatmulType.F32_F32, 3, 64));
  }

  @Test
  void cublasltSetting_leavesNoChoice() {
    assertEquals(GemmChoice.LIBRARY, choose(Setting.CUBLASLT, true, SM80, 1));
  }

  @Test
  void kernelSetting_movesManyRowsOnly() {
    assertEquals(
        GemmChoice.SM90A,
        GemmChoice.of(Setting.AUTO, ManyRows.SM90A, true, SM90A, BF16, 1000, 4096));
    assertEquals(
        GemmChoice.ROWS128,
        GemmChoice.of(Setting.AUTO, ManyRows.SM80, false, SM90A, BF16, 1000, 4096));
    assertEquals(
        GemmChoice.ROWS16, GemmChoice.of(Setting.AUTO, ManyRows.SM90A, true, SM90A, BF16, 2, 4096));
    assertEquals(
        GemmChoice.ROWS128,
        GemmChoice.of(Setting.AUTO, ManyRows.SM90A, false, SM90A, BF16, 1000, 4095),
        "TMA wants rows of whole 16 bytes");
  }

  @Test
  void kernelSetting_failsInWords_whereItIsUnknown() {
    System.setProperty("remask.gemm.kernel", "sm_70");
    var unknown = assertThrows(IllegalArgumentException.class, ManyRows::configured);
    assertTrue(unknown.getMessage().contains("'sm_70'"), unknown.getMessage());
  }

  @Test
  void split_dependsOnTheWeightsAlone_andFillsACard() {
    assertEquals(4, KSplit.of(4096, 4096));
    assertEquals(2, KSplit.of(12288, 4096));
    assertEquals(1, KSplit.of(24576, 4096));
    assertEquals(1, KSplit.of(64, 256), "too short to be split");
    assertEquals(16, KSplit.of(64, 1 << 20));
  }
}
