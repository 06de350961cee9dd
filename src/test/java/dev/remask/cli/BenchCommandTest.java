package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.model.ModelConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `remask bench`.
class BenchCommandTest {
  /// As little as can be measured.
  private static final List<String> SHORT =
      List.of(
          "--lengths=32",
          "--batches=1,2",
          "--block-length=8",
          "--steps-per-sample=2",
          "--prompt-length=4",
          "--decodings=8:8:2",
          "--repeats=1",
          "--profile-length=32");

  private static final List<String> SMALL_MODEL =
      List.of(
          "--synthetic=tiny",
          "--layers=1",
          "--d-model=64",
          "--ffn=96",
          "--vocabulary=99",
          "--max-length=64");

  @TempDir Path folder;

  private CliRun run(List<String> flags, String... more) {
    var all = new ArrayList<String>(List.of("bench"));
    all.addAll(flags);
    all.addAll(List.of(more));
    return new CliRun(folder)
        .with("REMASK_DEVICE", "software")
        .with("REMASK_CACHE", folder.resolve("cache").toString())
        .run(all.toArray(String[]::new));
  }

  private static List<String> shortRunOfSmallModel() {
    var flags = new ArrayList<>(SHORT);
    flags.addAll(SMALL_MODEL);
    return flags;
  }

  @Test
  void builtInModel_isMeasured() {
    CliRun run = run(SHORT);
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    for (String wanted :
        List.of("tiny-llada", "A step, ms", "8:8:2", "by kernel", "gate and up", "planned")) {
      assertTrue(run.out().contains(wanted), run::toString);
    }
    assertTrue(run.err().contains("remask: loading tiny-llada"), run::toString);
  }

  @Test
  void syntheticModel_isWrittenOnceAndMeasured_intoFilesToo() throws IOException {
    CliRun run =
        run(
            shortRunOfSmallModel(),
            "--json=out.json",
            "--report=out.html",
            "--trace-out=trace.json",
            "--format=json");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    JsonNode json = JsonMapper.shared().readTree(run.out());
    assertEquals("96", json.get("model").get("ffn").stringValue());
    assertEquals(2, json.get("steps").size());
    assertEquals(run.out(), Files.readString(folder.resolve("out.json")));
    assertTrue(Files.readString(folder.resolve("out.html")).contains("</html>"));
    assertTrue(
        JsonMapper.shared()
                .readTree(Files.readString(folder.resolve("trace.json")))
                .get("traceEvents")
                .size()
            > 20);
    Path made = folder.resolve("cache/synthetic/d64-l1-h1-kv1-f96-v99-t64-s0");
    assertEquals(64, ModelConfig.read(made).dModel());
    var written = Files.getLastModifiedTime(made.resolve("model.safetensors"));
    assertEquals(ExitStatus.DONE, run(shortRunOfSmallModel()).status());
    assertEquals(written, Files.getLastModifiedTime(made.resolve("model.safetensors")));
  }

  @Test
  void save_writesAModelThatGenerates() {
    CliRun saved = run(SMALL_MODEL, "--save", "model");
    assertEquals(ExitStatus.DONE, saved.status(), saved::toString);
    CliRun answer =
        new CliRun(folder)
            .run(
                "generate",
                "--model=model",
                "--device=software",
                "--prompt-ids=1,2,3",
                "--gen-length=4");
    // The predecessor of the mask, the last of 99.
    assertEquals("97,97,97,97\n", answer.out(), answer::toString);
    CliRun again = run(SMALL_MODEL, "--save", "model");
    assertEquals(ExitStatus.DEVICE_OR_MODEL, again.status());
    assertTrue(again.err().contains("exists already"), again::toString);
  }

  @Test
  void tooLargeModels_areRefusedBeforeTheyAreWritten() {
    var run =
        new CliRun(folder)
            .with("REMASK_CACHE", folder.resolve("cache").toString())
            .run("bench", "--device=software", "--synthetic=llada-8b:900", "--max-tokens=4096");
    assertEquals(ExitStatus.DEVICE_OR_MODEL, run.status(), run::toString);
    assertTrue(run.err().contains("GiB are free on"), run::toString);
    assertFalse(Files.exists(folder.resolve("cache/synthetic")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--synthetic=llada-9b",
        "--lengths=a,b",
        "--lengths=1",
        "--batches=0",
        "--decodings=64",
        "--repeats=0",
        "--seconds=-1",
        "--save=x",
        "--layers=0",
        "--d-model=100",
        "--report=no/such/folder/x.html",
        "--report=.",
        "--lengths=0",
        "--lengths=",
        "--seconds=NaN",
        "--profile-length=0",
        "--max-length=1",
        "--vocabulary=2147483647",
        "--d-model=2147483647",
        "--layers=4097",
        "--synthetic=llada-8b:0",
        "--synthetic=tiny --model=y"
      })
  void nonsense_isAUsageError(String flags) {
    CliRun run = run(List.of(flags.split(" ")));
    assertEquals(ExitStatus.USAGE, run.status(), run::toString);
    assertFalse(run.err().contains("internal error"), run::toString);
    assertEquals("", run.out());
  }

  /// A flag goes before a setting, of the other kind of model, too.
  @Test
  void modelByASetting_yieldsToASyntheticOneByFlags_andTheOtherWayRound() {
    CliRun saved =
        new CliRun(folder)
            .with("REMASK_MODEL", "elsewhere")
            .run(
                "bench",
                "--synthetic=tiny",
                "--layers=1",
                "--d-model=64",
                "--vocabulary=99",
                "--save=made");
    assertEquals(ExitStatus.DONE, saved.status(), saved::toString);
    CliRun other =
        new CliRun(folder)
            .with("REMASK_SYNTHETIC", "llada-8b")
            .run("bench", "--device=software", "--model=no/such/model");
    assertEquals(ExitStatus.DEVICE_OR_MODEL, other.status(), other::toString);
    assertTrue(other.err().contains("no/such/model"), other::toString);
  }

  @Test
  void filesThatCannotBeWritten_keepNothingElseBack() throws IOException {
    var flags = new ArrayList<>(shortRunOfSmallModel());
    flags.set(flags.indexOf("--lengths=32"), "--lengths=none");
    CliRun run = run(flags, "--json=/dev/full", "--report=out.html");
    assertEquals(ExitStatus.DEVICE_OR_MODEL, run.status(), run::toString);
    assertTrue(run.err().contains("/dev/full cannot be written: No space left"), run::toString);
    assertTrue(run.out().contains("by kernel"), run::toString);
    assertTrue(Files.readString(folder.resolve("out.html")).contains("</html>"));
  }

  @Test
  void settings_standBehindTheFlags() throws IOException {
    Files.writeString(
        folder.resolve("remask.properties"),
        "lengths=16\nblock_length=8\ndecodings=none\nrepeats=1\nprofile-length=16\n");
    CliRun run =
        new CliRun(folder)
            .with("REMASK_DEVICE", "software")
            .with("REMASK_BATCHES", "2")
            .run("bench", "--format=json", "--steps-per-sample=1");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    JsonNode json = JsonMapper.shared().readTree(run.out());
    assertEquals(1, json.get("steps").size());
    assertEquals(16, json.get("steps").get(0).get("tokens").intValue());
    assertEquals(2, json.get("steps").get(0).get("batch").intValue());
    assertEquals(0, json.get("answers").size());
  }

  @Test
  void progress_isALineWhereSomebodyWatches() {
    var flags = new ArrayList<>(List.of("bench", "--device=software"));
    flags.addAll(SHORT);
    CliRun run = new CliRun(folder).onTerminal().run(flags.toArray(String[]::new));
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertTrue(run.err().contains("\rround 1 of 1"), run::toString);
    assertTrue(run.err().endsWith("\r" + Ansi.CLEAR_LINE), run::toString);
    assertFalse(run.err().contains("\n"), run::toString);
  }

  /// docs/bench.md: every flag of the command is told, and every one it tells is there.
  @Test
  void documentation_namesEveryFlag() throws IOException {
    String help = run(List.of("--help")).out();
    String text = Files.readString(Path.of("docs/bench.md"));
    // An option begins its line; descriptions stand further to the right.
    List<String> known = flags(Pattern.compile("(?m)^ {2,8}(?:-\\w, )?(--[a-z-]+)"), help);
    assertTrue(known.size() > 25, known::toString);
    for (String flag : known) {
      boolean common = List.of("--help", "--version", "--verbose", "--model").contains(flag);
      assertTrue(common || text.contains(flag), flag + " is in docs/bench.md");
    }
    for (String flag : flags(Pattern.compile("(--[a-z][a-z-]+)"), text)) {
      assertTrue(known.contains(flag), flag + " is in remask bench --help");
    }
  }

  private static List<String> flags(Pattern pattern, String text) {
    var flags = new ArrayList<String>();
    Matcher matcher = pattern.matcher(text);
    while (matcher.find()) {
      flags.add(matcher.group(1));
    }
    return flags;
  }
}
