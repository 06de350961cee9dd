package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.ChildJvm;
import dev.remask.testing.SafeTensorsEdit;
import dev.remask.testing.Seed;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `remask generate --batch`: many at once, in order, to be continued.
class BatchTest {
  private static final JsonMapper MAPPER = new JsonMapper();

  @TempDir Path folder;

  private String model;

  @BeforeEach
  void findModel() throws URISyntaxException {
    model =
        Path.of(BatchTest.class.getResource("/golden/micro/config.json").toURI())
            .getParent()
            .toString();
  }

  private CliRun run(String... arguments) {
    var all = new ArrayList<>(List.of("generate", "--model", model, "--dtype", "f32"));
    all.addAll(List.of(arguments));
    return new CliRun(folder).with("REMASK_DEVICE", "software").run(all.toArray(String[]::new));
  }

  /// Lines of different lengths, some blank, some wrong.
  private List<String> requests(int count) throws IOException {
    var lines = new ArrayList<String>();
    for (int i = 0; i < count; i++) {
      lines.add(
          switch (i % 10) {
            case 3 -> "";
            case 7 -> "{\"prompt_ids\": [" + i + "], \"id\": " + i + ", \"options\": 3}";
            default ->
                "{\"prompt_ids\": [%d, 7], \"id\": \"r%d\", \"options\": {\"gen_length\": %d}}"
                    .formatted(i % 400, i, 1 + i * 7 % 23);
          });
    }
    Files.write(folder.resolve("requests.jsonl"), lines);
    return lines;
  }

  private static List<JsonNode> results(Path file) throws IOException {
    return Files.readAllLines(file).stream().map(MAPPER::readTree).toList();
  }

  private static List<String> essence(List<JsonNode> results) {
    return results.stream()
        .map(json ->
            json.path("line")
                + " "
                + json.path("id")
                + json.path("output_ids")
                + json.path("error"))
        .toList();
  }

  @Test
  void results_comeInOrder_withLineAndId() throws IOException {
    List<String> lines = requests(60);
    CliRun run = run("--batch", "requests.jsonl");
    assertEquals(ExitStatus.SOME_LINES_FAILED, run.status(), run::toString);
    List<JsonNode> results = run.json();
    assertEquals(
        IntStream.range(0, 60).filter(i -> i % 10 != 3).mapToObj(i -> i + 1).toList(),
        results.stream().map(json -> json.get("line").intValue()).toList());
    for (JsonNode json : results) {
      int i = json.get("line").intValue() - 1;
      if (i % 10 == 7) {
        assertEquals(i, json.get("id").intValue());
        assertTrue(json.get("error").stringValue().contains("options"), json::toString);
      } else {
        assertEquals("r" + i, json.get("id").stringValue());
        assertEquals(1 + i * 7 % 23, json.get("output_ids").size(), lines.get(i));
      }
    }
    assertEquals("", run.err());
  }

  @Test
  void ids_areTextsOrWholeNumbers() throws IOException {
    Files.writeString(
        folder.resolve("requests.jsonl"),
        "{\"id\": [1], \"prompt_ids\": [1]}\n{\"id\": 1, \"id\": 2, \"prompt_ids\": [1]}\n");
    CliRun run = run("--batch", "requests.jsonl");
    assertTrue(
        run.json().get(0).get("error").stringValue().startsWith("id must be"), run::toString);
    assertTrue(run.json().get(1).get("error").stringValue().contains("id"), run::toString);
  }

  @Test
  void deadlines_areErrorsOfTheirLines() throws IOException {
    var lines = new ArrayList<String>();
    for (int i = 0; i < 300; i++) {
      lines.add("{\"prompt_ids\": [1], \"timeout_ms\": 1, \"options\": {\"gen_length\": 60}}");
    }
    lines.add("{\"prompt_ids\": [1], \"options\": {\"gen_length\": 3}}");
    Files.write(folder.resolve("requests.jsonl"), lines);
    CliRun run = run("--batch", "requests.jsonl");
    assertEquals(ExitStatus.SOME_LINES_FAILED, run.status(), run::toString);
    assertEquals(301, run.json().size());
    assertTrue(
        run.json().get(200).path("error").stringValue("").startsWith("timeout_ms 1"),
        run::toString);
    assertEquals(3, run.json().getLast().get("output_ids").size());
  }

  @Test
  void progress_isToldWhereSomebodyWatches() throws IOException {
    requests(20);
    CliRun run =
        new CliRun(folder)
            .with("REMASK_DEVICE", "software")
            .onTerminal()
            .run("generate", "--model", model, "--batch", "requests.jsonl", "--out", "out.jsonl");
    assertEquals("", run.out());
    String last = run.err().substring(run.err().lastIndexOf('\r') + 1);
    assertTrue(last.matches("(?s)done 18/18  \\d+ tokens/s  ETA 0 s.*\\R"), run::toString);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 500, 1300, 4000})
  void out_continues_whateverIsThere(int bytes) throws IOException {
    requests(60);
    Path whole = folder.resolve("whole.jsonl");
    CliRun run = run("--batch", "requests.jsonl", "--out", "whole.jsonl");
    assertEquals(ExitStatus.SOME_LINES_FAILED, run.status(), run::toString);
    assertEquals("", run.out());
    byte[] all = Files.readAllBytes(whole);
    assertTrue(bytes < all.length);
    Path out = folder.resolve("out.jsonl");
    Files.write(out, java.util.Arrays.copyOf(all, bytes));
    long kept = Files.readString(out).chars().filter(c -> c == '\n').count();
    run("--batch", "requests.jsonl", "--out", "out.jsonl");
    assertEquals(essence(results(whole)), essence(results(out)));
    assertEquals(
        Files.readAllLines(whole).subList(0, (int) kept),
        Files.readAllLines(out).subList(0, (int) kept),
        "what was there is kept");
    String before = Files.readString(out);
    run("--batch", "requests.jsonl", "--out", "out.jsonl");
    assertEquals(before, Files.readString(out), "nothing is left to do");
  }

  @Test
  void out_refusesWhatIsNoBatchOutput_andLeavesIt() throws IOException {
    requests(3);
    for (String other : List.of("notes\n", "{\"line\": 2}\n{\"line\": 1}\n", "{}\n")) {
      Files.writeString(folder.resolve("out.jsonl"), other);
      CliRun run = run("--batch", "requests.jsonl", "--out", "out.jsonl");
      assertEquals(ExitStatus.USAGE, run.status(), run::toString);
      assertTrue(run.err().contains("out.jsonl"), run::toString);
      assertEquals(other, Files.readString(folder.resolve("out.jsonl")));
    }
    assertEquals(
        ExitStatus.USAGE, run("--batch", "requests.jsonl", "--out", folder.toString()).status());
    assertEquals(ExitStatus.USAGE, run("--prompt-ids", "1", "--out", "x").status());
    Files.delete(folder.resolve("out.jsonl"));
    try (FileChannel other =
            FileChannel.open(
                folder.resolve("out.jsonl"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        var lock = other.lock()) {
      assertTrue(lock.isValid());
      CliRun run = run("--batch", "requests.jsonl", "--out", "out.jsonl");
      assertEquals(ExitStatus.USAGE, run.status(), run::toString);
      assertTrue(run.err().contains("another process"), run::toString);
    }
  }

  /// The beginning of a file of results, as a killed run leaves it, and a file of anything else.
  @Test
  void out_cutsNothingButATornResult() throws IOException {
    requests(3);
    Path out = folder.resolve("out.jsonl");
    String whole = "{\"prompt_ids\":[0,7],\"output_ids\":[5],\"text\":null,\"line\":1}\n";
    String error = "{\"error\":\"not found\"}";
    for (String tail :
        List.of(
            "My thesis",
            "{\"prompt_ids\":[1,2]}",
            "{\"prompt_ids\":[1,2],\"options\":{}",
            "{\"prompt\":\"What?\"}",
            "{ ",
            error,
            error + "\r",
            "[1, 2")) {
      for (String before : List.of("", whole)) {
        Files.writeString(out, before + tail);
        CliRun run = run("--batch", "requests.jsonl", "--out", "out.jsonl");
        assertEquals(ExitStatus.USAGE, run.status(), before + tail + run);
        assertTrue(run.err().contains("something else"), run::toString);
        assertEquals(before + tail, Files.readString(out));
      }
    }
    for (String tail :
        List.of("{", "{\"error\":\"\u00e9", "{\"prompt_ids\":[1,2],\"output_ids\":[")) {
      Files.writeString(out, whole + tail);
      CliRun run = run("--batch", "requests.jsonl", "--out", "out.jsonl");
      assertEquals(ExitStatus.DONE, run.status(), run::toString);
      assertTrue(Files.readString(out).startsWith(whole), tail);
      assertEquals(3, results(out).size());
    }
  }

  @Test
  void out_isLeftAsItIs_whereTheModelCannotBeOpened() throws IOException {
    requests(3);
    Path out = folder.resolve("out.jsonl");
    Files.writeString(out, "{\"error\":\"torn");
    CliRun run =
        new CliRun(folder)
            .run("generate", "--model=nowhere", "--batch=requests.jsonl", "--out=out.jsonl");
    assertEquals(ExitStatus.DEVICE_OR_MODEL, run.status(), run::toString);
    assertEquals("{\"error\":\"torn", Files.readString(out));
  }

  @Test
  void logitsThatAreNoNumbers_areTheErrorOfTheirLine() throws IOException {
    Path source = Path.of(model);
    for (String file : List.of("config.json", "model.safetensors")) {
      Files.copy(source.resolve(file), folder.resolve(file));
    }
    int token = 77;
    SafeTensorsEdit.overwriteRowWithNaN(
        folder.resolve("model.safetensors"), "model.transformer.wte.weight", token);
    model = folder.toString();
    var lines = new ArrayList<String>();
    for (int i = 0; i < 40; i++) {
      lines.add(
          "{\"prompt_ids\": [1, %d], \"options\": {\"gen_length\": 3, \"suppress_eos\": true}}"
              .formatted(i == 20 ? token : 2));
    }
    Files.write(folder.resolve("requests.jsonl"), lines);
    CliRun shown = run("--batch", "requests.jsonl");
    CliRun run = run("--batch", "requests.jsonl", "--out", "out.jsonl");
    for (List<JsonNode> results : List.of(shown.json(), results(folder.resolve("out.jsonl")))) {
      assertEquals(ExitStatus.SOME_LINES_FAILED, run.status(), run::toString);
      assertEquals(40, results.size(), run::toString);
      for (JsonNode result : results) {
        boolean bad = result.get("line").intValue() == 21;
        assertEquals(bad, result.has("error"), result::toString);
        assertTrue(!bad || result.get("error").stringValue().startsWith("no token"), run::toString);
      }
    }
    assertEquals(ExitStatus.SOME_LINES_FAILED, shown.status());

    for (int i = 0; i < lines.size(); i++) {
      int first = i == 20 ? token : 2;
      lines.set(i, "{\"prompt_ids\":[1,%d],\"answer_ids\":[7,8],\"masked\":[0]}".formatted(first));
    }
    Files.write(folder.resolve("scored.jsonl"), lines);
    CliRun scored =
        new CliRun(folder)
            .with("REMASK_DEVICE", "software")
            .run("score", "--model", model, "--dtype", "f32", "--batch", "scored.jsonl");
    assertEquals(ExitStatus.SOME_LINES_FAILED, scored.status(), scored::toString);
    assertEquals(40, scored.json().size(), scored::toString);
    for (int i = 0; i < 40; i++) {
      assertEquals(i == 20, scored.json().get(i).has("error"), scored::toString);
    }
    assertEquals(21, scored.json().get(20).get("line").intValue());
  }

  @Test
  void limits_areFlags() throws IOException {
    Files.writeString(
        folder.resolve("requests.jsonl"),
        "{\"prompt_ids\": [1, 2, 3], \"options\": {\"gen_length\": 8}}\n");
    for (String flag : List.of("--max-tokens=10", "--max-rows=7")) {
      CliRun run = run("--batch", "requests.jsonl", flag);
      assertEquals(ExitStatus.SOME_LINES_FAILED, run.status(), run::toString);
      String name = flag.substring(0, flag.indexOf('='));
      assertTrue(run.out().contains("LoadOptions") && run.out().contains(name), run::toString);
    }
    CliRun none = run("--batch", "requests.jsonl", "--max-sequences=1");
    assertEquals(ExitStatus.USAGE, none.status(), none::toString);
    CliRun enough =
        run("--batch", "requests.jsonl", "--max-tokens=11", "--max-rows=8", "--max-sequences=2");
    assertEquals(ExitStatus.DONE, enough.status(), enough::toString);
  }

  @Test
  void killedAtAnyMoment_aBatchLosesNothing_andAnswersNothingTwice() throws Exception {
    Seed seed = Seed.fresh();
    int count = 600;
    requests(count);
    Path out = folder.resolve("out.jsonl");
    int kills = 0;
    while (true) {
      Process child = child(out);
      // So much is written in this life, so that the batch gets on on any machine.
      long enough = size(out) + 1 + seed.random().nextInt(40_000);
      while (child.isAlive() && size(out) < enough) {
        Thread.sleep(1);
      }
      if (!child.waitFor(seed.random().nextInt(10), TimeUnit.MILLISECONDS)) {
        child.destroyForcibly().waitFor(); // SIGKILL
        kills++;
      } else {
        // DONE, if no wrong line was left for this life.
        List<Integer> ends = List.of(ExitStatus.DONE, ExitStatus.SOME_LINES_FAILED);
        assertTrue(ends.contains(child.exitValue()), () -> seed + ": " + child.exitValue());
        break;
      }
    }
    assertTrue(kills > 0, seed + ": was never killed");
    List<JsonNode> results = results(out);
    assertEquals(
        IntStream.range(0, count).filter(i -> i % 10 != 3).mapToObj(i -> i + 1).toList(),
        results.stream().map(json -> json.get("line").intValue()).toList(),
        seed::toString);
    run("--batch", "requests.jsonl", "--out", "whole.jsonl");
    assertEquals(essence(results(folder.resolve("whole.jsonl"))), essence(results), seed::toString);
  }

  private static long size(Path file) throws IOException {
    return Files.exists(file) ? Files.size(file) : 0;
  }

  private Process child(Path out) throws IOException {
    return new ChildJvm()
        .environment("REMASK_DEVICE", "software")
        .start(
            Main.class,
            "generate",
            "--model",
            model,
            "--dtype",
            "f32",
            "--batch",
            folder.resolve("requests.jsonl").toString(),
            "--out",
            out.toString());
  }

  @Test
  void linesFedOneByOne_areAnsweredInTurn() throws Exception {
    Process child =
        new ChildJvm()
            .environment("REMASK_DEVICE", "software")
            .start(Main.class, "generate", "--model", model, "--batch", "-");
    try (var to = child.outputWriter();
        var from = child.inputReader()) {
      for (int i = 1; i < 4; i++) {
        to.write("{\"prompt_ids\": [1], \"options\": {\"gen_length\": " + i + "}}\n");
        to.flush();
        JsonNode json = MAPPER.readTree(from.readLine());
        assertEquals(i, json.get("output_ids").size(), json::toString);
        assertEquals(i, json.get("line").intValue());
      }
    }
    assertTrue(child.waitFor(60, TimeUnit.SECONDS));
    assertEquals(ExitStatus.DONE, child.exitValue());
    assertFalse(child.isAlive());
  }
}
