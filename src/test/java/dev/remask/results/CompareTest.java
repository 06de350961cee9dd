package dev.remask.results;

import static dev.remask.results.ResultFiles.benchmark;
import static dev.remask.results.ResultFiles.results;
import static dev.remask.results.ResultFiles.round;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.Seed;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Runs of one commit compare as equal however noisy they are; a difference beyond the bound that
/// the noise allows to see fails.
class CompareTest {
  @TempDir Path folder;

  private final ByteArrayOutputStream printed = new ByteArrayOutputStream();

  private int compare(Results a, Results b, String... options) throws IOException {
    Path left = folder.resolve("a.json");
    Path right = folder.resolve("b.json");
    a.write(left);
    b.write(right);
    var arguments = new String[2 + options.length];
    arguments[0] = left.toString();
    arguments[1] = right.toString();
    System.arraycopy(options, 0, arguments, 2, options.length);
    return run(arguments);
  }

  private int run(String... arguments) {
    printed.reset();
    try (var out = new PrintStream(printed, true, StandardCharsets.UTF_8)) {
      return Compare.run(arguments, out, out);
    }
  }

  private String text() {
    return printed.toString(StandardCharsets.UTF_8);
  }

  /// Rounds of one benchmark: `mean` times factors of the round and of each iteration.
  private static Results noisy(SplittableRandom random, int rounds, double mean, double spread) {
    var all = new JsonNode[rounds];
    for (int r = 0; r < rounds; r++) {
      double ofRound = mean * Math.exp(spread * random.nextGaussian());
      double[] samples = random.doubles(5).map(x -> ofRound * (1 + 0.02 * (x - 0.5))).toArray();
      all[r] = round(benchmark("AnyBenchmark.work", samples));
    }
    return results(all);
  }

  @Test
  void sameSpeed_comparesAsEqual_howeverNoisyTheRoundsAre() throws IOException {
    SplittableRandom random = Seed.of(7).random();
    int slower = 0;
    for (double spread : new double[] {0.01, 0.05, 0.2, 0.5}) {
      for (int i = 0; i < 100; i++) {
        slower +=
            compare(noisy(random, 3, 100, spread), noisy(random, 3, 100, spread)) == 0 ? 0 : 1;
      }
    }
    assertTrue(slower <= 4, slower + " of 400 comparisons of equals called one slower");
  }

  @Test
  void twiceTheTime_fails_andHalfOfItIsFaster() throws IOException {
    SplittableRandom random = Seed.of(7).random();
    Results base = noisy(random, 5, 100, 0.02);
    assertEquals(1, compare(base, noisy(random, 5, 200, 0.02)));
    assertTrue(text().contains("**slower**"), text());
    assertEquals(0, compare(base, noisy(random, 5, 50, 0.02)));
    assertTrue(text().contains("| faster |"), text());
  }

  @Test
  void aDifferenceWithinTheBound_passes() throws IOException {
    Results a = results(round(benchmark("A.b", 100)), round(benchmark("A.b", 100.1)));
    Results b = results(round(benchmark("A.b", 120)), round(benchmark("A.b", 120.1)));
    assertEquals(1, compare(a, b));
    assertEquals(0, compare(a, b, "--bound", "1.25"));
  }

  @Test
  void oneRound_isShownAndNotJudged() throws IOException {
    Results a = results(round(benchmark("A.b", 100, 101, 102)));
    Results b = results(round(benchmark("A.b", 300, 301, 302)));
    assertEquals(0, compare(a, b));
    assertTrue(text().contains("2.980 | ? | one round: not judged"), text());
  }

  @Test
  void aSlowerMachine_isToldAndFailsNothing() throws IOException {
    Results a =
        results(
            round(benchmark("MachineBenchmark.copy", 100), benchmark("A.b", 1)),
            round(benchmark("MachineBenchmark.copy", 101), benchmark("A.b", 1)));
    Results b =
        results(
            round(benchmark("MachineBenchmark.copy", 200), benchmark("A.b", 1)),
            round(benchmark("MachineBenchmark.copy", 201), benchmark("A.b", 1)));
    assertEquals(0, compare(a, b));
    assertTrue(text().contains("the machine itself"), text());
  }

  @Test
  void throughput_countsTheOtherWay() throws IOException {
    String less = benchmark("A.b", "ops/s", Map.of(), 50);
    String more = benchmark("A.b", "ops/s", Map.of(), 100);
    assertEquals(1, compare(results(round(more), round(more)), results(round(less), round(less))));
  }

  @Test
  void benchmarksOfOneFile_areListed_andNothingInCommonIsAnError() throws IOException {
    JsonNode both = round(benchmark("A.b", 1), benchmark("A.c", 1));
    assertEquals(0, compare(results(both, both), results(round(benchmark("A.b", 1)))));
    assertTrue(text().contains("only in A"), text());
    assertEquals(2, compare(results(round(benchmark("A.b", 1))), results(both(both))));
  }

  private static JsonNode both(JsonNode ignored) {
    return round(benchmark("B.b", 1));
  }

  @Test
  void roundsInFilesOfTheirOwn_countAsRoundsOfOne() throws IOException {
    for (int i = 1; i <= 3; i++) {
      results(round(benchmark("A.b", 100 + i))).write(folder.resolve("a-" + i + ".json"));
      results(round(benchmark("A.b", 200 + i))).write(folder.resolve("b-" + i + ".json"));
    }
    String a = folder.resolve("a-").toString();
    String b = folder.resolve("b-").toString();
    assertEquals(1, run("--rounds", a, b, "--bound", "1.5"));
    assertEquals(0, run("--rounds", a, a, "--bound", "1.5"));
  }

  @Test
  void usage_isRefusedWithStatus2() {
    assertEquals(2, run("only-one.json"));
    assertEquals(2, run("a.json", "b.json", "--bound", "x"));
    assertEquals(2, run("a.json", "b.json", "--bound", "0.5"));
    assertTrue(text().contains("usage: jmh/compare"), text());
  }

  @Test
  void filesThatCannotBeRead_areStatus2_notSlower() throws IOException {
    Path good = folder.resolve("good.json");
    results(round(benchmark("A.b", 1))).write(good);
    assertEquals(2, run(good.toString(), folder.resolve("none.json").toString()));
    assertTrue(text().contains("there is no file"), text());
    Path torn = Files.writeString(folder.resolve("torn.json"), "{\"format\": ");
    assertEquals(2, run(good.toString(), torn.toString()));
    assertTrue(text().contains("torn.json is no JSON"), text());
    Path other = Files.writeString(folder.resolve("other.json"), "{}");
    assertEquals(2, run(good.toString(), other.toString()));
    assertTrue(text().contains("no result file of jmh/run"), text());
  }

  @Test
  void unitsThatDiffer_areAnError() {
    Measurement us = Measurement.of(round(benchmark("A.b", 1)).get(0));
    Measurement ns = Measurement.of(round(benchmark("A.b", "ns/op", Map.of(), 1000)).get(0));
    assertThrows(IllegalArgumentException.class, () -> Compare.ratio(us, ns));
  }

  @Test
  void intervals_coverTheRatio_asOftenAsTheySay() {
    SplittableRandom random = Seed.of(7).random();
    int missed = 0;
    int draws = 4000;
    for (int i = 0; i < draws; i++) {
      double[] a = random.doubles(4).map(x -> Math.exp(0.1 * random.nextGaussian())).toArray();
      double[] b = random.doubles(6).map(x -> 2 * Math.exp(0.3 * random.nextGaussian())).toArray();
      Intervals.Ratio ratio = Intervals.ratio(a, b);
      assertFalse(ratio.low() > ratio.value() || ratio.high() < ratio.value());
      missed += ratio.low() > 2 || ratio.high() < 2 ? 1 : 0;
    }
    // 0.1 % of 4,000 are 4; Welch's approximation is not exact for so few.
    assertTrue(missed <= 20, missed + " of " + draws + " intervals missed the ratio");
  }
}
