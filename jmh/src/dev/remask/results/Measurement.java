package dev.remask.results;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/// One benchmark of a JMH result file, under one set of parameters.
///
/// @param name class and method, without the package
/// @param parameters by name, in JMH's order
/// @param unit of the samples, for example `us/op`
/// @param samples of every fork, one per iteration
/// @param error half the width of JMH's 99.9 % interval around the mean; NaN for a single sample
/// @param extra secondary results by name, for example `gc.alloc.rate.norm`
record Measurement(
    String name,
    Map<String, String> parameters,
    String unit,
    List<double[]> samples,
    double error,
    Map<String, Double> extra) {

  /// Name and parameters: what two files are compared by.
  String key() {
    String values =
        parameters.entrySet().stream()
            .map(entry -> entry.getKey() + "=" + entry.getValue())
            .collect(Collectors.joining(", "));
    return values.isEmpty() ? name : name + " (" + values + ")";
  }

  /// Whether a larger sample is the slower one.
  boolean isTime() {
    return !unit.startsWith("ops/");
  }

  /// Every benchmark of a file that JMH wrote with `-rf json`. Throws UncheckedIOException if it
  /// cannot be read, IllegalArgumentException if it is not such a file.
  static List<Measurement> read(Path file) {
    JsonNode root;
    try {
      root = new ObjectMapper().readTree(Files.readString(file));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    if (!root.isArray()) {
      throw new IllegalArgumentException(file + " is not a JMH result file: no array");
    }
    var all = new ArrayList<Measurement>();
    for (JsonNode node : root) {
      all.add(of(node));
    }
    return all;
  }

  private static Measurement of(JsonNode node) {
    String[] path = node.get("benchmark").asString().split("\\.");
    var parameters = new LinkedHashMap<String, String>();
    if (node.has("params")) {
      node.get("params")
          .properties()
          .forEach(p -> parameters.put(p.getKey(), p.getValue().asString()));
    }
    JsonNode primary = node.get("primaryMetric");
    var samples = new ArrayList<double[]>();
    for (JsonNode fork : primary.get("rawData")) {
      var values = new double[fork.size()];
      for (int i = 0; i < values.length; i++) {
        values[i] = number(fork.get(i));
      }
      samples.add(values);
    }
    var extra = new LinkedHashMap<String, Double>();
    node.get("secondaryMetrics")
        .properties()
        .forEach(m -> extra.put(m.getKey(), number(m.getValue().get("score"))));
    return new Measurement(
        path[path.length - 2] + "." + path[path.length - 1],
        parameters,
        primary.get("scoreUnit").asString(),
        samples,
        number(primary.get("scoreError")),
        extra);
  }

  /// JMH writes NaN as a string.
  private static double number(JsonNode node) {
    return node.isNumber() ? node.asDouble() : Double.parseDouble(node.asString());
  }
}
