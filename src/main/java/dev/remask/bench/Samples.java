package dev.remask.bench;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// Repeated measurements of one thing: their median, and how far they spread.
final class Samples {
  private static final double LOWER_QUARTILE = 0.25;
  private static final double UPPER_QUARTILE = 0.75;

  private final List<Double> values = new ArrayList<>();

  void add(double value) {
    values.add(value);
  }

  int count() {
    return values.size();
  }

  /// In the order of measuring.
  List<Double> values() {
    return Collections.unmodifiableList(values);
  }

  /// The middle one, or between the two in the middle; NaN of none.
  double median() {
    return quantile(0.5);
  }

  /// Half of what lies between the quartiles, as a part of the median: the middle half of the
  /// samples is within it.
  double spread() {
    return (quantile(UPPER_QUARTILE) - quantile(LOWER_QUARTILE)) / 2 / median();
  }

  double least() {
    return quantile(0);
  }

  double most() {
    return quantile(1);
  }

  /// Between two samples on the straight line.
  private double quantile(double share) {
    if (values.isEmpty()) {
      return Double.NaN;
    }
    var sorted = new ArrayList<>(values);
    Collections.sort(sorted);
    double place = share * (sorted.size() - 1);
    int below = (int) place;
    int above = Math.min(below + 1, sorted.size() - 1);
    return sorted.get(below) + (place - below) * (sorted.get(above) - sorted.get(below));
  }
}
