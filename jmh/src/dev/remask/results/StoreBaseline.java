package dev.remask.results;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.Map;

/// `jmh/store-baseline RESULT.json NAME OUTPUT.txt`: puts what another implementation's script
/// printed into a result file, in the place of what has that name, and writes the report anew.
public final class StoreBaseline {
  private StoreBaseline() {}

  /// Exit status 2 for usage, 1 if a file cannot be read or written.
  public static void main(String[] args) {
    if (args.length != 3) {
      System.err.println("usage: jmh/store-baseline RESULT.json NAME OUTPUT.txt");
      System.exit(2);
    }
    Path file = Path.of(args[0]);
    try {
      store(file, args[1], Files.readString(Path.of(args[2])), Surroundings.describe());
    } catch (IOException | IllegalArgumentException e) {
      System.err.println("jmh/store-baseline: " + e);
      System.exit(1);
    }
  }

  static void store(Path file, String name, String text, Map<String, String> machine)
      throws IOException {
    Results results = Results.read(file);
    results.baselines().removeIf(baseline -> baseline.name().equals(name));
    String where =
        machine.getOrDefault("processor", "?") + ", " + machine.getOrDefault("processors", "?");
    results
        .baselines()
        .add(new Results.Baseline(name, LocalDate.now().toString(), where + " processors", text));
    results.write(file);
    Path report = Path.of(file.toString().replaceFirst("\\.json$", "") + ".md");
    Files.writeString(report, Report.text(results));
  }
}
