package dev.remask.bench;

import dev.remask.cuda.LaunchRecorder.Launch;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// What was done when, as Chrome's trace viewer and Perfetto show it: spans of the program, what
/// the host enqueued, and what the device ran.
///
/// Format: Trace Event Format, complete events (`"ph": "X"`), times in microseconds.
public final class Trace {
  private static final int PROCESS = 1;
  private static final int PROGRAM = 1;
  private static final int HOST = 2;
  private static final int DEVICE = 3;
  private static final double NANOS_PER_MICRO = 1000;

  private record Span(int track, String name, long begin, long nanos, Map<String, Object> facts) {}

  private final List<Span> spans = new ArrayList<>();
  private final long begin = System.nanoTime();

  /// Begins now.
  Trace() {}

  /// Runs `work`, which is shown under `name`.
  <T> T span(String name, Supplier<T> work) {
    long from = System.nanoTime();
    try {
      return work.get();
    } finally {
      spans.add(new Span(PROGRAM, name, from, System.nanoTime() - from, Map.of()));
    }
  }

  void add(List<Launch> launches, KernelProfile.Roles roles) {
    for (Launch launch : launches) {
      var facts = Map.<String, Object>of("kernel", launch.kernel(), "sizes", launch.sizes());
      String label = roles.label(launch);
      spans.add(new Span(HOST, label, launch.hostBeginNanos(), launch.hostNanos(), facts));
      spans.add(new Span(DEVICE, label, launch.beginNanos(), launch.nanos(), facts));
    }
  }

  /// Writes all of it. Throws UncheckedIOException if the file cannot be written.
  ///
  /// @param file to be made or replaced
  public void write(Path file) {
    try {
      Files.writeString(file, json());
    } catch (IOException e) {
      throw new UncheckedIOException(file + ": the trace cannot be written: " + e.getMessage(), e);
    }
  }

  String json() {
    var mapper = new JsonMapper();
    ObjectNode root = mapper.createObjectNode();
    root.put("displayTimeUnit", "ms");
    ArrayNode events = root.putArray("traceEvents");
    name(events, "process_name", 0, "remask bench");
    name(events, "thread_name", PROGRAM, "bench");
    name(events, "thread_name", HOST, "launches (host)");
    name(events, "thread_name", DEVICE, "kernels (device)");
    for (Span span : spans) {
      ObjectNode event = events.addObject();
      event.put("ph", "X").put("pid", PROCESS).put("tid", span.track()).put("name", span.name());
      event.put("ts", (span.begin() - begin) / NANOS_PER_MICRO);
      event.put("dur", span.nanos() / NANOS_PER_MICRO);
      if (!span.facts().isEmpty()) {
        ObjectNode facts = event.putObject("args");
        span.facts().forEach((key, value) -> facts.put(key, value.toString()));
      }
    }
    return mapper.writeValueAsString(root);
  }

  private static void name(ArrayNode events, String kind, int track, String name) {
    ObjectNode event = events.addObject();
    event.put("ph", "M").put("pid", PROCESS).put("tid", track).put("name", kind);
    event.putObject("args").put("name", name);
  }
}
