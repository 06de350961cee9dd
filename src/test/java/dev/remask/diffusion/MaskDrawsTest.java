package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.Philox;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/// The documented way from a seed to masks, against a second writing of it and against chance.
class MaskDrawsTest {
  /// Step by step as the documentation has it, with the tests' own Philox.
  private static int[] byTheBook(long seed, int draw, int length) {
    long[] words = new long[length + 4];
    for (int i = 0; i < words.length; i++) {
      int[] four = Philox.words((int) seed, (int) (seed >>> 32), draw, i / 4, 0, 4);
      words[i] = Integer.toUnsignedLong(four[i % 4]);
    }
    int count = 1 + (int) (words[0] * length >> 32);
    int[] positions = new int[length];
    for (int i = 0; i < length; i++) {
      positions[i] = i;
    }
    for (int k = 0; k < count; k++) {
      int other = k + (int) (words[k + 1] * (length - k) >> 32);
      int kept = positions[k];
      positions[k] = positions[other];
      positions[other] = kept;
    }
    return Arrays.stream(positions).limit(count).sorted().toArray();
  }

  @Test
  void draws_areTheDocumentedOnes() {
    for (long seed : new long[] {0, 1, -1, 0x123456789ABCDEF0L}) {
      for (int length : new int[] {1, 2, 3, 7, 64, 300}) {
        for (int draw = 0; draw < 20; draw++) {
          assertArrayEquals(
              byTheBook(seed, draw, length),
              MaskDraws.masked(seed, draw, length),
              "seed " + seed + ", draw " + draw + ", length " + length);
        }
      }
    }
  }

  @Test
  void counts_areUniformAndPositionsEquallyLikely() {
    int length = 6;
    int draws = 60_000;
    long[] counts = new long[length + 1];
    long[] positions = new long[length];
    for (int draw = 0; draw < draws; draw++) {
      int[] masked = MaskDraws.masked(11, draw, length);
      counts[masked.length]++;
      for (int position : masked) {
        positions[position]++;
      }
    }
    assertEquals(0, counts[0]);
    // Five standard deviations of a binomial count.
    double each = draws / (double) length;
    for (int count = 1; count <= length; count++) {
      assertTrue(
          Math.abs(counts[count] - each) < 5 * Math.sqrt(each), count + ": " + counts[count]);
    }
    // E[l] / L = (L + 1) / (2 L) of the draws mask a position.
    double share = (length + 1) / (2.0 * length);
    double deviation = Math.sqrt(draws * share * (1 - share));
    for (int position = 0; position < length; position++) {
      double expected = draws * share;
      assertTrue(Math.abs(positions[position] - expected) < 5 * deviation, "at " + position);
    }
  }
}
