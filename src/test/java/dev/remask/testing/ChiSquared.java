package dev.remask.testing;

/// Pearson's test of counts against probabilities.
public final class ChiSquared {
  /// Bins of fewer expected counts are taken together.
  private static final double LEAST_EXPECTED = 20;

  private ChiSquared() {}

  /// How probable a chi-squared as large as that of the counts is, if they are draws from
  /// `probabilities`; 0 where something was drawn that has no probability.
  public static double pValue(long[] counts, double[] probabilities) {
    long draws = 0;
    for (long count : counts) {
      draws += count;
    }
    double chiSquared = 0;
    int freedom = -1;
    double rareExpected = 0;
    long rare = 0;
    for (int i = 0; i < counts.length; i++) {
      double expected = draws * probabilities[i];
      if (expected == 0 && counts[i] > 0) {
        return 0;
      }
      if (expected < LEAST_EXPECTED) {
        rareExpected += expected;
        rare += counts[i];
      } else {
        chiSquared += (counts[i] - expected) * (counts[i] - expected) / expected;
        freedom++;
      }
    }
    if (rareExpected >= 1) {
      chiSquared += (rare - rareExpected) * (rare - rareExpected) / rareExpected;
      freedom++;
    }
    return freedom < 1 ? 1 : upperTail(freedom / 2.0, chiSquared / 2);
  }

  /// The regularised upper incomplete gamma function Q(a, x), by its series below a + 1 and its
  /// continued fraction (Lentz) above.
  static double upperTail(double a, double x) {
    if (x <= 0) {
      return 1;
    }
    double scale = Math.exp(a * Math.log(x) - x - logGamma(a));
    if (x < a + 1) {
      double term = 1 / a;
      double sum = term;
      for (int n = 1; term > sum * 1e-16; n++) {
        term *= x / (a + n);
        sum += term;
      }
      return 1 - scale * sum;
    }
    double tiny = 1e-300;
    double b = x + 1 - a;
    double c = 1 / tiny;
    double d = 1 / b;
    double fraction = d;
    for (int n = 1; n < 10_000; n++) {
      double an = -n * (n - a);
      b += 2;
      d = 1 / nonZero(an * d + b, tiny);
      c = nonZero(b + an / c, tiny);
      double change = c * d;
      fraction *= change;
      if (Math.abs(change - 1) < 1e-15) {
        break;
      }
    }
    return scale * fraction;
  }

  private static double nonZero(double x, double tiny) {
    return Math.abs(x) < tiny ? tiny : x;
  }

  /// ln Γ(a) for a multiple of one half: Γ(1/2) = √π, Γ(1) = 1, Γ(a) = (a − 1) Γ(a − 1).
  private static double logGamma(double a) {
    double sum = 0;
    while (a > 1) {
      a -= 1;
      sum += Math.log(a);
    }
    return a == 1 ? sum : sum + Math.log(Math.PI) / 2;
  }
}
