package dev.remask.bundle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The bundle's parts on the emulator, in small sizes: what a card will run.
class BundleTest {
  @TempDir Path folder;
  private String printed;

  @BeforeEach
  void chooseTheEmulator() {
    assumeTrue(Device.list(DeviceSpec.Kind.CUDA).isEmpty(), "this process is for the GPU");
    System.setProperty("remask.bundle.root", folder.toString());
    System.setProperty("remask.bundle.results", folder.resolve("results").toString());
    System.setProperty("remask.bundle.device", "emulator");
  }

  @AfterEach
  void restore() {
    for (String name : List.of("root", "results", "device")) {
      System.clearProperty("remask.bundle." + name);
    }
  }

  private int run(String... arguments) {
    var bytes = new ByteArrayOutputStream();
    int status = Bundle.run(new PrintStream(bytes, true, StandardCharsets.UTF_8), arguments);
    printed = bytes.toString(StandardCharsets.UTF_8);
    return status;
  }

  private Map<String, JsonNode> results(String part) {
    return new Results(folder.resolve("results")).of(part);
  }

  @Test
  void benchmarks_ofEveryOperation_endInOneReport() throws Exception {
    for (String operation : List.of("device", "attention", "gemm", "select", "norm", "ro", "swi")) {
      assertEquals(0, run("bench", operation), () -> printed);
    }
    JsonNode attention = results("bench").get("attention-32");
    List<String> ways =
        attention.get("times").valueStream().map(t -> t.get("way").stringValue()).toList();
    assertTrue(ways.containsAll(List.of("portable", "sm_80", "sm_90a")), ways::toString);
    assertTrue(attention.get("flops").doubleValue() == 4.0 * 64 * 32 * 128, attention::toString);
    for (JsonNode result : results("bench").values()) {
      for (JsonNode time : result.get("times")) {
        assertTrue(
            time.has("absent") || time.get("median_us").doubleValue() >= 0, result::toString);
      }
    }
    String report = Files.readString(folder.resolve("results/report.md"));
    assertTrue(report.contains("# Remask on Remask emulator"), report);
    assertTrue(report.contains("| gemm-head-32 | own sm_90a | "), report);
    JsonNode json =
        JsonMapper.shared().readTree(Files.readString(folder.resolve("results/report.json")));
    assertTrue(json.get("copy_bytes_per_second").doubleValue() > 0, json::toString);
    assertEquals(results("bench").size(), json.get("bench").size());
  }

  @Test
  void finishedTask_isNotRunAgainUnlessAsked() {
    assertEquals(0, run("bench", "rmsnorm"), () -> printed);
    assertTrue(printed.contains("bench rmsnorm-40 … passed"), printed);
    double first = results("bench").get("rmsnorm-40").get("seconds").doubleValue();
    assertEquals(0, run("bench", "rmsnorm"), () -> printed);
    assertFalse(printed.contains("rmsnorm-40"), printed);
    assertEquals(first, results("bench").get("rmsnorm-40").get("seconds").doubleValue());
    assertEquals(0, run("bench", "rmsnorm", "--again"), () -> printed);
    assertTrue(printed.contains("bench rmsnorm-40 … passed"), printed);
  }

  @Test
  void calibration_comparesWithWhatTheBundleHolds() throws Exception {
    Path expected = folder.resolve("expected");
    Calibration.main(new String[] {expected.toString()});
    assertEquals(0, run("calibrate"), () -> printed);
    assertEquals(Probes.all().size(), results("calibrate").size());
    Files.copy(
        expected.resolve("sm80-mma.bin.gz"),
        expected.resolve("sm90a-bulk.bin.gz"),
        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    assertEquals(1, run("calibrate", "bulk", "--again"), () -> printed);
    assertTrue(printed.contains("calibrate sm90a-bulk … failed"), printed);
    String report = Files.readString(folder.resolve("results/report.md"));
    assertTrue(report.contains("- sm90a-bulk failed: 1024 bytes instead of 4096"), report);
  }

  @Test
  void testsOfTheGpu_areFoundAndTheirFailureIsSeen() {
    List<Task> tests = GpuTests.tasks();
    assertTrue(tests.size() > 10, tests::toString);
    // On this device no GPU test runs: that must not pass for a success.
    assertEquals(1, run("test", "kernel.RopeTest"), () -> printed);
    assertTrue(printed.contains("kernel.RopeTest … failed"), printed);
  }

  @Test
  void unknownPart_isRefused() {
    assertEquals(2, run("fly"));
    assertEquals(2, run("bench", "a", "b"));
    assertTrue(printed.contains("usage:"), printed);
  }
}
