package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `remask generate` with the default model on the software device.
class GenerateCommandTest {
  private static final String SUM = "What is 47 + 38?";
  private static final String ANSWER = "47 + 38 = 85";
  private static final String SUM_IDS =
      "2042,2044,736,2045,198,198,266,260,220,19,22,269,220,18,23,30,2046,2044,739,2045,198,198";

  @TempDir Path folder;

  private CliRun run(String... arguments) {
    String[] all = new String[arguments.length + 1];
    all[0] = "generate";
    System.arraycopy(arguments, 0, all, 1, arguments.length);
    return new CliRun(folder).with("REMASK_DEVICE", "software").run(all);
  }

  private static void assertRefused(CliRun run, String... mentioned) {
    assertEquals(ExitStatus.USAGE, run.status(), run::toString);
    assertEquals("", run.out(), run::toString);
    for (String word : mentioned) {
      assertTrue(run.err().contains(word), run::toString);
    }
    assertFalse(run.err().contains("\tat "), run::toString);
  }

  @Test
  void piped_writesOnlyTheText() {
    CliRun run = run(SUM, "--gen-length", "24");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertEquals(ANSWER + System.lineSeparator(), run.out());
    assertEquals("", run.err());
  }

  @Test
  void json_hasTheDocumentedFields() {
    CliRun run = run(SUM, "--gen-length", "24", "--steps", "12", "--format", "json");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertEquals(1, run.json().size());
    JsonNode json = run.json().getFirst();
    List<String> fields = json.properties().stream().map(entry -> entry.getKey()).toList();
    assertEquals(
        List.of(
            "prompt_ids",
            "output_ids",
            "text",
            "finish_reason",
            "forward_passes",
            "device",
            "dtype",
            "quantize",
            "timing"),
        fields);
    assertEquals("[" + SUM_IDS + "]", json.get("prompt_ids").toString());
    assertEquals(24, json.get("output_ids").size());
    assertEquals(ANSWER, json.get("text").stringValue());
    assertEquals("stop", json.get("finish_reason").stringValue());
    assertEquals(12, json.get("forward_passes").intValue());
    assertTrue(json.get("device").stringValue().contains("software"), run::toString);
    assertEquals("bf16", json.get("dtype").stringValue());
    assertEquals("none", json.get("quantize").stringValue());
    for (String time : List.of("load_ms", "total_ms", "ms_per_step")) {
      assertTrue(json.get("timing").get(time).doubleValue() > 0, run::toString);
    }
  }

  @Test
  void quantize_answersAsWell() {
    CliRun run = run(SUM, "--gen-length", "24", "--quantize", "int8", "--format", "json");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    JsonNode json = run.json().getFirst();
    assertEquals("int8", json.get("quantize").stringValue());
    assertEquals(ANSWER, json.get("text").stringValue());
  }

  @Test
  void trace_tellsEveryPositionOnce() {
    CliRun run = run(SUM, "--gen-length", "16", "--format", "json", "--trace", "--dtype", "f32");
    JsonNode json = run.json().getFirst();
    assertEquals("f32", json.get("dtype").stringValue());
    JsonNode trace = json.get("trace");
    assertEquals(16, trace.size());
    boolean[] seen = new boolean[16];
    for (JsonNode commit : trace) {
      int position = commit.get("position").intValue();
      assertFalse(seen[position]);
      seen[position] = true;
      assertEquals(json.get("output_ids").get(position).intValue(), commit.get("token").intValue());
      double confidence = commit.get("confidence").doubleValue();
      assertTrue(confidence > 0 && confidence <= 1, commit::toString);
      assertTrue(commit.get("step").intValue() < 16);
    }
  }

  @Test
  void trace_isATableOnStandardErrorForText() {
    CliRun run = run(SUM, "--gen-length", "16", "--trace");
    assertEquals(ANSWER + System.lineSeparator(), run.out());
    assertEquals(17, run.err().lines().count(), run::toString);
  }

  @Test
  void promptIds_answerLikeTheText() {
    CliRun run = run("--prompt-ids", SUM_IDS.replace(",", ", "), "--gen-length", "24");
    assertEquals(ANSWER + System.lineSeparator(), run.out(), run::toString);
  }

  @Test
  void rawPrompt_mayHoldSpecialTokens() {
    CliRun run =
        run(
            "--raw",
            "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\n"
                + SUM
                + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
            "--gen-length",
            "24",
            "--format",
            "json");
    assertEquals("[" + SUM_IDS + "]", run.json().getFirst().get("prompt_ids").toString());
  }

  @Test
  void literalsInAPrompt_stayText() {
    CliRun run = run("<|mdm_mask|>", "--gen-length", "4", "--format", "json");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertFalse(run.json().getFirst().get("prompt_ids").toString().contains("2047"), run::toString);
    assertRefused(run("--raw", "<|mdm_mask|>", "--gen-length", "4"), "prompt_ids", "mask");
  }

  @Test
  void emptyPrompts_areLegal() {
    assertEquals(ExitStatus.DONE, run("--raw", "", "--gen-length", "4").status());
    assertEquals(ExitStatus.DONE, run("--prompt-ids", "", "--gen-length", "4").status());
  }

  @Test
  void promptOnStandardInput() {
    CliRun run = new CliRun(folder).input(SUM).run("generate", "-", "--gen-length", "24");
    assertEquals(ANSWER + System.lineSeparator(), run.out(), run::toString);
  }

  static Stream<Arguments> badRequests() {
    return Stream.of(
        Arguments.of(List.of(), "PROMPT"),
        Arguments.of(List.of(SUM, "--prompt-ids", "1"), "PROMPT"),
        Arguments.of(List.of(SUM, "--batch", "x"), "PROMPT"),
        Arguments.of(List.of(SUM, "--gen-length", "0"), "gen_length"),
        Arguments.of(List.of(SUM, "--gen-length", "5", "--block-length", "2"), "block_length"),
        Arguments.of(
            List.of(SUM, "--gen-length", "8", "--block-length", "4", "--steps", "3"), "steps"),
        Arguments.of(List.of(SUM, "--gen-length", "5000"), "max_sequence_length"),
        Arguments.of(List.of(SUM, "--cfg-scale", "-1"), "cfg_scale"),
        Arguments.of(List.of(SUM, "--remasking", "high"), "high"),
        Arguments.of(List.of(SUM, "--dtype", "f16"), "f16"),
        Arguments.of(List.of(SUM, "--quantize", "int4"), "int4"),
        Arguments.of(List.of(SUM, "--device", "tpu"), "tpu"),
        Arguments.of(List.of(SUM, "--format", "xml"), "xml"),
        Arguments.of(List.of(SUM, "--seed", "x"), "--seed"),
        Arguments.of(List.of(SUM, "--temperature", "-1"), "temperature"),
        Arguments.of(List.of("--prompt-ids", "1,b"), "--prompt-ids"),
        Arguments.of(List.of("--prompt-ids", "5,2047"), "mask"),
        Arguments.of(List.of("--prompt-ids", "5,2048"), "2048"),
        Arguments.of(List.of("--prompt-ids=-1"), "prompt_ids"),
        Arguments.of(List.of("--batch", "missing.jsonl"), "missing.jsonl"));
  }

  @ParameterizedTest
  @MethodSource("badRequests")
  void badRequest_isRefusedByName(List<String> arguments, String mentioned) {
    assertRefused(run(arguments.toArray(String[]::new)), mentioned);
  }

  @Test
  void modelFolderThatIsNone_isAModelError() {
    CliRun run = run(SUM, "--model", "nowhere");
    assertEquals(ExitStatus.DEVICE_OR_MODEL, run.status(), run::toString);
    assertTrue(run.err().contains("nowhere"), run::toString);
    assertFalse(run.err().contains("\tat "), run::toString);
  }

  @ParameterizedTest
  @ValueSource(strings = {"flag", "variable"})
  void stackTraces_comeOnRequest(String how) {
    CliRun run = new CliRun(folder);
    if (how.equals("flag")) {
      run.run("generate", SUM, "--model", "nowhere", "--verbose");
    } else {
      run.with("REMASK_DEBUG", "1").run("generate", SUM, "--model", "nowhere");
    }
    assertTrue(run.err().contains("\tat "), run::toString);
  }

  @Test
  void modelWithoutTokenizer_worksWithIds() throws URISyntaxException {
    Path micro =
        Path.of(GenerateCommandTest.class.getResource("/golden/micro/config.json").toURI())
            .getParent();
    String model = micro.toString();
    CliRun json =
        run(
            "--model",
            model,
            "--prompt-ids",
            "1,2,3",
            "--gen-length",
            "4",
            "--format",
            "json",
            "--dtype",
            "f32");
    assertEquals(ExitStatus.DONE, json.status(), json::toString);
    assertTrue(json.json().getFirst().get("text").isNull(), json::toString);
    CliRun text =
        run("--model", model, "--prompt-ids", "1,2,3", "--gen-length", "4", "--dtype", "f32");
    assertTrue(text.out().matches("\\d+(,\\d+){3}\\R"), text::toString);
    assertRefused(run("--model", model, "hello"), "tokenizer");
  }

  @Test
  void onATerminal_theAnswerIsDrawnOverAndOver() {
    CliRun run = new CliRun(folder).onTerminal().run("generate", SUM, "--gen-length", "24");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertTrue(run.out().contains(Canvas.MASK), run::toString);
    assertTrue(run.out().endsWith(ANSWER + System.lineSeparator()), run::toString);
    assertTrue(run.err().contains("step 24  tokens 24/24"), run::toString);
  }

  @Test
  void batch_answersInOrderAndGoesOnAfterBadLines() throws IOException {
    List<String> lines =
        List.of(
            "{\"prompt\": \"" + SUM + "\", \"options\": {\"gen_length\": 24}}",
            "{\"prompt\": ",
            "",
            "{\"prompt\": \"x\", \"options\": {\"gen_lenght\": 3}}",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"" + SUM + "\"}]}",
            "{\"prompt_ids\": [" + SUM_IDS + "], \"options\": {\"steps\": 8}}",
            "{\"prompt\": \"x\", \"options\": {\"temperature\": -0.5}}",
            "{\"prompt\": \"x\", \"prompt_ids\": [1]}",
            "[1]",
            "{\"prompt\": \"x\", \"options\": {\"gen_length\": 1.5}}",
            "{\"prompt\": \"x\", \"prompt\": \"y\"}",
            "{\"prompt_ids\": [2047]}");
    Files.write(folder.resolve("requests.jsonl"), lines);
    CliRun run = run("--batch", "requests.jsonl", "--gen-length", "16");
    assertEquals(ExitStatus.SOME_LINES_FAILED, run.status(), run::toString);
    List<JsonNode> results = run.json();
    assertEquals(11, results.size(), run::toString);
    assertEquals(24, results.get(0).get("output_ids").size());
    assertEquals(ANSWER, results.get(0).get("text").stringValue());
    assertError(results.get(1), 2, "JSON");
    assertError(results.get(2), 4, "gen_lenght");
    assertEquals(16, results.get(3).get("output_ids").size());
    assertEquals(8, results.get(4).get("forward_passes").intValue());
    assertError(results.get(5), 7, "temperature");
    assertError(results.get(6), 8, "exactly one");
    assertError(results.get(7), 9, "object");
    assertError(results.get(8), 10, "gen_length");
    assertError(results.get(9), 11, "prompt");
    assertError(results.get(10), 12, "mask");
    assertEquals("", run.err());
  }

  private static void assertError(JsonNode result, int line, String mentioned) {
    assertEquals(
        List.of("error", "line"), result.properties().stream().map(e -> e.getKey()).toList());
    assertEquals(line, result.get("line").intValue());
    assertTrue(result.get("error").stringValue().contains(mentioned), result::toString);
  }

  @Test
  void batch_ofGoodLinesFromStandardInput_isDone() {
    String line = new JsonMapper().createObjectNode().put("prompt", SUM).toString();
    CliRun run =
        new CliRun(folder)
            .input(line + "\n" + line)
            .run("generate", "--batch", "-", "--gen-length", "16", "--trace");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertEquals(2, run.json().size());
    assertTrue(run.json().stream().allMatch(json -> json.get("trace").size() == 16));
    assertEquals(
        1, run.json().stream().map(json -> json.get("output_ids").toString()).distinct().count());
  }

  @Test
  void batch_mayBeginWithAByteOrderMark() {
    CliRun run =
        new CliRun(folder)
            .input("\ufeff{\"prompt_ids\": [1]}\n\ufeff{\"prompt_ids\": [1]}")
            .run("generate", "--batch", "-", "--gen-length", "1");
    assertEquals(ExitStatus.SOME_LINES_FAILED, run.status(), run::toString);
    assertEquals(1, run.json().get(0).get("output_ids").size(), run::toString);
    assertError(run.json().get(1), 2, "JSON");
  }

  @Test
  void batch_twoValuesOnALine_areRefusedInOurWords() {
    CliRun run =
        new CliRun(folder)
            .input("{\"prompt_ids\": [1]} {\"prompt_ids\": [1]}")
            .run("generate", "--batch", "-");
    assertEquals(ExitStatus.SOME_LINES_FAILED, run.status(), run::toString);
    assertError(run.json().getFirst(), 1, "more than one value");
  }

  @Test
  void helpOfEveryCommand_isThere() {
    for (String command : List.of("generate", "chat", "info")) {
      CliRun run = new CliRun(folder).run(command, "--help");
      assertEquals(ExitStatus.DONE, run.status());
      assertTrue(run.out().contains("Examples:"), run::toString);
      assertTrue(
          Arrays.stream(run.out().split("\n")).allMatch(l -> l.length() <= 80), run::toString);
    }
    assertTrue(new CliRun(folder).run("--version").out().startsWith("remask "));
    assertRefused(new CliRun(folder).run(), "command");
    assertRefused(new CliRun(folder).run("train"), "train");
  }
}
