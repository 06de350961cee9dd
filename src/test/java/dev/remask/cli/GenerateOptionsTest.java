package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;

/// The flags of `remask generate` that say what is asked and how it is denoised.
class GenerateOptionsTest {
  private static final String SUM = "What is 47 + 38?";

  @TempDir Path folder;

  private CliRun run(String... arguments) {
    String[] all = new String[arguments.length + 1];
    all[0] = "generate";
    System.arraycopy(arguments, 0, all, 1, arguments.length);
    return new CliRun(folder).with("REMASK_DEVICE", "software").run(all);
  }

  private JsonNode json(String... arguments) {
    String[] all =
        Stream.concat(Stream.of(arguments), Stream.of("--format", "json")).toArray(String[]::new);
    CliRun run = run(all);
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    return run.json().getFirst();
  }

  private static int[] ints(JsonNode list) {
    return list.valueStream().mapToInt(JsonNode::intValue).toArray();
  }

  @Test
  void canvas_keepsItsText() {
    CliRun run = run("--canvas", "In the <mask> God <mask:2> the heaven");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertTrue(run.out().startsWith("In the"), run::toString);
    assertTrue(run.out().contains(" God"), run::toString);
    assertTrue(run.out().endsWith(" the heaven" + System.lineSeparator()), run::toString);
    assertFalse(run.out().contains("<mask"), run::toString);
  }

  @Test
  void canvasIds_comeBackFilled() {
    JsonNode json = json("--canvas-ids", "906,_,null,261,_");
    int[] filled = ints(json.get("canvas_ids"));
    int[] output = ints(json.get("output_ids"));
    assertEquals(3, output.length);
    assertEquals(
        List.of(906, output[0], output[1], 261, output[2]), IntStream.of(filled).boxed().toList());
    assertEquals("[906]", json.get("prompt_ids").toString());
    assertEquals(3, json.get("forward_passes").intValue());
  }

  @Test
  void aLengthThatIsASetting_isNotForCanvases() {
    CliRun set =
        new CliRun(folder)
            .with("REMASK_GEN_LENGTH", "16")
            .with("REMASK_MAX_GEN_LENGTH", "32")
            .run("generate", "--canvas-ids", "906,_", "--format", "json");
    assertEquals(ExitStatus.DONE, set.status(), set::toString);
    CliRun flag = run("--canvas-ids", "906,_", "--gen-length", "1");
    assertEquals(ExitStatus.USAGE, flag.status(), flag::toString);
    assertTrue(flag.err().contains("gen_length must not be given with a canvas"), flag::toString);
  }

  @Test
  void choices_areTheOnlyAnswers() {
    CliRun run = run("What is the capital of France?", "--choices", "Paris", "--choices", "Tokyo");
    assertEquals("Paris" + System.lineSeparator(), run.out(), run::toString);
    CliRun other = run("What is the capital of France?", "--choices", "Rome", "--choices", "Tokyo");
    assertTrue(List.of("Rome", "Tokyo").contains(other.out().strip()), other::toString);
    JsonNode byIds = json("--prompt-ids", "906", "--choice-ids", "5,6,_", "--choice-ids", "7,8,9");
    int[] ids = ints(byIds.get("output_ids"));
    assertEquals(3, ids.length);
    assertTrue(ids[0] == 5 && ids[1] == 6 || ids[0] == 7 && ids[1] == 8 && ids[2] == 9);
  }

  @Test
  void tokenSets_holdEverywhereOrAtAPosition() {
    int[] allowed =
        ints(
            json(SUM, "--gen-length", "4", "--allowed-tokens", "5,6", "--allowed-tokens", "1:6,7")
                .get("output_ids"));
    assertTrue(IntStream.of(allowed).allMatch(id -> id == 5 || id == 6));
    assertEquals(6, allowed[1]);
    int[] usual = ints(json(SUM, "--gen-length", "8").get("output_ids"));
    int[] banned =
        ints(json(SUM, "--gen-length", "8", "--banned-tokens", "0:" + usual[0]).get("output_ids"));
    assertTrue(banned[0] != usual[0]);
    int[] biased = ints(json(SUM, "--gen-length", "4", "--logit-bias", "5=1000").get("output_ids"));
    assertTrue(IntStream.of(biased).allMatch(id -> id == 5));
  }

  @Test
  void earlyStop_endsWithTheEos() {
    JsonNode whole = json(SUM, "--gen-length", "32", "--block-length", "16");
    JsonNode early = json(SUM, "--gen-length", "32", "--block-length", "16", "--early-stop");
    int[] ids = ints(early.get("output_ids"));
    assertEquals(2043, ids[ids.length - 1]);
    assertEquals(
        IntStream.of(ints(whole.get("output_ids"))).limit(ids.length).boxed().toList(),
        IntStream.of(ids).boxed().toList());
    assertTrue(early.get("forward_passes").intValue() < 32, early::toString);
    assertEquals("stop", early.get("finish_reason").stringValue());
    assertEquals(whole.get("text"), early.get("text"));
  }

  @Test
  void automaticLength_growsByBlocks() {
    JsonNode short1 = json(SUM, "--gen-length", "4");
    assertEquals(4, short1.get("output_ids").size());
    JsonNode grown = json(SUM, "--gen-length", "4", "--max-gen-length", "32");
    int length = grown.get("output_ids").size();
    assertTrue(length > 4 && length <= 32 && length % 4 == 0, grown::toString);
    assertEquals("stop", grown.get("finish_reason").stringValue(), grown::toString);
  }

  @Test
  void acceleratedRules_takeFewerPasses() {
    for (List<String> flags :
        List.of(
            List.of("--threshold", "0.9"),
            List.of("--factor", "1"),
            List.of("--threshold", "0.9", "--cache", "dual", "--block-length", "8"),
            List.of("--schedule", "1,0.5,0"),
            List.of("--steps", "8", "--schedule", "cosine"),
            List.of("--block-length", "12", "--steps", "4,2"))) {
      var arguments = new java.util.ArrayList<>(List.of(SUM, "--gen-length", "24"));
      arguments.addAll(flags);
      JsonNode json = json(arguments.toArray(String[]::new));
      assertTrue(json.get("forward_passes").intValue() < 24, flags + " " + json);
      assertEquals(24, json.get("output_ids").size());
    }
  }

  @Test
  void sampling_followsTheSeed() {
    String[] flags = {SUM, "--gen-length", "16", "--temperature", "3", "--top-k", "50", "--seed"};
    String one = sampled(flags, "1");
    assertEquals(one, sampled(flags, "1"));
    assertFalse(one.equals(sampled(flags, "2")), one);
  }

  private String sampled(String[] flags, String seed) {
    String[] all = Stream.concat(Stream.of(flags), Stream.of(seed)).toArray(String[]::new);
    return json(all).get("output_ids").toString();
  }

  @Test
  void linesOfABatch_mayHaveEverything() throws Exception {
    Files.write(
        folder.resolve("lines.jsonl"),
        List.of(
            "{\"canvas_ids\": [906, null, 261]}",
            "{\"prompt\": \"What is the capital of France?\", \"choices\": [\"Paris\", \"Tokyo\"],"
                + " \"options\": {\"steps\": null}}",
            "{\"prompt\": \"" + SUM + "\", \"trace\": true, \"options\": {\"steps\": null}}"));
    CliRun fits = run("--batch", "lines.jsonl", "--gen-length", "16", "--steps", "8");
    assertEquals(ExitStatus.DONE, fits.status(), fits::toString);
    assertEquals(3, fits.json().get(0).get("canvas_ids").size());
    assertEquals("Paris", fits.json().get(1).get("text").stringValue());
    assertEquals(16, fits.json().get(2).get("trace").size());
    assertEquals(16, fits.json().get(2).get("forward_passes").intValue(), "null: the default");
  }

  static Stream<Arguments> badRequests() {
    return Stream.of(
        Arguments.of(List.of("--canvas", "no mask"), "canvas must hold at least one <mask>"),
        Arguments.of(List.of("--canvas", "<mask:x>"), "<mask:x>"),
        Arguments.of(List.of(SUM, "--canvas", "<mask>"), "PROMPT"),
        Arguments.of(List.of("--canvas-ids", "1,x"), "--canvas-ids"),
        Arguments.of(List.of("--canvas-ids", "1,2"), "at least one masked position"),
        Arguments.of(List.of("--canvas-ids", "_,-2"), "--canvas-ids"),
        Arguments.of(List.of(SUM, "--steps", "many"), "--steps"),
        Arguments.of(List.of(SUM, "--steps", "1,,2"), "--steps"),
        Arguments.of(List.of(SUM, "--steps", "4,4"), "steps must have a number for each"),
        Arguments.of(List.of(SUM, "--schedule", "square"), "uniform, cosine, linear"),
        Arguments.of(List.of(SUM, "--schedule", "1,x,0"), "--schedule"),
        Arguments.of(List.of(SUM, "--schedule", "1,0.5"), "fall strictly from 1 to 0"),
        Arguments.of(List.of(SUM, "--cache", "all"), "none, prefix, dual"),
        Arguments.of(List.of(SUM, "--threshold", "2"), "threshold"),
        Arguments.of(List.of(SUM, "--top-k", "3"), "temperature"),
        Arguments.of(List.of(SUM, "--allowed-tokens", "x:1"), "--allowed-tokens"),
        Arguments.of(
            List.of(SUM, "--banned-tokens", "1", "--banned-tokens", "2"), "every position twice"),
        Arguments.of(List.of(SUM, "--logit-bias", "5"), "--logit-bias"),
        Arguments.of(List.of(SUM, "--timeout-ms", "0"), "timeout_ms must be at least 1"),
        Arguments.of(List.of(SUM, "--negative-prompt", "x"), "cfg_scale"),
        Arguments.of(
            List.of(SUM, "--choices", "Paris", "--threshold", "0.9"), "choices commits one token"),
        Arguments.of(List.of("--batch", "x", "--choices", "a"), "--choices is for one request"),
        Arguments.of(List.of(SUM, "--cache", "dual", "--max-cache-tokens", "3"), "maxCacheTokens"));
  }

  @ParameterizedTest
  @MethodSource("badRequests")
  void badRequest_isRefusedByName(List<String> arguments, String mentioned) {
    CliRun run = run(arguments.toArray(String[]::new));
    assertEquals(ExitStatus.USAGE, run.status(), run::toString);
    assertTrue(run.err().contains(mentioned), run::toString);
    assertEquals("", run.out(), run::toString);
    assertFalse(run.err().contains("\tat "), run::toString);
  }
}
