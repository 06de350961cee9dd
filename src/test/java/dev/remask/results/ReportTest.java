package dev.remask.results;

import static dev.remask.results.ResultFiles.benchmark;
import static dev.remask.results.ResultFiles.results;
import static dev.remask.results.ResultFiles.round;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ReportTest {
  @TempDir Path folder;

  @Test
  void head_namesMachineCommitAndHowBusyItWas() {
    String text = Report.text(results(round(benchmark("A.b", 1)), round(benchmark("A.b", 2))));
    assertTrue(text.contains("- processor: P\n") && text.contains("- commit: c0ffee\n"), text);
    assertTrue(text.contains("2 rounds, each in JVMs of its own; load at their begin 0.5, 0.5"));
    assertTrue(text.contains("1.0 %"), text);
  }

  @Test
  void aFigure_isTheMeanOfTheRoundsMedians() {
    Results two = results(round(benchmark("A.b", 1, 2, 900)), round(benchmark("A.b", 4, 4, 5)));
    assertEquals(3, two.measurements().getFirst().value());
    assertTrue(Report.text(two).contains("| A.b (rows=4) | 3.00 ± "), Report.text(two));
  }

  @Test
  void calls_standBesideEachOther_withBytes() {
    Map<String, Double> counters = Map.of("operations", 10.0, "allocatedBytes", 20.0);
    String text =
        Report.text(
            results(
                round(
                    benchmark("XCallBenchmark.panama", "ns/op", counters, 30),
                    benchmark("XCallBenchmark.jcuda", "ns/op", counters, 60))));
    assertTrue(text.contains("| call | panama | jcuda | panama / jcuda |"), text);
    assertTrue(text.contains("| X rows=4 | 30.0 ± ? (2.00 B) | 60.0 ± ? (2.00 B) | 0.500 |"), text);
  }

  @Test
  void kernels_showTheirFloorAndTheFractionReached() {
    Map<String, Double> counters =
        Map.of("operations", 2.0, "floorNanos", 10_000.0, "movedBytes", 2e6, "flops", 0.0);
    String text =
        Report.text(results(round(benchmark("KernelBenchmark.run", "us/op", counters, 20))));
    assertTrue(text.contains("| Kernel.run | rows=4 | 20.0 ± ? | 5.00 | 0.25 | 50.0 | 0 |"), text);
  }

  @Test
  void aFile_comesBackAsItWasWritten_andRoundsAddUp() throws IOException {
    Map<String, Double> counters = Map.of("operations", 3.0);
    JsonNode one = round(benchmark("A.b", "us/op", counters, 1, 2));
    Results written = results(one, one);
    written.baselines().add(new Results.Baseline("PyTorch", "D", "M", "text"));
    Path file = folder.resolve("sub/r.json");
    written.write(file);
    Results read = Results.read(file);
    assertEquals(written.machine(), read.machine());
    assertEquals(written.rounds(), read.rounds());
    Measurement m = read.measurements().getFirst();
    assertEquals(2, m.samples().size());
    assertEquals(6, m.extra().get("operations"));
    assertTrue(Report.text(read).contains("Stored figures, measured D, on M."));
    StoreBaseline.store(file, "PyTorch", "other", Map.of("processor", "P"));
    String anew = Files.readString(folder.resolve("sub/r.md"));
    assertTrue(anew.contains("other") && !anew.contains("measured D"), anew);
  }

  @Test
  void samplesOfSingleCalls_countByTheirMedian() {
    JsonNode node =
        JsonMapper.shared()
            .readTree(
                """
                {"benchmark":"a.B.c","primaryMetric":{"scoreUnit":"us/op",
                 "rawDataHistogram":[[[[1.0,3],[2.0,5],[50.0,2]]]]},"secondaryMetrics":{}}
                """);
    assertArrayEquals(new double[] {2}, Measurement.of(node).forkMedians());
  }

  @Test
  void whatIsNoResultFile_isRefused() throws IOException {
    Path file = folder.resolve("x.json");
    Files.writeString(file, "{\"format\":\"other\"}");
    assertThrows(IllegalArgumentException.class, () -> Results.read(file));
  }

  @Test
  void figures_haveThreeDigits() {
    assertEquals("1234", Figures.figure(1234.4));
    assertEquals("12.3", Figures.figure(12.34));
    assertEquals("0.00123", Figures.figure(0.001234));
    assertEquals("0", Figures.figure(0));
  }
}
