package dev.remask.sidebyside;

import dev.remask.results.Figures;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// What was measured of the same work on both sides, turn by turn, in milliseconds of an operation.
final class Sides {
  final String name;
  private final List<Double> ours = new ArrayList<>();
  private final List<Double> theirs = new ArrayList<>();
  private final List<Double> ourProcessor = new ArrayList<>();
  private final List<Double> theirProcessor = new ArrayList<>();

  /// Tokens equal to theirs and all of them; −1: nothing to compare.
  int equalTokens = -1;

  int tokens;

  Sides(String name) {
    this.name = name;
  }

  void ours(double wall, double processor) {
    ours.add(wall);
    ourProcessor.add(processor);
  }

  void theirs(double wall, double processor) {
    theirs.add(wall);
    theirProcessor.add(processor);
  }

  /// A line of the table.
  String line() {
    return String.format(
        Locale.ROOT,
        "| %s | %s | %s | %.2f | %s | %s | %.2f | %s |",
        name,
        spread(ours),
        spread(theirs),
        median(theirs) / median(ours),
        Figures.figure(median(ourProcessor)),
        Figures.figure(median(theirProcessor)),
        median(theirProcessor) / median(ourProcessor),
        equalTokens < 0 ? "" : equalTokens + " of " + tokens);
  }

  static String head() {
    return """
    | | Remask ms | PyTorch ms | PyTorch / Remask | processor ms | PyTorch's | ratio | tokens equal |
    |---|---|---|---|---|---|---|---|\
    """;
  }

  void addTo(ObjectNode node) {
    node.put("name", name);
    add(node.putArray("ours_ms"), ours);
    add(node.putArray("theirs_ms"), theirs);
    add(node.putArray("our_processor_ms"), ourProcessor);
    add(node.putArray("their_processor_ms"), theirProcessor);
    node.put("ratio_of_medians", median(theirs) / median(ours));
    if (equalTokens >= 0) {
      node.put("equal_tokens", equalTokens).put("tokens", tokens);
    }
  }

  private static void add(ArrayNode array, List<Double> values) {
    values.forEach(array::add);
  }

  /// The median, and the least and the most in brackets.
  private static String spread(List<Double> values) {
    return "%s (%s to %s)"
        .formatted(
            Figures.figure(median(values)),
            Figures.figure(values.stream().min(Double::compare).orElseThrow()),
            Figures.figure(values.stream().max(Double::compare).orElseThrow()));
  }

  static double median(List<Double> values) {
    return Figures.median(values.stream().mapToDouble(Double::doubleValue).toArray());
  }
}
