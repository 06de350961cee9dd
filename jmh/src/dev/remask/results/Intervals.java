package dev.remask.results;

import java.util.Arrays;
import org.apache.commons.math3.distribution.TDistribution;

/// Confidence intervals at 99.9 %, the level of JMH's own errors.
final class Intervals {
  private static final double UPPER_TAIL = 1 - 0.001 / 2;

  private Intervals() {}

  /// Student's quantile for so many degrees of freedom.
  static double quantile(double degrees) {
    return new TDistribution(degrees).inverseCumulativeProbability(UPPER_TAIL);
  }

  static double mean(double[] values) {
    return Arrays.stream(values).average().orElseThrow();
  }

  /// Sample variance; 0 for one value.
  static double variance(double[] values) {
    double mean = mean(values);
    double sum = Arrays.stream(values).map(value -> (value - mean) * (value - mean)).sum();
    return values.length < 2 ? 0 : sum / (values.length - 1);
  }

  /// A ratio and the ends of its interval.
  record Ratio(double value, double low, double high) {}

  /// The ratio mean(b) / mean(a) of positive values, by Welch's interval on their logarithms: times
  /// err by factors, and a factor up is then as far as the same one down.
  ///
  /// With fewer than two values on a side its spread is unknown: the interval is unbounded.
  static Ratio ratio(double[] a, double[] b) {
    double[] logA = Arrays.stream(a).map(Math::log).toArray();
    double[] logB = Arrays.stream(b).map(Math::log).toArray();
    double difference = mean(logB) - mean(logA);
    if (a.length < 2 || b.length < 2) {
      return new Ratio(Math.exp(difference), 0, Double.POSITIVE_INFINITY);
    }
    double partA = variance(logA) / a.length;
    double partB = variance(logB) / b.length;
    double width = 0;
    if (partA + partB > 0) {
      // Welch and Satterthwaite: how many degrees of freedom the sum of two variances has.
      double degrees =
          (partA + partB)
              * (partA + partB)
              / (partA * partA / (a.length - 1) + partB * partB / (b.length - 1));
      width = quantile(degrees) * Math.sqrt(partA + partB);
    }
    return new Ratio(
        Math.exp(difference), Math.exp(difference - width), Math.exp(difference + width));
  }
}
