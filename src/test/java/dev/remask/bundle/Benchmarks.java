package dev.remask.bundle;

import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.Architecture;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// The benchmarks of a card: each kernel at its shapes, and PyTorch's answer to the same.
final class Benchmarks {
  /// What is timed once it is prepared: its floor's figures, and how PyTorch is asked for the same
  /// (null: not at all).
  record Prepared(Runnable work, double flops, double bytes, ObjectNode torch) {}

  /// A benchmark in one way of running it, for example with one family of kernels. It prepares null
  /// where this machine lacks what it needs.
  record Way(String name, Function<Bench, Prepared> prepare) {}

  /// One line of the report.
  record Case(String name, List<Way> ways) {}

  /// In so many parts a way's time is spent, taking turns with the other ways.
  private static final int ROUNDS = 3;

  private Benchmarks() {}

  static List<Task> tasks(Results results, DeviceSpec spec, Path root) {
    boolean isCard = spec.kind() == DeviceSpec.Kind.CUDA;
    Sizes sizes = isCard ? Sizes.llada8b() : Sizes.tiny();
    var tasks = new ArrayList<Task>();
    List<Architecture> families = families(spec);
    for (Case benchmark : Cases.all(sizes, families)) {
      tasks.add(new Timed(benchmark, spec, sizes, root, isCard));
    }
    for (String name :
        List.of("dev.remask.diffusion.StepBenchmark", "dev.remask.model.ForwardBenchmark")) {
      tasks.add(new Jmh(name, spec, results));
    }
    return tasks;
  }

  /// Those of a Hopper card where there is none: the list of what would be run.
  private static List<Architecture> families(DeviceSpec spec) {
    return Device.list(spec.kind()).isEmpty()
        ? List.of(Architecture.values())
        : Architecture.runnable(Device.open(spec));
  }

  private record Timed(Case benchmark, DeviceSpec spec, Sizes sizes, Path root, boolean isCard)
      implements Task {
    @Override
    public String name() {
      return benchmark.name;
    }

    @Override
    public int size() {
      return benchmark.ways.size();
    }

    /// All ways are prepared first and then take turns, PyTorch with them, so that what the card
    /// does meanwhile (clocks, heat) meets all alike.
    @Override
    public ObjectNode run(Duration left) throws Exception {
      ObjectNode result = Results.object();
      ArrayNode times = result.putArray("times");
      var errors = new ArrayList<String>();
      var lanes = new ArrayList<Lane>();
      var torch = new TreeMap<String, Samples>();
      try (Context context = Context.open(Device.open(spec))) {
        try {
          for (Way way : benchmark.ways) {
            lanes.add(new Lane(way, context, sizes));
          }
          for (int round = 0; round < ROUNDS; round++) {
            for (Lane lane : lanes) {
              context.run(lane::sample);
            }
            for (Lane lane : lanes) {
              if (lane.prepared != null && lane.prepared.torch != null) {
                askTorch(lane.prepared.torch, torch, result);
                break;
              }
            }
          }
        } finally {
          for (Lane lane : lanes.reversed()) {
            context.run(lane::close);
          }
        }
      }
      for (Lane lane : lanes) {
        times.add(lane.line(result, errors));
      }
      torch.forEach((way, samples) -> times.add(samples.addTo(Results.object().put("way", way))));
      result.put("status", errors.isEmpty() ? "passed" : "failed");
      return errors.isEmpty() ? result : result.put("error", String.join("; ", errors));
    }

    private void askTorch(ObjectNode request, Map<String, Samples> torch, ObjectNode result)
        throws Exception {
      Optional<TorchPeer> peer = Peers.get(root, !isCard);
      if (peer.isEmpty()) {
        return;
      }
      request.put("seconds", sizes.seconds() / ROUNDS).put("flush_bytes", sizes.flushBytes());
      JsonNode answer = peer.get().time(request);
      for (JsonNode time : answer.path("times")) {
        Samples samples =
            torch.computeIfAbsent(time.path("way").asString(), ignored -> new Samples());
        time.path("runs_us").forEach(us -> samples.add(us.asDouble()));
      }
      if (answer.has("error")) {
        result.put("torch_error", answer.get("error").asString());
      }
      result.set("torch", peer.get().greeting());
    }
  }

  /// A way of a case while it is timed, prepared on the device thread; a failure ends it alone.
  private static final class Lane {
    private final Way way;
    private final double seconds;
    private final Samples samples = new Samples();
    private Bench bench;
    private Stopwatch watch;
    private Prepared prepared;
    private RuntimeException failure;

    Lane(Way way, Context context, Sizes sizes) {
      this.way = way;
      seconds = sizes.seconds() / ROUNDS;
      context.run(() -> {
        try {
          bench = new Bench(context);
          watch = new Stopwatch(context, bench.stream, sizes.flushBytes());
          prepared = way.prepare.apply(bench);
        } catch (RuntimeException e) {
          failure = e;
        }
      });
    }

    void sample() {
      if (prepared == null || failure != null) {
        return;
      }
      try {
        watch.time(seconds, prepared.work, samples);
      } catch (RuntimeException e) {
        failure = e;
      }
    }

    /// This way's line of the report; adds the case's figures to `result`.
    ObjectNode line(ObjectNode result, List<String> errors) {
      ObjectNode line = Results.object().put("way", way.name);
      if (failure != null) {
        errors.add(way.name + ": " + failure);
        return line.put("error", failure.toString());
      }
      if (prepared == null) {
        return line.put("absent", true);
      }
      result.put("flops", prepared.flops).put("bytes", prepared.bytes);
      return samples.addTo(line);
    }

    void close() {
      if (watch != null) {
        watch.close();
      }
      if (bench != null) {
        bench.close();
      }
    }
  }

  /// One Python for the whole run: importing PyTorch takes seconds.
  private static final class Peers {
    private static Optional<TorchPeer> peer;

    static synchronized Optional<TorchPeer> get(Path root, boolean anyDevice) {
      if (peer == null) {
        peer = TorchPeer.start(root, anyDevice);
        peer.ifPresent(it -> Runtime.getRuntime().addShutdownHook(new Thread(it::close)));
      }
      return peer;
    }
  }

  /// A JMH benchmark of the default model, in JMH's own processes.
  private record Jmh(String benchmark, DeviceSpec spec, Results results) implements Task {
    @Override
    public String name() {
      return "jmh-" + benchmark.substring(benchmark.lastIndexOf('.') + 1);
    }

    @Override
    public Duration limit() {
      return Duration.ofSeconds(240);
    }

    @Override
    public int size() {
      return 1;
    }

    @Override
    public ObjectNode run(Duration left) throws Exception {
      ObjectNode result = Results.object();
      Path file = java.nio.file.Files.createTempFile("remask-jmh", ".json");
      var child =
          Children.run(
              left,
              java.util.Map.of(),
              Children.java(
                  "org.openjdk.jmh.Main",
                  benchmark,
                  "-p",
                  "device=" + spec,
                  "-p",
                  "dtype=BF16",
                  "-f",
                  "1",
                  "-wi",
                  "2",
                  "-i",
                  "5",
                  "-w",
                  "2",
                  "-r",
                  "2",
                  "-rf",
                  "json",
                  "-rff",
                  file.toString()));
      String json = java.nio.file.Files.readString(file);
      java.nio.file.Files.delete(file);
      if (!child.isInTime() || child.status() != 0 || json.isBlank()) {
        return result
            .put("status", "failed")
            .put("error", child.isInTime() ? "JMH failed" : "no end in time")
            .put("output", child.tail());
      }
      ArrayNode times = result.putArray("times");
      for (JsonNode line : tools.jackson.databind.json.JsonMapper.shared().readTree(json)) {
        String name = line.get("benchmark").stringValue();
        JsonNode metric = line.get("primaryMetric");
        times
            .addObject()
            .put("way", name.substring(name.lastIndexOf('.') + 1))
            .put("median_us", metric.get("score").doubleValue())
            .put("low_us", metric.get("scorePercentiles").get("0.0").doubleValue())
            .put("high_us", metric.get("scorePercentiles").get("100.0").doubleValue())
            .put("runs", 5);
      }
      return result.put("status", "passed");
    }
  }
}
