package dev.remask.testing;

import static org.junit.jupiter.api.Assertions.fail;

/// Comparison of a kernel's numbers with a reference in double.
public final class Numbers {
  /// The largest relative error of one f32 rounding.
  public static final double F32_UNIT_ROUNDOFF = 0x1p-24;

  private Numbers() {}

  /// ‖actual − expected‖₂ / ‖expected‖₂; 0 when both are zero, infinite when something is NaN.
  public static double relativeNorm(double[] expected, float[] actual) {
    requireSameLength(expected, actual);
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < expected.length; i++) {
      double delta = actual[i] - expected[i];
      difference += delta * delta;
      norm += expected[i] * expected[i];
    }
    if (difference == 0) {
      return 0;
    }
    double relative = Math.sqrt(difference / norm);
    return Double.isNaN(relative) ? Double.POSITIVE_INFINITY : relative;
  }

  /// Fails if the relative norm of the difference is above `tolerance`; names the worst element.
  public static void assertRelativeNorm(
      double[] expected, float[] actual, double tolerance, Object what) {
    double relative = relativeNorm(expected, actual);
    if (!(relative <= tolerance)) {
      int worst = worst(expected, actual);
      fail(
          what
              + ": relative norm of the error "
              + relative
              + " > "
              + tolerance
              + "; worst at "
              + worst
              + ": expected "
              + expected[worst]
              + ", got "
              + actual[worst]);
    }
  }

  /// Fails unless |actual − expected| ≤ bound for each element; bounds come from the epsilons and
  /// norms of what was computed.
  public static void assertWithin(double[] expected, float[] actual, double[] bounds, Object what) {
    requireSameLength(expected, actual);
    for (int i = 0; i < expected.length; i++) {
      double error = Math.abs(actual[i] - expected[i]);
      if (!(error <= bounds[i])) {
        fail(
            what
                + ": element "
                + i
                + ": expected "
                + expected[i]
                + " within "
                + bounds[i]
                + ", got "
                + actual[i]);
      }
    }
  }

  private static int worst(double[] expected, float[] actual) {
    int worst = 0;
    double most = -1;
    for (int i = 0; i < expected.length; i++) {
      double error = Math.abs(actual[i] - expected[i]);
      if (Double.isNaN(error)) {
        return i;
      }
      if (error > most) {
        most = error;
        worst = i;
      }
    }
    return worst;
  }

  private static void requireSameLength(double[] expected, float[] actual) {
    if (expected.length != actual.length) {
      fail("expected " + expected.length + " numbers, got " + actual.length);
    }
  }
}
