package dev.remask;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.DiffusionOptions;
import dev.remask.embed.FlightProbe;
import dev.remask.testing.ChildJvm;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What JDK Flight Recorder is told.
class FlightTest {
  private static final String LOOP = "remask.loop";
  private static final int STEPS = 12;

  @TempDir private Path folder;

  @AfterEach
  void anyLoop() {
    System.clearProperty(LOOP);
  }

  private static Model load() {
    return Remask.load(
        Remask.defaultModel(), LoadOptions.defaults().withDevice(TestDevices.software()));
  }

  private static GenerateRequest request(int steps) {
    return GenerateRequest.builder()
        .promptIds(1, 2, 3)
        .options(DiffusionOptions.builder().genLength(12).steps(steps).build())
        .build();
  }

  /// The events of what `work` did, by their names without `dev.remask.`.
  private Map<String, List<RecordedEvent>> recorded(Runnable work) throws IOException {
    Path file = folder.resolve("flight.jfr");
    try (var recording = new Recording()) {
      List.of("Load", "Request", "Score", "Run", "Step", "GraphLaunch", "KernelLaunch")
          .forEach(name -> recording.enable("dev.remask." + name));
      recording.start();
      work.run();
      recording.stop();
      recording.dump(file);
    }
    var events = new TreeMap<String, List<RecordedEvent>>();
    for (RecordedEvent event : RecordingFile.readAllEvents(file)) {
      String name = event.getEventType().getName().replace("dev.remask.", "");
      events.computeIfAbsent(name, key -> new java.util.ArrayList<>()).add(event);
    }
    return events;
  }

  /// Launches by kernel, as often as each event says.
  private static Map<String, Long> launches(Map<String, List<RecordedEvent>> events) {
    var launches = new TreeMap<String, Long>();
    for (RecordedEvent event : events.getOrDefault("KernelLaunch", List.of())) {
      launches.merge(event.getString("kernel"), event.getLong("launches"), Long::sum);
    }
    return launches;
  }

  private static long sum(List<RecordedEvent> events, String field) {
    return events.stream().mapToLong(event -> event.getLong(field)).sum();
  }

  @ParameterizedTest
  @ValueSource(strings = {"steps", "while"})
  void everyLoop_tellsEveryKernelOfEveryStep(String mode) throws IOException {
    System.setProperty(LOOP, mode);
    Map<String, List<RecordedEvent>> cold =
        recorded(() -> {
          try (Model model = load()) {
            model.generate(request(STEPS));
          }
        });
    RecordedEvent loading = cold.get("Load").getFirst();
    assertEquals("BF16", loading.getString("dtype"));
    assertEquals(Remask.defaultModel().toString(), loading.getString("folder"));
    assertTrue(loading.getLong("deviceBytes") > 9_000_000);
    assertTrue(loading.getDuration("weights").toNanos() > 0);
    assertTrue(loading.getDuration().compareTo(loading.getDuration("weights")) >= 0);

    RecordedEvent request = cold.get("Request").getFirst();
    assertEquals("answered", request.getString("outcome"));
    assertEquals(STEPS, request.getInt("passes"));
    assertEquals(15, request.getInt("tokens"));
    assertEquals(12, request.getInt("masks"));

    List<RecordedEvent> runs = cold.get("Run");
    assertEquals(STEPS, sum(runs, "steps"));
    assertEquals(1, sum(runs, "streamSteps"), "the first step of a shape loads its kernels");
    boolean repeated = mode.equals("while");
    assertEquals(repeated ? 0 : STEPS - 1, sum(runs, "graphSteps"));
    assertEquals(repeated ? STEPS - 1 : 0, sum(runs, "whileSteps"));
    // What the device repeats by itself, the host sees as one run.
    assertEquals(repeated ? 1 : STEPS, cold.get("Step").size());
    assertEquals(repeated ? 1 : STEPS - 1, cold.get("GraphLaunch").size());

    Map<String, Long> kernels = launches(cold);
    assertEquals(STEPS, kernels.get("commit_rows"), () -> kernels.toString());
    assertEquals(repeated ? STEPS - 1L : null, kernels.get("loop_while"));
    kernels
        .entrySet()
        .removeIf(kernel -> kernel.getKey().matches("loop_while|pack_.*|quantize_.*"));
    kernels.forEach((name, count) -> assertEquals(0, count % STEPS, name + ": " + count));
    assertTrue(kernels.size() > 8, () -> kernels.toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"steps", "while"})
  void graphThatWasCapturedBefore_isTold_too(String mode) throws IOException {
    System.setProperty(LOOP, mode);
    try (Model model = load()) {
      model.generate(request(STEPS));
      model.generate(request(STEPS));
      Map<String, Long> launches = launches(recorded(() -> model.generate(request(STEPS))));
      assertEquals(STEPS, launches.get("commit_rows"), () -> launches.toString());
    }
  }

  @Test
  void ends_areToldApart() throws IOException {
    Map<String, List<RecordedEvent>> events =
        recorded(() -> {
          try (Model model = load();
              Session session = model.session()) {
            Generation cancelled = session.submit(request(STEPS));
            cancelled.cancel();
            assertThrows(CancellationException.class, cancelled::await);
            model.score(ScoreRequest.builder().promptIds(1, 2).answerIds(3, 4, 5).draws(2).build());
          }
        });
    assertEquals("cancelled", events.get("Request").getFirst().getString("outcome"));
    RecordedEvent score = events.get("Score").getFirst();
    assertEquals(1, score.getInt("tasks"));
    assertEquals(1, score.getInt("passes"));
  }

  /// A recording that asks for nothing by name has what is rare, and what it disables is not there.
  @Test
  void defaultRecording_hasWhatIsRare() throws IOException {
    Path file = folder.resolve("other.jfr");
    try (var recording = new Recording();
        Model model = load()) {
      recording.disable("dev.remask.Run");
      recording.start();
      model.generate(request(STEPS));
      recording.stop();
      recording.dump(file);
    }
    List<String> found =
        RecordingFile.readAllEvents(file).stream()
            .map(event -> event.getEventType().getName())
            .filter(name -> name.startsWith("dev.remask"))
            .toList();
    assertEquals(List.of("dev.remask.Request"), found);
  }

  /// Before a process's first recording no event is even loaded.
  @Test
  void neverOn_nothingOfTheRecorderIsStarted() {
    ChildJvm.Result result = new ChildJvm().options("-Xlog:class+load").run(FlightProbe.class);
    assertEquals(0, result.status(), result.output());
    assertTrue(result.output().contains("dev.remask.support.Flight "), "the log has classes");
    assertFalse(result.output().contains("dev.remask.support.RunEvent"), "events are not loaded");
    assertFalse(result.output().contains("jdk.jfr.EventType"), "their types neither");
  }

  @Test
  void withoutTheModule_allElseWorks() {
    ChildJvm.Result with = new ChildJvm().run(FlightProbe.class);
    ChildJvm.Result without =
        new ChildJvm()
            .options("--limit-modules=java.base,java.logging,java.xml,java.desktop,java.sql")
            .run(FlightProbe.class);
    assertTrue(with.output().contains("jdk.jfr: true"), with.output());
    assertTrue(without.output().contains("jdk.jfr: false"), without.output());
    assertEquals(0, without.status(), without.output());
    assertEquals(
        with.output().replace("true", ""), without.output().replace("false", ""), "same answers");
  }
}
