package dev.remask.bench;

import java.util.List;

/// The straight line through the times of a batch's steps by their tokens: y = a + b·x with the
/// least relative squares, so that short canvases count as much as long ones.
///
/// @param ms at no token
/// @param msPerToken for each
/// @param deviation the largest distance of a time from the line, as a part of the time
record Line(double ms, double msPerToken, double deviation) {
  /// Through at least two points of different tokens.
  static Line through(List<BenchResult.StepTime> steps) {
    double weights = 0;
    double x = 0;
    double y = 0;
    double xx = 0;
    double xy = 0;
    for (BenchResult.StepTime step : steps) {
      double weight = 1 / (step.ms().median() * step.ms().median());
      double tokens = step.shape().length();
      weights += weight;
      x += weight * tokens;
      y += weight * step.ms().median();
      xx += weight * tokens * tokens;
      xy += weight * tokens * step.ms().median();
    }
    double slope = (weights * xy - x * y) / (weights * xx - x * x);
    double begin = (y - slope * x) / weights;
    double deviation = 0;
    for (BenchResult.StepTime step : steps) {
      double found = step.ms().median();
      double wanted = begin + slope * step.shape().length();
      deviation = Math.max(deviation, Math.abs(found - wanted) / found);
    }
    return new Line(begin, slope, deviation);
  }
}
