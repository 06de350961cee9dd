package dev.remask.results;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A result file of `jmh/run`: what JMH measured, round by round, and on what.
///
/// JSON: `format`, `machine` (texts by name), `rounds` (date, load and stolen time of each),
/// `benchmarks` (JMH's own objects, the rounds' forks one behind the other in `rawData`),
/// `baselines` (what others measured at the same shapes, with date and machine).
final class Results {
  private static final String FORMAT = "remask-jmh-1";

  /// When a round was run and what else went on: the load at its begin (processes that wanted to
  /// run) and the part of the processors' time that the hypervisor took away.
  record Round(String date, double loadBefore, double stolen) {}

  /// Figures of another implementation: text as its script printed it, when and where. Never those
  /// of this run: reports show them as stored.
  record Baseline(String name, String date, String machine, String text) {}

  private final Map<String, String> machine;
  private final List<Round> rounds = new ArrayList<>();
  private final Map<String, ObjectNode> benchmarks = new LinkedHashMap<>();
  private final List<Baseline> baselines = new ArrayList<>();

  Results(Map<String, String> machine) {
    this.machine = new LinkedHashMap<>(machine);
  }

  Map<String, String> machine() {
    return machine;
  }

  List<Round> rounds() {
    return rounds;
  }

  List<Baseline> baselines() {
    return baselines;
  }

  /// Adds what JMH wrote (`-rf json`) of one round: its forks go behind those of the rounds before.
  void addRound(Round round, JsonNode jmh) {
    rounds.add(round);
    for (JsonNode node : requireArray(jmh, "JMH's results")) {
      String key = Measurement.of(node).key();
      ObjectNode before = benchmarks.get(key);
      if (before == null) {
        benchmarks.put(key, (ObjectNode) node.deepCopy());
      } else {
        append(before, node);
      }
    }
  }

  /// Adds the rounds of another file behind these.
  void addRounds(Results other) {
    rounds.addAll(other.rounds.subList(1, other.rounds.size()));
    ArrayNode all = JsonMapper.shared().createArrayNode().addAll(other.benchmarks.values());
    addRound(other.rounds.getFirst(), all);
  }

  private static void append(ObjectNode before, JsonNode node) {
    ((ArrayNode) Measurement.samplesOf(before.get("primaryMetric")))
        .addAll((ArrayNode) Measurement.samplesOf(node.get("primaryMetric")));
    var metrics = (ObjectNode) before.get("secondaryMetrics");
    node.get("secondaryMetrics")
        .properties()
        .forEach(entry -> {
          var metric = (ObjectNode) metrics.get(entry.getKey());
          // Counters: summed over the rounds, as JMH sums them over iterations.
          double sum =
              Measurement.number(metric.get("score"))
                  + Measurement.number(entry.getValue().get("score"));
          metric.put("score", sum);
        });
  }

  /// All benchmarks, in the order in which they were first run.
  List<Measurement> measurements() {
    return benchmarks.values().stream().map(Measurement::of).toList();
  }

  /// Reads a file of [#write], or one that JMH wrote itself, whose machine is then unknown.
  ///
  /// Throws IOException if it cannot be read, IllegalArgumentException if it is neither.
  static Results read(Path file) throws IOException {
    JsonNode root;
    try {
      root = JsonMapper.shared().readTree(Files.readString(file));
    } catch (JacksonException e) {
      throw new IllegalArgumentException(file + " is no JSON: " + e.getOriginalMessage(), e);
    }
    if (root.isArray()) {
      var results = new Results(Map.of());
      results.addRound(new Round("unknown", Double.NaN, Double.NaN), root);
      return results;
    }
    if (!root.path("format").asString("").equals(FORMAT)) {
      throw new IllegalArgumentException(file + " is no result file of jmh/run or JMH");
    }
    var machine = new LinkedHashMap<String, String>();
    root.get("machine").properties().forEach(e -> machine.put(e.getKey(), e.getValue().asString()));
    var results = new Results(machine);
    for (JsonNode round : root.get("rounds")) {
      results.rounds.add(
          new Round(
              round.get("date").asString(),
              round.get("load_before").asDouble(),
              round.get("stolen").asDouble()));
    }
    for (JsonNode node : root.get("benchmarks")) {
      results.benchmarks.put(Measurement.of(node).key(), (ObjectNode) node);
    }
    for (JsonNode node : root.path("baselines")) {
      results.baselines.add(
          new Baseline(
              node.get("name").asString(),
              node.get("date").asString(),
              node.get("machine").asString(),
              node.get("text").asString()));
    }
    return results;
  }

  /// Writes the file, its folder included.
  void write(Path file) throws IOException {
    ObjectNode root = JsonMapper.shared().createObjectNode().put("format", FORMAT);
    ObjectNode about = root.putObject("machine");
    machine.forEach(about::put);
    ArrayNode times = root.putArray("rounds");
    for (Round round : rounds) {
      times
          .addObject()
          .put("date", round.date)
          .put("load_before", round.loadBefore)
          .put("stolen", round.stolen);
    }
    root.putArray("benchmarks").addAll(benchmarks.values());
    ArrayNode others = root.putArray("baselines");
    for (Baseline baseline : baselines) {
      others
          .addObject()
          .put("name", baseline.name)
          .put("date", baseline.date)
          .put("machine", baseline.machine)
          .put("text", baseline.text);
    }
    Files.createDirectories(file.toAbsolutePath().getParent());
    Files.writeString(
        file, JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(root) + "\n");
  }

  private static JsonNode requireArray(JsonNode node, String what) {
    if (!node.isArray()) {
      throw new IllegalArgumentException(what + " are no array");
    }
    return node;
  }
}
