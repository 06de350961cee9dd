package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/// The table's layout and precision.
class RopeTableTest {
  private static final ModelConfig LLADA_8B =
      new ModelConfig(
          4096, 32, 32, 32, 12288, 126464, 126464, 4096, 500000, 1e-5f, false, 126336, 126081,
          126081, -1);

  @Test
  void firstPosition_isNoRotation() {
    var row = row(0);
    for (int i = 0; i < row.length; i += 2) {
      assertEquals(1f, row[i]);
      assertEquals(0f, row[i + 1]);
    }
  }

  @Test
  void pairs_areCosThenSin_frequenciesFall() {
    var row = row(3);
    assertEquals((float) Math.cos(3), row[0]);
    assertEquals((float) Math.sin(3), row[1]);
    double second = 3 * Math.pow(500000, -2.0 / 128);
    assertEquals((float) Math.cos(second), row[2]);
    assertEquals((float) Math.sin(second), row[3]);
  }

  /// An f32 angle near 4,095 is off by up to 2^-13; the table must be exact to its last bit.
  @Test
  void lastPosition_isRoundedOnce() {
    var row = row(4095);
    for (int i = 0; i < 64; i++) {
      double angle = 4095 / Math.exp(i / 64.0 * Math.log(500000));
      assertEquals(Math.cos(angle), row[2 * i], 0x1p-24);
      assertEquals(Math.sin(angle), row[2 * i + 1], 0x1p-24);
    }
  }

  @Test
  void bytes_areTwoFloatsAPair() {
    assertEquals(4096L * 64 * 2 * 4, RopeTable.bytes(LLADA_8B));
  }

  private static float[] row(int position) {
    var row = new float[128];
    RopeTable.fill(row, LLADA_8B, position);
    return row;
  }
}
