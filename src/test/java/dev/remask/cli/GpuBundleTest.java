package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.remask.Remask;
import dev.remask.cli.ShellScripts.Outcome;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/// `run.sh` in the folders of the GPU bundle, on a machine without a GPU and with an empty
/// environment.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class GpuBundleTest {
  private static final Pattern SUMMARY = Pattern.compile("0 run, (\\d+) skipped");

  private Path folder;
  private Path bundle;

  /// The bundle as assemble.sh lays it out: this JDK, this class path, run.sh.
  @BeforeAll
  void layOut(@TempDir Path folder) throws IOException, URISyntaxException {
    this.folder = folder;
    bundle = Files.createDirectories(folder.resolve("gpu bundle"));
    Files.createSymbolicLink(bundle.resolve("runtime"), Path.of(System.getProperty("java.home")));
    Files.createSymbolicLink(bundle.resolve("classes"), codeOf(GpuTest.class));
    Path lib = Files.createDirectories(bundle.resolve("lib"));
    pack(codeOf(Remask.class), lib.resolve("remask-test.jar"));
    pathTo(lib.resolve("libraries.jar"));
    Files.copy(ShellScripts.project().resolve("jmh/bundle/run.sh"), bundle.resolve("run.sh"));
  }

  private static Path codeOf(Class<?> type) throws URISyntaxException {
    return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
  }

  /// The product's classes without its large resources.
  private static void pack(Path classes, Path jar) throws IOException {
    try (var files = Files.walk(classes);
        var out = new JarOutputStream(Files.newOutputStream(jar))) {
      for (Path file : files.filter(f -> f.toString().endsWith(".class")).toList()) {
        out.putNextEntry(new JarEntry(classes.relativize(file).toString()));
        Files.copy(file, out);
      }
    }
  }

  /// A jar that stands for all libraries of this class path.
  private static void pathTo(Path jar) throws IOException {
    String surefire = System.getProperty("surefire.test.class.path");
    String path = surefire != null ? surefire : System.getProperty("java.class.path");
    String libraries =
        Arrays.stream(path.split(File.pathSeparator))
            .filter(entry -> entry.endsWith(".jar"))
            .map(entry -> Path.of(entry).toUri().toString())
            .collect(Collectors.joining(" "));
    var manifest = new Manifest();
    manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
    manifest.getMainAttributes().put(Attributes.Name.CLASS_PATH, libraries);
    new JarOutputStream(Files.newOutputStream(jar), manifest).close();
  }

  /// JUnit warns of links that lead out of its folder.
  @AfterAll
  void unlink() throws IOException {
    Files.delete(bundle.resolve("runtime"));
    Files.delete(bundle.resolve("classes"));
  }

  private Outcome run(String... arguments) throws IOException, InterruptedException {
    var command = new ArrayList<>(List.of("env", "-i", bundle.resolve("run.sh").toString()));
    command.addAll(List.of(arguments));
    return ShellScripts.run(folder, Path.of("/usr/bin"), java.util.Map.of(), command);
  }

  private int skipped(Outcome outcome) {
    assertEquals(0, outcome.status(), outcome.output());
    Matcher summary = SUMMARY.matcher(outcome.output());
    assertTrue(summary.find(), outcome.output());
    return Integer.parseInt(summary.group(1));
  }

  @Test
  void withoutGpu_listsWhatItWouldRun() throws Exception {
    assumeTrue(Device.list(DeviceSpec.Kind.CUDA).isEmpty(), "there is a GPU");
    Outcome all = run();
    assertTrue(all.output().contains("no NVIDIA driver"), all.output());
    for (String task :
        List.of(
            "calibrate sm80",
            "calibrate sm90a",
            "test dev.remask.kernel.GemmTest (",
            "bench attention-8192 (",
            "bench jmh-StepBenchmark (1)")) {
      assertTrue(all.output().contains(task), task + " in " + all.output());
    }
    int tests = skipped(run("test"));
    int benchmarks = skipped(run("bench"));
    assertTrue(tests > 40 && benchmarks > 40, tests + ", " + benchmarks);
    assertEquals(skipped(run("calibrate")) + tests + benchmarks, skipped(all));
    Outcome filtered = run("test", "GemmTest");
    assertTrue(skipped(filtered) > 0 && skipped(filtered) < tests, filtered.output());
    assertFalse(filtered.output().contains("RopeTest"), filtered.output());
  }

  @Test
  void usage_isExplained() throws Exception {
    assertEquals(2, run("fly").status());
    Outcome help = run("--help");
    assertEquals(0, help.status(), help.output());
    assertTrue(help.output().contains("run.sh bench [FILTER]"), help.output());
  }
}
