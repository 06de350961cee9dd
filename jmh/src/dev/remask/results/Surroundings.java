package dev.remask.results;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// What a result was measured on and with: processor, memory, JDK, commit, the settings that change
/// speed, and how busy the machine was.
public final class Surroundings {
  private static final double KIB_PER_GIB = 1024.0 * 1024;
  private static final List<String> SETTINGS = List.of("REMASK_", "OMP_", "GOMP_");

  /// Fields of the first line of /proc/stat, by which time that the hypervisor gave to others
  /// shows.
  private static final int STEAL_FIELD = 8;

  private Surroundings() {}

  /// By name, in the order in which reports show them.
  public static Map<String, String> describe() {
    var all = new LinkedHashMap<String, String>();
    all.put("processor", field(Path.of("/proc/cpuinfo"), "model name"));
    all.put("processors", String.valueOf(Runtime.getRuntime().availableProcessors()));
    all.put("instruction sets", instructionSets());
    all.put("last cache", lastCache());
    all.put("memory", memory());
    all.put("system", System.getProperty("os.name") + " " + System.getProperty("os.version"));
    all.put(
        "java", System.getProperty("java.vendor") + " " + System.getProperty("java.vm.version"));
    all.put("commit", commit());
    all.put("settings", settings());
    return all;
  }

  /// Processes that wanted to run in the last minute, on average; NaN where nobody says.
  public static double load() {
    try {
      return Double.parseDouble(Files.readString(Path.of("/proc/loadavg")).split(" ")[0]);
    } catch (IOException | NumberFormatException e) {
      return Double.NaN;
    }
  }

  /// Clock ticks that passed on all processors, and those of them that were stolen.
  record Ticks(long all, long stolen) {
    static Ticks now() {
      try {
        String[] words =
            Files.readString(Path.of("/proc/stat")).lines().findFirst().orElse("").split(" +");
        long all = 0;
        for (int i = 1; i <= STEAL_FIELD; i++) {
          all += Long.parseLong(words[i]);
        }
        return new Ticks(all, Long.parseLong(words[STEAL_FIELD]));
      } catch (IOException | RuntimeException e) {
        return new Ticks(0, 0);
      }
    }

    double stolenSince(Ticks before) {
      return all == before.all ? 0 : (stolen - before.stolen) / (double) (all - before.all);
    }
  }

  private static String settings() {
    var found = new ArrayList<String>();
    System.getenv().entrySet().stream()
        .filter(entry -> SETTINGS.stream().anyMatch(entry.getKey()::startsWith))
        .filter(entry -> !entry.getValue().contains("/")) // where things lie changes no speed
        .sorted(Map.Entry.comparingByKey())
        .forEach(entry -> found.add(entry.getKey() + "=" + entry.getValue()));
    return found.isEmpty() ? "none" : String.join(" ", found);
  }

  private static String instructionSets() {
    String flags = " " + field(Path.of("/proc/cpuinfo"), "flags") + " ";
    var found = new ArrayList<String>();
    for (String name :
        List.of("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")) {
      if (flags.contains(" " + name + " ")) {
        found.add(name);
      }
    }
    return found.isEmpty() ? "none beyond the baseline" : String.join(" ", found);
  }

  private static String lastCache() {
    Path caches = Path.of("/sys/devices/system/cpu/cpu0/cache");
    String size = "unknown";
    for (int index = 0; Files.exists(caches.resolve("index" + index)); index++) {
      try {
        size = Files.readString(caches.resolve("index" + index + "/size")).strip();
      } catch (IOException e) {
        return size;
      }
    }
    return size;
  }

  private static String memory() {
    try {
      long kib = Long.parseLong(field(Path.of("/proc/meminfo"), "MemTotal").split(" ")[0]);
      return String.format(Locale.ROOT, "%.0f GiB", kib / KIB_PER_GIB);
    } catch (NumberFormatException e) {
      return "unknown";
    }
  }

  /// The commit of the project's folder, with `-dirty` where files differ from it.
  private static String commit() {
    try {
      Process git =
          new ProcessBuilder("git", "describe", "--always", "--dirty", "--abbrev=12")
              .directory(Run.root().toFile())
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      String text = new String(git.getInputStream().readAllBytes()).strip();
      boolean done = git.waitFor(10, TimeUnit.SECONDS) && git.exitValue() == 0;
      return done && !text.isEmpty() ? text : "unknown";
    } catch (IOException e) {
      return "unknown";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "unknown";
    }
  }

  private static String field(Path file, String name) {
    try (var lines = Files.lines(file)) {
      return lines
          .filter(line -> line.startsWith(name))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse("unknown");
    } catch (IOException e) {
      return "unknown";
    }
  }
}
