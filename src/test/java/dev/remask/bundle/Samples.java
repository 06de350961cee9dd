package dev.remask.bundle;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/// Times of runs of the same work, in microseconds.
final class Samples {
  private final List<Double> microseconds = new ArrayList<>();

  void add(double us) {
    microseconds.add(us);
  }

  /// Writes the fields that reports read: the median, the bounds of the middle 80 % of the runs,
  /// and their number. Throws IllegalStateException if there are none.
  ObjectNode addTo(ObjectNode json) {
    if (microseconds.isEmpty()) {
      throw new IllegalStateException("no run was timed");
    }
    Collections.sort(microseconds);
    return json.put("median_us", at(0.5))
        .put("low_us", at(0.1))
        .put("high_us", at(0.9))
        .put("runs", microseconds.size());
  }

  private double at(double quantile) {
    return microseconds.get((int) Math.round(quantile * (microseconds.size() - 1)));
  }
}
