package dev.remask.testing;

import java.util.SplittableRandom;

/// Fresh random data with a seed that failures print.
///
/// The seed is new in every process; the system property `remask.test.seed` repeats one. Put the
/// seed into assertion messages: its text is `seed 123`.
public final class Seed {
  private final long value;
  private final SplittableRandom random;

  private Seed(long value) {
    this.value = value;
    this.random = new SplittableRandom(value);
  }

  /// A seed of this run's own, or the one that `remask.test.seed` gives.
  public static Seed fresh() {
    String given = System.getProperty("remask.test.seed");
    return of(given == null ? System.nanoTime() & 0xffff_ffffL : Long.parseLong(given));
  }

  /// A fixed seed.
  public static Seed of(long value) {
    return new Seed(value);
  }

  /// The generator.
  public SplittableRandom random() {
    return random;
  }

  /// `count` values, normal with the given standard deviation.
  public float[] normals(int count, double deviation) {
    var values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) (random.nextGaussian() * deviation);
    }
    return values;
  }

  /// `count` normal values that bf16 can hold: what a bf16 kernel gets and its reference reads.
  public float[] normalsInBf16(int count, double deviation) {
    return Bf16.round(normals(count, deviation));
  }

  /// `count` values from 0 to `bound` − 1.
  public int[] ints(int count, int bound) {
    return random.ints(count, 0, bound).toArray();
  }

  @Override
  public String toString() {
    return "seed " + value;
  }
}
