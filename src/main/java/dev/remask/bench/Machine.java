package dev.remask.bench;

import dev.remask.Model;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/// Where and with what was measured: what somebody needs to judge or repeat the figures.
final class Machine {
  private static final Path PROCESSORS = Path.of("/proc/cpuinfo");
  private static final Path LOAD = Path.of("/proc/loadavg");
  private static final String PREFIX = "REMASK_";

  private Machine() {}

  /// By name, in the order in which it is shown.
  static Map<String, String> facts(Model model, Map<String, String> environment) {
    var facts = new LinkedHashMap<String, String>();
    facts.put("device", model.device().name() + " (" + model.device().spec() + ")");
    facts.put("gemm", model.gemmName());
    facts.put("processor", processor() + ", " + cores() + " cores");
    facts.put("system", System.getProperty("os.name") + " " + System.getProperty("os.version"));
    facts.put(
        "java", Runtime.version().toString() + " (" + System.getProperty("java.vendor") + ")");
    // What changes how kernels run; folders and the like do not.
    new TreeMap<>(environment)
        .forEach((name, value) -> {
          if (name.startsWith(PREFIX) && !value.contains("/")) {
            facts.put(name, value);
          }
        });
    return facts;
  }

  static int cores() {
    return Runtime.getRuntime().availableProcessors();
  }

  /// Processes that want to run, over the last minute; NaN if nobody knows.
  static double load() {
    try {
      return Double.parseDouble(Files.readString(LOAD).split(" ")[0]);
    } catch (IOException | NumberFormatException e) {
      return Double.NaN;
    }
  }

  private static String processor() {
    try {
      for (String line : Files.readAllLines(PROCESSORS)) {
        if (line.startsWith("model name")) {
          return line.substring(line.indexOf(':') + 1).strip();
        }
      }
    } catch (IOException e) {
      // Falls through.
    }
    return System.getProperty("os.arch");
  }
}
