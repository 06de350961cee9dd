package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `remask score`.
class ScoreCommandTest {
  @TempDir Path folder;

  private CliRun score(String... arguments) {
    var all = new ArrayList<>(List.of("score", "--device", "software", "--dtype", "f32"));
    all.addAll(List.of(arguments));
    return new CliRun(folder).run(all.toArray(String[]::new));
  }

  @Test
  void batch_givesTheGoldens() throws Exception {
    var lines = new StringBuilder();
    var sums = new ArrayList<Double>();
    try (var in =
        ScoreCommandTest.class.getResourceAsStream("/golden/tiny-llada/cases/likelihood.json")) {
      for (JsonNode node : JsonMapper.shared().readTree(in).get("cases")) {
        var line = JsonMapper.shared().createObjectNode();
        for (String key : List.of("prompt_ids", "answer_ids", "masked")) {
          line.set(key, node.get(key));
        }
        lines.append(line).append('\n');
        sums.add(node.get("weighted_sum").asDouble());
      }
    }
    Files.writeString(folder.resolve("in.jsonl"), lines);
    CliRun run = score("--batch", "in.jsonl");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    List<JsonNode> results = run.json();
    assertEquals(sums.size(), results.size());
    for (int i = 0; i < sums.size(); i++) {
      double sum = results.get(i).get("weighted_sum").asDouble();
      assertEquals(sums.get(i), sum, 1e-4 * sums.get(i), "line " + (i + 1));
    }
  }

  @Test
  void batch_goesOnAfterABadLine() {
    String good = "{\"prompt_ids\":[5,6],\"answer_ids\":[7,8],\"masked\":[0]}\n";
    CliRun run =
        new CliRun(folder)
            .input(
                "\ufeff"
                    + good
                    + "{\"prompt_ids\":[5],\"answer_ids\":[99999],\"masked\":[0]}\n\n"
                    + "{\"prompt_ids\":[5],\"answer\n"
                    + "{\"prompt_ids\":[5,6],\"answer_ids\":[7,8],\"masked\":[0],\"masked\":[1]}\n"
                    + good.replace("{", "{\"id\":\"last\","))
            .run("score", "--device", "software", "--batch", "-");
    assertEquals(ExitStatus.SOME_LINES_FAILED, run.status(), run::toString);
    List<JsonNode> lines = run.json();
    assertEquals(5, lines.size(), run::toString);
    assertEquals(lines.get(0).get("weighted_sum"), lines.get(4).get("weighted_sum"));
    assertEquals(2, lines.get(0).size(), run::toString);
    assertEquals("last", lines.get(4).get("id").stringValue());
    assertTrue(lines.get(1).get("error").stringValue().contains("answer_ids"), run::toString);
    assertEquals(2, lines.get(1).get("line").intValue());
    assertTrue(lines.get(2).get("error").stringValue().contains("JSON"), run::toString);
    assertEquals(4, lines.get(2).get("line").intValue());
    assertTrue(lines.get(3).get("error").stringValue().contains("masked"), run::toString);
  }

  @Test
  void batch_takesWhatALineDoesNotSayFromTheFlags() {
    String ids = "{\"prompt_ids\":[5,6],\"answer_ids\":[7,8]";
    CliRun plain =
        new CliRun(folder)
            .input(ids + ",\"draws\":4,\"seed\":9,\"cfg_scale\":1}\n")
            .run("score", "--device", "software", "--batch", "-");
    CliRun flags =
        new CliRun(folder)
            .input(ids + "}\n")
            .run(
                "score",
                "--device",
                "software",
                "--batch",
                "-",
                "--draws=4",
                "--seed=9",
                "--cfg-scale=1");
    assertEquals(ExitStatus.DONE, flags.status(), flags::toString);
    assertEquals(plain.out(), flags.out());
    CliRun masked =
        new CliRun(folder)
            .with("REMASK_SEED", "3")
            .input(ids + ",\"masked\":[0]}\n")
            .run("score", "--device", "software", "--batch", "-", "--draws=4");
    assertTrue(masked.json().getFirst().has("weighted_sum"), masked::toString);
  }

  @Test
  void single_isTextOrJson() {
    CliRun json = score("--prompt-ids=5,6", "--answer-ids=7,8", "--masked=1,0", "--format=json");
    assertEquals(ExitStatus.DONE, json.status(), json::toString);
    assertEquals(2, json.json().getFirst().get("negative_log_likelihoods").size());
    CliRun text = score("What is 47 + 38?", "--answer", "47 + 38 = 85", "--draws", "8");
    assertEquals(ExitStatus.DONE, text.status(), text::toString);
    assertTrue(text.out().startsWith("log-likelihood -"), text::toString);
    assertTrue(text.out().contains("±"), text::toString);
    CliRun choices =
        score("What is 47 + 38?", "--choice", "47 + 38 = 85", "--choice", "Paris", "--draws=8");
    List<String> lines = choices.out().lines().toList();
    assertTrue(lines.get(1).startsWith("*") && lines.get(1).contains("85"), choices::toString);
    assertTrue(lines.get(2).startsWith(" ") && lines.get(2).contains("Paris"), choices::toString);
    CliRun tokens = score("--prompt-ids=", "--answer-ids=7,8", "--conditional=left", "--greedy");
    assertTrue(tokens.out().contains("what the model gives"), tokens::toString);
    assertEquals(4, tokens.out().lines().count(), tokens::toString);
  }

  @Test
  void mistakes_endWithStatus2() {
    usage("Give one of PROMPT", "--answer", "x");
    usage("Give one of --answer", "What?");
    usage("Give one of --answer", "What?", "--answer=a", "--choice=b");
    usage("--masked", "--prompt-ids=1", "--answer-ids=2", "--masked=x");
    usage("masked", "--prompt-ids=1", "--answer-ids=2", "--masked=7");
    usage("masked, draws", "--prompt-ids=1", "--answer-ids=2", "--masked=0", "--draws=3");
    usage("must be others or left", "What?", "--answer=a", "--conditional=right");
    usage("in the lines of a batch", "--batch=x", "--answer=a");
    usage("no readable file", "--batch=nowhere.jsonl");
    usage("draws", "What?", "--answer=a", "--draws=0");
    CliRun model = score("--model=nowhere", "--prompt-ids=1", "--answer-ids=2");
    assertEquals(ExitStatus.DEVICE_OR_MODEL, model.status(), model::toString);
  }

  private void usage(String words, String... arguments) {
    CliRun run = score(arguments);
    assertEquals(ExitStatus.USAGE, run.status(), run::toString);
    assertTrue(run.err().contains(words), run::toString);
  }

  @Test
  void help_teaches() {
    CliRun run = new CliRun(folder).run("score", "--help");
    assertEquals(ExitStatus.DONE, run.status());
    for (String word :
        List.of(
            "--masked", "--draws", "--conditional", "weighted_sum", "Examples", "Exit status")) {
      assertTrue(run.out().contains(word), word);
    }
  }
}
