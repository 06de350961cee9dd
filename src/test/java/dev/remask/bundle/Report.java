package dev.remask.bundle;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// `report.md` and `report.json`: the card, what passed, and each figure beside its floor and
/// baselines.
final class Report {
  private static final String BENCH = "bench";

  private final Results results;
  private final ObjectNode card;
  private final StringBuilder text = new StringBuilder();

  Report(Results results, ObjectNode card) {
    this.results = results;
    this.card = card;
  }

  void write() {
    double bandwidth = bandwidth();
    double peak = peak();
    ObjectNode json = Results.object();
    json.set("card", card);
    json.put("copy_bytes_per_second", bandwidth).put("peak_flops", peak);
    for (String part : List.of("calibrate", "test", BENCH)) {
      var lines = json.putArray(part);
      results.of(part).values().forEach(lines::add);
    }
    title();
    outcomes("calibrate", "Layout calibration");
    outcomes("test", "Correctness");
    benchmarks(bandwidth, peak);
    results.write("report.md", text.toString());
    results.write(
        "report.json",
        JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n");
  }

  private void title() {
    line("# Remask on " + card.get("name").asString());
    line("");
    for (Map.Entry<String, JsonNode> fact : card.properties()) {
      if (!fact.getValue().isNull()) {
        line("- " + fact.getKey().replace('_', ' ') + ": " + fact.getValue().asString());
      }
    }
    line("");
  }

  private void outcomes(String part, String heading) {
    Map<String, JsonNode> lines = results.of(part);
    line("## " + heading);
    line("");
    if (lines.isEmpty()) {
      line("Not run.");
      line("");
      return;
    }
    long passed = lines.values().stream().filter(Report::isPassed).count();
    line(passed + " of " + lines.size() + " passed.");
    line("");
    for (JsonNode result : lines.values()) {
      String error = result.has("error") ? ": " + result.get("error").asString() : "";
      line("- " + result.get("name").asString() + " " + result.get("status").asString() + error);
      result
          .path("failures")
          .forEach(failure ->
              line(
                  "  - "
                      + failure.get("test").asString()
                      + ": "
                      + failure.get("message").asString().lines().findFirst().orElse("")));
    }
    line("");
  }

  private void benchmarks(double bandwidth, double peak) {
    line("## Speed");
    line("");
    line(
        "Device events, L2 flushed before every run, random data; median µs (80 % of the runs)."
            + " The ways of a case take turns, PyTorch's, in a process of its own, among them."
            + " Floor: the larger of bytes / %.2f TB/s (measured copy, read and written) and FLOPs / %.0f TFLOP/s (the best product measured here)."
                .formatted(bandwidth / 1e12, peak / 1e12));
    line("");
    line("| what | way | median µs | spread | floor µs | of the floor's speed | |");
    line("|---|---|---|---|---|---|---|");
    for (JsonNode result : results.of(BENCH).values()) {
      for (JsonNode time : result.path("times")) {
        row(result, time, bandwidth, peak);
      }
      if (result.has("error")) {
        line(
            "| "
                + result.get("name").asString()
                + " | failed: "
                + result.get("error").asString()
                + " | | | | | |");
      }
    }
    line("");
  }

  private void row(JsonNode result, JsonNode time, double bandwidth, double peak) {
    if (!time.has("median_us")) {
      return;
    }
    double median = time.get("median_us").doubleValue();
    double bytes = result.path("bytes").asDouble(0);
    double flops = result.path("flops").asDouble(0);
    double floor =
        Math.max(bandwidth > 0 ? bytes / bandwidth : 0, peak > 0 ? flops / peak : 0) * 1e6;
    String rate =
        flops > 0
            ? format("%.1f TFLOP/s", flops / median / 1e6)
            : bytes > 0 ? format("%.2f TB/s", bytes / median / 1e6) : "";
    var cells = new ArrayList<String>();
    cells.add(result.get("name").asString());
    cells.add(time.get("way").asString());
    cells.add(format("%.1f", median));
    cells.add(
        format("%.1f–", time.get("low_us").doubleValue())
            + format("%.1f", time.get("high_us").doubleValue()));
    cells.add(floor > 0 ? format("%.1f", floor) : "");
    cells.add(floor > 0 ? format("%.0f %%", 100 * floor / median) : "");
    cells.add(rate);
    line("| " + String.join(" | ", cells) + " |");
  }

  private double bandwidth() {
    return best("device-copy", "bytes");
  }

  private double peak() {
    return best("device-peak", "flops");
  }

  /// The fastest way's `what` per second; 0 where it has not been timed.
  private double best(String benchmark, String what) {
    double best = 0;
    JsonNode result = results.of(BENCH).get(benchmark);
    if (result != null) {
      for (JsonNode time : result.path("times")) {
        if (time.has("median_us")) {
          double rate = result.get(what).doubleValue() / time.get("median_us").doubleValue() * 1e6;
          best = Math.max(best, rate);
        }
      }
    }
    return best;
  }

  private static boolean isPassed(JsonNode result) {
    return result.get("status").asString().equals("passed");
  }

  private static String format(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }

  private void line(String line) {
    text.append(line).append('\n');
  }
}
