package dev.remask.results;

import java.util.Arrays;
import java.util.Map;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Results as JMH writes them.
final class ResultFiles {
  private ResultFiles() {}

  /// One round: an array of [#benchmark]s.
  static JsonNode round(String... benchmarks) {
    return JsonMapper.shared().readTree("[" + String.join(",", benchmarks) + "]");
  }

  /// A benchmark of one fork in microseconds.
  static String benchmark(String name, double... samples) {
    return benchmark(name, "us/op", Map.of(), samples);
  }

  static String benchmark(
      String name, String unit, Map<String, Double> counters, double... samples) {
    String values =
        Arrays.stream(samples).mapToObj(String::valueOf).collect(Collectors.joining(","));
    String metrics =
        counters.entrySet().stream()
            .map(e -> "\"" + e.getKey() + "\":{\"score\":" + e.getValue() + "}")
            .collect(Collectors.joining(","));
    return """
    {"benchmark":"dev.remask.%s","mode":"avgt","params":{"device":"software","rows":"4"},
     "primaryMetric":{"score":1,"scoreUnit":"%s","rawData":[[%s]]},"secondaryMetrics":{%s}}
    """
        .formatted(name, unit, values, metrics);
  }

  static Results results(JsonNode... rounds) {
    var results = new Results(Map.of("processor", "P", "commit", "c0ffee"));
    for (JsonNode round : rounds) {
      results.addRound(new Results.Round("2026-01-02T03:04:05Z", 0.5, 0.01), round);
    }
    return results;
  }
}
