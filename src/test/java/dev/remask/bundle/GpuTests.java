package dev.remask.bundle;

import dev.remask.testing.GpuTest;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.Method;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Every test class with a [GpuTest], each in a JVM of its own: a kernel that faults breaks the
/// context of its process for good.
final class GpuTests {
  private static final String REPORT = "TEST-junit-jupiter.xml";

  private GpuTests() {}

  static List<Task> tasks() {
    Path classes = folderOfTests();
    try (var files = Files.walk(classes)) {
      return files
          .filter(file -> file.toString().endsWith("Test.class"))
          .map(file -> className(classes.relativize(file)))
          .sorted()
          .map(name -> (Task) new TestClass(name, countGpuTests(name)))
          .filter(test -> test.size() > 0)
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path folderOfTests() {
    try {
      return Path.of(GpuTest.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  private static String className(Path file) {
    String name = file.toString();
    return name.substring(0, name.length() - ".class".length()).replace('/', '.');
  }

  private static int countGpuTests(String name) {
    try {
      Method[] methods =
          Class.forName(name, false, GpuTests.class.getClassLoader()).getDeclaredMethods();
      return (int) Arrays.stream(methods).filter(m -> m.isAnnotationPresent(GpuTest.class)).count();
    } catch (ClassNotFoundException | LinkageError e) {
      return 0; // it needs a library that the bundle leaves out, and no GPU
    }
  }

  private record TestClass(String name, int size) implements Task {
    @Override
    public Duration limit() {
      return Duration.ofSeconds(240);
    }

    @Override
    public ObjectNode run(Duration left) throws Exception {
      Path reports = Files.createTempDirectory("remask-tests");
      var child =
          Children.run(
              left,
              Map.of("REMASK_DEVICE", System.getProperty("remask.bundle.device", "cuda")),
              Children.java(
                  "org.junit.platform.console.ConsoleLauncher",
                  "execute",
                  "--disable-banner",
                  "--disable-ansi-colors",
                  "--details=summary",
                  "--select-class=" + name,
                  "--include-tag=gpu",
                  "--reports-dir=" + reports));
      ObjectNode result = Results.object();
      Path report = reports.resolve(REPORT);
      if (!child.isInTime() || !Files.exists(report)) {
        return result
            .put("status", "failed")
            .put("error", child.isInTime() ? "the JVM died" : "no end in time")
            .put("output", child.tail());
      }
      read(report, result);
      for (Path file : Children.list(reports)) {
        Files.delete(file);
      }
      Files.delete(reports);
      return result;
    }
  }

  private static void read(Path report, ObjectNode result) throws Exception {
    var document =
        javax.xml.parsers.DocumentBuilderFactory.newInstance()
            .newDocumentBuilder()
            .parse(report.toFile());
    var cases = document.getElementsByTagName("testcase");
    int passed = 0;
    int skipped = 0;
    var reasons = new ArrayList<String>();
    ArrayNode failures = result.putArray("failures");
    for (int i = 0; i < cases.getLength(); i++) {
      var test = (org.w3c.dom.Element) cases.item(i);
      var failure = test.getElementsByTagName("failure");
      var error = failure.getLength() > 0 ? failure : test.getElementsByTagName("error");
      var skip = test.getElementsByTagName("skipped");
      if (error.getLength() > 0) {
        String message = ((org.w3c.dom.Element) error.item(0)).getAttribute("message");
        failures.addObject().put("test", test.getAttribute("name")).put("message", message);
        reasons.add(test.getAttribute("name"));
      } else if (skip.getLength() > 0) {
        skipped++;
      } else {
        passed++;
      }
    }
    result.put("passed", passed).put("skipped", skipped).put("failed", failures.size());
    result.put("status", failures.isEmpty() && passed > 0 ? "passed" : "failed");
    if (!failures.isEmpty()) {
      result.put("error", String.join(", ", reasons));
    } else if (passed == 0) {
      result.put("error", "no test ran");
    }
  }
}
