package dev.remask.results;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/// One benchmark of a result file, under one set of parameters.
///
/// @param benchmark class, without the package
/// @param method of the class
/// @param parameters by name, in JMH's order
/// @param unit of the samples, for example `us/op`
/// @param samples of every fork, one per iteration
/// @param extra secondary results by name: sums of what the benchmark counted
record Measurement(
    String benchmark,
    String method,
    Map<String, String> parameters,
    String unit,
    List<double[]> samples,
    Map<String, Double> extra) {
  private static final String RAW = "rawData";
  private static final String RAW_HISTOGRAM = "rawDataHistogram";

  /// Class, method and parameters: what two files are compared by.
  String key() {
    String values = parameterText();
    return name() + (values.isEmpty() ? "" : " (" + values + ")");
  }

  String name() {
    return benchmark + "." + method;
  }

  /// `dtype=BF16, rows=64`; the device is left out where it is the software device.
  String parameterText() {
    return parameters.entrySet().stream()
        .filter(entry -> !entry.getKey().equals("device") || !entry.getValue().equals("software"))
        .map(entry -> entry.getKey() + "=" + entry.getValue())
        .collect(Collectors.joining(", "));
  }

  /// Whether a larger sample is the slower one.
  boolean isTime() {
    return !unit.startsWith("ops/");
  }

  /// The median sample of each fork: one that something else interrupted does not move it.
  double[] forkMedians() {
    return samples.stream().mapToDouble(Figures::median).toArray();
  }

  /// The mean of the forks' medians.
  double value() {
    return Arrays.stream(forkMedians()).average().orElseThrow();
  }

  /// Half the width of the 99.9 % interval around [#value]: from the spread between forks, or, with
  /// one fork, from that between its iterations, which is too narrow. NaN for a single sample.
  double error() {
    double[] forks = forkMedians();
    double[] values = forks.length > 1 ? forks : samples.getFirst();
    return values.length < 2
        ? Double.NaN
        : Intervals.quantile(values.length - 1.0)
            * Math.sqrt(Intervals.variance(values) / values.length);
  }

  /// A counter of the benchmark divided by another one; NaN where it has none such.
  double per(String counter, String by) {
    Double above = extra.get(counter);
    Double below = extra.get(by);
    return above == null || below == null || below == 0 ? Double.NaN : above / below;
  }

  /// Reads an object of JMH's JSON.
  static Measurement of(JsonNode node) {
    String[] path = node.get("benchmark").asString().split("\\.");
    var parameters = new LinkedHashMap<String, String>();
    if (node.has("params")) {
      node.get("params")
          .properties()
          .forEach(p -> parameters.put(p.getKey(), p.getValue().asString()));
    }
    JsonNode primary = node.get("primaryMetric");
    var samples = new ArrayList<double[]>();
    for (JsonNode fork : samplesOf(primary)) {
      var values = new double[fork.size()];
      for (int i = 0; i < values.length; i++) {
        values[i] = sample(fork.get(i));
      }
      samples.add(values);
    }
    var extra = new LinkedHashMap<String, Double>();
    node.get("secondaryMetrics")
        .properties()
        .forEach(m -> extra.put(m.getKey(), number(m.getValue().get("score"))));
    return new Measurement(
        path[path.length - 2],
        path[path.length - 1],
        parameters,
        primary.get("scoreUnit").asString(),
        samples,
        extra);
  }

  /// The samples by fork and iteration, under the name that they have in this mode.
  static JsonNode samplesOf(JsonNode primaryMetric) {
    return primaryMetric.has(RAW) ? primaryMetric.get(RAW) : primaryMetric.get(RAW_HISTOGRAM);
  }

  /// An iteration's sample: a number, or, of single calls, the median of pairs (time, how often).
  private static double sample(JsonNode node) {
    if (!node.isArray()) {
      return number(node);
    }
    long count = 0;
    for (JsonNode pair : node) {
      count += pair.get(1).asLong();
    }
    long before = 0;
    double median = Double.NaN;
    for (JsonNode pair : node) { // ascending
      if (2 * before <= count) {
        median = number(pair.get(0));
      }
      before += pair.get(1).asLong();
    }
    return median;
  }

  /// JMH writes NaN as a string.
  static double number(JsonNode node) {
    return node.isNumber() ? node.asDouble() : Double.parseDouble(node.asString());
  }
}
