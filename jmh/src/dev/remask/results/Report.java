package dev.remask.results;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/// A result file as markdown: `Report RESULT.json` prints what was measured, on what, with which
/// commit. Kernels stand beside their floor, call paths beside each other.
public final class Report {
  /// Counters that the benchmarks have (see `dev.remask.measure`).
  private static final String OPERATIONS = "operations";

  private static final String ALLOCATED = "allocatedBytes";
  private static final String FLOOR = "floorNanos";
  private static final String BYTES = "movedBytes";
  private static final String FLOPS = "flops";

  private static final String PANAMA = "panama";
  private static final String JCUDA = "jcuda";
  private static final double NANOS_PER_US = 1e3;
  private static final double LEAST_GIGABYTES = 0.1;
  private static final double MEGA_PER_GIGA = 1e3;

  private Report() {}

  /// Prints the report of a file.
  public static void main(String[] args) throws IOException {
    System.out.print(text(Results.read(Path.of(args[0]))));
  }

  /// The report.
  static String text(Results results) {
    var text = new StringWriter();
    var out = new PrintWriter(text);
    head(results, out);
    var rest = new ArrayList<Measurement>();
    var calls = new ArrayList<Measurement>();
    var kernels = new ArrayList<Measurement>();
    for (Measurement m : results.measurements()) {
      (m.extra().containsKey(FLOOR) ? kernels : isCall(m) ? calls : rest).add(m);
    }
    machine(rest, out);
    calls(calls, out);
    runtime(rest, out);
    kernels(kernels, out);
    baselines(results, out);
    out.flush();
    return text.toString();
  }

  private static boolean isCall(Measurement m) {
    return m.benchmark().endsWith("CallBenchmark");
  }

  private static void head(Results results, PrintWriter out) {
    String date = results.rounds().isEmpty() ? "" : results.rounds().getFirst().date();
    out.printf("# JMH, %s%n%n", date.isEmpty() ? "no rounds" : date);
    results.machine().forEach((name, value) -> out.printf("- %s: %s%n", name, value));
    out.printf("%n%d rounds, each in JVMs of its own", results.rounds().size());
    if (results.rounds().stream().anyMatch(round -> !Double.isNaN(round.loadBefore()))) {
      out.printf(
          Locale.ROOT,
          "; load at their begin %s; stolen by the hypervisor %s",
          results.rounds().stream()
              .map(round -> String.format(Locale.ROOT, "%.1f", round.loadBefore()))
              .collect(Collectors.joining(", ")),
          results.rounds().stream()
              .map(round -> String.format(Locale.ROOT, "%.1f %%", 100 * round.stolen()))
              .collect(Collectors.joining(", ")));
    }
    out.printf(
        ". A figure is the mean of the rounds' medians ± its 99.9 %% interval (with one round: of"
            + " that round's iterations only).%n");
  }

  private static void machine(List<Measurement> all, PrintWriter out) {
    List<Measurement> machine =
        all.stream().filter(m -> m.benchmark().equals("MachineBenchmark")).toList();
    all.removeAll(machine);
    if (!machine.isEmpty()) {
      table(out, "The machine itself", machine);
    }
  }

  private static void runtime(List<Measurement> all, PrintWriter out) {
    if (!all.isEmpty()) {
      table(out, "Runtime", all);
    }
  }

  private static void table(PrintWriter out, String title, List<Measurement> all) {
    out.printf("%n## %s%n%n| benchmark | | | beside it |%n|---|---|---|---|%n", title);
    for (Measurement m : all) {
      out.printf("| %s | %s | %s | %s |%n", m.key(), score(m), m.unit(), beside(m));
    }
  }

  /// What the benchmark counted, by operation; of moved bytes the rate.
  private static String beside(Measurement m) {
    var texts = new ArrayList<String>();
    for (String counter : m.extra().keySet()) {
      double each = m.per(counter, OPERATIONS);
      if (counter.equals(OPERATIONS) || Double.isNaN(each)) {
        continue;
      }
      switch (counter) {
        case ALLOCATED -> texts.add(Figures.figure(each) + " Java B");
        case BYTES -> texts.add(rate(each / nanos(m)));
        case FLOPS -> texts.add(Figures.figure(each / nanos(m)) + " GFLOP/s");
        default -> texts.add(counter + " " + Figures.figure(each));
      }
    }
    return String.join(", ", texts);
  }

  /// A rate of so many bytes a nanosecond.
  private static String rate(double gigabytes) {
    return gigabytes < LEAST_GIGABYTES
        ? Figures.figure(gigabytes * MEGA_PER_GIGA) + " MB/s"
        : Figures.figure(gigabytes) + " GB/s";
  }

  /// Calls by function, the ways to make them side by side.
  private static void calls(List<Measurement> all, PrintWriter out) {
    if (all.isEmpty()) {
      return;
    }
    Set<String> ways = new LinkedHashSet<>(List.of(PANAMA));
    all.forEach(m -> ways.add(m.method()));
    var rows = new LinkedHashMap<String, Map<String, Measurement>>();
    for (Measurement m : all) {
      String function = m.benchmark().replaceFirst("CallBenchmark$", "");
      String row = (function + " " + m.parameterText()).strip();
      rows.computeIfAbsent(row, ignored -> new LinkedHashMap<>()).put(m.method(), m);
    }
    out.printf("%n## Call path%n%nns a call; in brackets Java bytes a call.%n%n| call |");
    ways.forEach(way -> out.printf(" %s |", way));
    out.printf(" %s / %s |%n|---|%s---|%n", PANAMA, JCUDA, "---|".repeat(ways.size()));
    rows.forEach((name, byWay) -> {
      out.printf("| %s |", name);
      for (String way : ways) {
        Measurement m = byWay.get(way);
        out.print(m == null ? " |" : " " + score(m) + allocated(m) + " |");
      }
      Measurement ours = byWay.get(PANAMA);
      Measurement theirs = byWay.get(JCUDA);
      out.printf(
          "%s |%n",
          ours == null || theirs == null
              ? ""
              : " " + Figures.figure(ours.value() / theirs.value()));
    });
  }

  private static String allocated(Measurement m) {
    double bytes = m.per(ALLOCATED, OPERATIONS);
    return Double.isNaN(bytes) ? "" : " (" + Figures.figure(bytes) + " B)";
  }

  private static void kernels(List<Measurement> all, PrintWriter out) {
    if (all.isEmpty()) {
      return;
    }
    out.printf(
        "%n## Kernels%n%nFloor: the longer of bytes by copy bandwidth and FLOPs by the f32 FMA peak,"
            + " both measured in the same JVM just before, the copy at the kernel's own working set."
            + " Fraction: floor / time.%n%n"
            + "| kernel | shape | us | floor us | fraction | GB/s | GFLOP/s |%n"
            + "|---|---|---|---|---|---|---|%n");
    for (Measurement m : all) {
      double nanos = nanos(m);
      double floor = m.per(FLOOR, OPERATIONS);
      out.printf(
          Locale.ROOT,
          "| %s | %s | %s | %s | %.2f | %s | %s |%n",
          m.name().replaceFirst("Benchmark\\.", "."),
          m.parameterText(),
          score(m),
          Figures.figure(floor / NANOS_PER_US),
          floor / nanos,
          Figures.figure(m.per(BYTES, OPERATIONS) / nanos),
          Figures.figure(m.per(FLOPS, OPERATIONS) / nanos));
    }
  }

  private static void baselines(Results results, PrintWriter out) {
    for (Results.Baseline baseline : results.baselines()) {
      out.printf(
          "%n## %s%n%nStored figures, measured %s, on %s.%n%n```%n%s%n```%n",
          baseline.name(), baseline.date(), baseline.machine(), baseline.text().strip());
    }
  }

  /// Nanoseconds of an operation.
  static double nanos(Measurement m) {
    double factor =
        switch (m.unit()) {
          case "ns/op" -> 1;
          case "us/op" -> NANOS_PER_US;
          case "ms/op" -> 1e6;
          case "s/op" -> 1e9;
          default -> throw new IllegalArgumentException(m.key() + " is in " + m.unit());
        };
    return m.value() * factor;
  }

  private static String score(Measurement m) {
    double error = m.error();
    return Figures.figure(m.value()) + " ± " + (Double.isNaN(error) ? "?" : Figures.figure(error));
  }
}
