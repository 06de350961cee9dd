package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.testing.Philox;
import org.junit.jupiter.api.Test;

/// The reference generator against the published known answers (Random123, kat_vectors).
class PhiloxTest {
  @Test
  void words_matchKnownAnswers() {
    assertArrayEquals(
        new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, Philox.words(0, 0, 0, 0, 0, 0));
    assertArrayEquals(
        new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        Philox.words(-1, -1, -1, -1, -1, -1));
    assertArrayEquals(
        new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
        Philox.words(0xa4093822, 0x299f31d0, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344));
  }
}
