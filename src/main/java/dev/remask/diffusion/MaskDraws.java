package dev.remask.diffusion;

import java.util.Arrays;

/// The random masks of a Monte Carlo estimate of a likelihood: draw j of an answer of L tokens is a
/// pure function of (seed, j, L), whatever is scored beside it.
///
/// Words are those of Philox4x32-10 under the key (low, high half of the seed); the i-th four of
/// draw j are those of the counter (j, i, 0, 4), the 4 setting them apart from the sampler's. Of a
/// word w a number below n is ⌊w·n / 2³²⌋. The first word gives the count l = 1 + a number below L;
/// the next l drive a Fisher–Yates shuffle from the front: the k-th swaps entry k of the positions
/// with the entry k + (a number below L − k). The first l entries, ascending, are masked.
///
/// Rule: LLaDA, get_log_likelihood.py (l ~ U{1..L}, l of L tokens masked). Generator: Salmon et
/// al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011).
final class MaskDraws {
  private static final int STREAM = 4;
  private static final int WORDS = 4;
  private static final int ROUNDS = 10;
  private static final long MULTIPLIER_0 = 0xD2511F53L;
  private static final long MULTIPLIER_1 = 0xCD9E8D57L;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;

  private final long seed;
  private final int draw;
  private final int[] words = new int[WORDS];
  private int next;

  private MaskDraws(long seed, int draw) {
    this.seed = seed;
    this.draw = draw;
  }

  /// The masked positions of draw `draw` of an answer of `length` tokens, ascending.
  static int[] masked(long seed, int draw, int length) {
    var random = new MaskDraws(seed, draw);
    int count = 1 + random.below(length);
    int[] positions = new int[length];
    Arrays.setAll(positions, i -> i);
    for (int k = 0; k < count; k++) {
      int other = k + random.below(length - k);
      int position = positions[other];
      positions[other] = positions[k];
      positions[k] = position;
    }
    int[] masked = Arrays.copyOf(positions, count);
    Arrays.sort(masked);
    return masked;
  }

  private int below(int bound) {
    if (next % WORDS == 0) {
      refill(next / WORDS);
    }
    return (int) (Integer.toUnsignedLong(words[next++ % WORDS]) * bound >>> Integer.SIZE);
  }

  private void refill(int counter) {
    int c0 = draw;
    int c1 = counter;
    int c2 = 0;
    int c3 = STREAM;
    int k0 = (int) seed;
    int k1 = (int) (seed >>> Integer.SIZE);
    for (int round = 0; round < ROUNDS; round++) {
      long p0 = MULTIPLIER_0 * Integer.toUnsignedLong(c0);
      long p1 = MULTIPLIER_1 * Integer.toUnsignedLong(c2);
      c0 = (int) (p1 >>> Integer.SIZE) ^ c1 ^ k0;
      c1 = (int) p1;
      c2 = (int) (p0 >>> Integer.SIZE) ^ c3 ^ k1;
      c3 = (int) p0;
      k0 += WEYL_0;
      k1 += WEYL_1;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
  }
}
