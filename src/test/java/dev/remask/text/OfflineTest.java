package dev.remask.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The tokenizer library's telemetry and downloads stay off, even at its very first use: in a new
/// process with an empty cache.
class OfflineTest {
  @TempDir Path cache;

  @Test
  void codec_opensNoConnection() throws Exception {
    assertOffline(probe());
    assertTrue(Files.isDirectory(cache.resolve("tokenizers")), "the cache is REMASK_CACHE");
  }

  @Test
  void codecInAClassLoaderOfItsOwn_worksAndOpensNoConnection() throws Exception {
    assertOffline(probe("foreign"));
  }

  private static void assertOffline(ProcessBuilder probe) throws Exception {
    Process process = probe.redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    assertTrue(output.contains("tokens: 22 "), output);
    assertTrue(output.contains("connections: [" + OfflineProbe.CONTROL + "]"), output);
  }

  private ProcessBuilder probe(String... more) throws URISyntaxException {
    Path model =
        Path.of(OfflineTest.class.getResource("/dev/remask/models/tiny-llada/config.json").toURI())
            .getParent();
    var builder =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-Duser.home=" + cache,
            "-cp",
            System.getProperty("java.class.path"),
            OfflineProbe.class.getName(),
            model.toString());
    builder.command().addAll(List.of(more));
    builder.environment().put("REMASK_CACHE", cache.toString());
    builder.environment().keySet().removeIf(name -> name.contains("DJL") || name.contains("TRACK"));
    builder.environment().remove("ENGINE_CACHE_DIR");
    return builder;
  }
}
