package dev.remask.testing;

/// Philox4x32-10 in plain Java, the generator of every random choice.
///
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011).
public final class Philox {
  private static final int ROUNDS = 10;
  private static final long MULTIPLIER_0 = 0xD2511F53L;
  private static final long MULTIPLIER_1 = 0xCD9E8D57L;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;

  private Philox() {}

  /// The four words of one counter under one key.
  public static int[] words(int k0, int k1, int c0, int c1, int c2, int c3) {
    for (int round = 0; round < ROUNDS; round++) {
      long p0 = MULTIPLIER_0 * Integer.toUnsignedLong(c0);
      long p1 = MULTIPLIER_1 * Integer.toUnsignedLong(c2);
      int n0 = (int) (p1 >>> 32) ^ c1 ^ k0;
      int n2 = (int) (p0 >>> 32) ^ c3 ^ k1;
      c0 = n0;
      c1 = (int) p1;
      c2 = n2;
      c3 = (int) p0;
      k0 += WEYL_0;
      k1 += WEYL_1;
    }
    return new int[] {c0, c1, c2, c3};
  }

  /// The uniform number in (0, 1) that orders a position in a step of random remasking.
  public static float uniform(long seed, int step, int position) {
    int x = words((int) seed, (int) (seed >>> 32), step, position, 0, 1)[0];
    return ((x >>> 8) + 0.5f) * 0x1p-24f;
  }

  /// The uniform number in [0, 1) that decides with [dev.remask.kernel.CommitRule#CHANCE] whether a
  /// position commits in a step.
  public static float chance(long seed, int step, int position) {
    return (words((int) seed, (int) (seed >>> 32), step, position, 0, 3)[0] >>> 8) * 0x1p-24f;
  }

  /// The Gumbel noise of an id at a position in a step.
  public static double gumbel(long seed, int step, int position, int id) {
    int x = words((int) seed, (int) (seed >>> 32), step, position, id / 4, 2)[id % 4];
    double rest = Math.max((x >>> 8) * 0x1p-24, 0x1p-25);
    return -Math.log(-Math.log(rest));
  }
}
