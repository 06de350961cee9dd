package dev.remask.results;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/// A JMH result file as markdown: `Report RESULT.json COMMIT [CARD]` prints what was measured, on
/// what, with which commit.
public final class Report {
  private Report() {}

  /// Prints the report of the file.
  public static void main(String[] args) throws IOException {
    System.out.printf(
        "# %s, %s%n%n", LocalDate.now(), args.length > 2 ? args[2] : "software device");
    System.out.printf(
        "%s, %d processors, %s; Java %s; commit %s. A score is the mean over all iterations of all"
            + " forks, ± JMH's 99.9 %% error; floors are in the benchmark's own columns.%n%n",
        processor(),
        Runtime.getRuntime().availableProcessors(),
        memory(),
        Runtime.version(),
        args[1]);
    System.out.println("| benchmark | score | unit | beside it |");
    System.out.println("|---|---|---|---|");
    for (Measurement m : Measurement.read(Path.of(args[0]))) {
      double mean =
          m.samples().stream().flatMapToDouble(java.util.Arrays::stream).average().orElseThrow();
      System.out.printf(
          Locale.ROOT,
          "| %s | %s ± %s | %s | %s |%n",
          m.key(),
          figure(mean),
          Double.isNaN(m.error()) ? "?" : figure(m.error()),
          m.unit(),
          extra(m.extra()));
    }
  }

  private static String extra(Map<String, Double> extra) {
    return extra.entrySet().stream()
        .map(entry -> entry.getKey() + " " + figure(entry.getValue()))
        .collect(Collectors.joining(", "));
  }

  /// Three significant digits: no measurement here holds more.
  private static String figure(double value) {
    if (value == 0 || Double.isNaN(value)) {
      return String.valueOf(value);
    }
    int decimals = Math.max(0, 2 - (int) Math.floor(Math.log10(Math.abs(value))));
    return String.format(Locale.ROOT, "%." + Math.min(decimals, 6) + "f", value);
  }

  private static String processor() throws IOException {
    return field(Path.of("/proc/cpuinfo"), "model name");
  }

  private static String memory() throws IOException {
    long kib = Long.parseLong(field(Path.of("/proc/meminfo"), "MemTotal").split(" ")[0]);
    return Math.round(kib / (1024.0 * 1024)) + " GiB";
  }

  private static String field(Path file, String name) throws IOException {
    try (var lines = Files.lines(file)) {
      return lines
          .filter(line -> line.startsWith(name))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse("unknown");
    }
  }
}
