package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.Remask;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// `remask info`.
class InfoCommandTest {
  @TempDir Path folder;

  @Test
  void json_tellsDevicesAndModel() {
    CliRun run =
        new CliRun(folder)
            .run(
                "info",
                "--format",
                "json",
                "--device",
                "software",
                "--model",
                Remask.defaultModel().toString());
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    JsonNode json = run.json().getFirst();
    List<String> devices =
        json.get("devices").valueStream().map(d -> d.get("device").stringValue()).toList();
    assertTrue(devices.contains("software"), run::toString);
    assertEquals("software", json.get("chosen").get("device").stringValue());
    assertTrue(json.get("chosen").get("gemm").isString(), run::toString);
    assertTrue(
        List.of("baseline", "avx2", "avx512", "avx512_bf16")
            .contains(json.get("chosen").get("host_kernels").stringValue()),
        run::toString);
    assertTrue(json.get("compute_threads").intValue() > 0);
    JsonNode model = json.get("model");
    assertEquals(1024, model.get("max_sequence_length").intValue());
    assertTrue(model.get("parameters").longValue() > 4_000_000, run::toString);
    assertEquals("bf16", model.get("stored_as").stringValue());
    assertTrue(
        model.get("planned_bytes").longValue() > model.get("stored_bytes").longValue(),
        run::toString);
    assertTrue(model.get("chat_template").booleanValue());
    assertEquals("none", model.get("quantize").stringValue());
    assertTrue(model.get("weight_bytes").longValue() > model.get("stored_bytes").longValue());
  }

  @Test
  void everyKernelSource_isAmongTheImages() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("kernels"))) {
      List<String> sources =
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> name.endsWith(".cu"))
              .map(name -> name.substring(0, name.length() - ".cu".length()))
              .sorted()
              .toList();
      assertEquals(sources, InfoReport.OPERATIONS);
    }
  }

  @Test
  void json_tellsTheFamilyOfKernelsInUse() {
    assertFamilies("software", "bf16", "portable", List.of("portable"));
    var all = List.of("portable", "sm_80", "sm_90a");
    assertFamilies("emulator", "bf16", "sm_90a", all);
    assertFamilies("emulator", "f32", "portable", all);
  }

  private void assertFamilies(String device, String dtype, String used, List<String> runnable) {
    CliRun run =
        new CliRun(folder).run("info", "--format=json", "--device", device, "--dtype", dtype);
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    JsonNode chosen = run.json().getFirst().get("chosen");
    assertEquals(device, chosen.get("device").stringValue());
    assertEquals(used, chosen.get("kernels").stringValue());
    JsonNode families = chosen.get("kernels_it_can_run");
    assertEquals(runnable, families.valueStream().map(JsonNode::stringValue).toList());
  }

  @Test
  void outputThatCannotBeWritten_isAnError() {
    var broken =
        new OutputStream() {
          @Override
          public void write(int octet) throws IOException {
            throw new IOException("no space left on device");
          }
        };
    var errors = new ByteArrayOutputStream();
    var surroundings =
        new Surroundings(
            InputStream.nullInputStream(),
            new PrintStream(broken, false, StandardCharsets.UTF_8),
            new PrintStream(errors, false, StandardCharsets.UTF_8),
            Map.of("XDG_CONFIG_HOME", folder.toString()),
            folder,
            false,
            false);
    int status =
        new Cli(surroundings, new Interruption(Thread.currentThread()))
            .run("info", "--device", "software");
    assertEquals(ExitStatus.DEVICE_OR_MODEL, status);
    assertTrue(errors.toString(StandardCharsets.UTF_8).contains("could not be written"));
  }

  @Test
  void text_isReadable() {
    CliRun run = new CliRun(folder).run("info", "--device", "software");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    for (String word :
        List.of("gemm", "kernels", "compute threads", "gpu images", "libremask-device.so")) {
      assertTrue(run.out().contains(word), run::toString);
    }
  }

  @Test
  void whatFails_isToldAndTheRestShown() {
    CliRun run = new CliRun(folder).run("info", "--device", "software", "--model", "nowhere");
    assertEquals(ExitStatus.DEVICE_OR_MODEL, run.status(), run::toString);
    assertTrue(run.out().contains("gemm"), run::toString);
    assertTrue(run.err().contains("nowhere"), run::toString);
  }
}
