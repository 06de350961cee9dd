package dev.remask.results;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/// Compares two result files: `jmh/compare A.json B.json [--bound 1.05]`.
///
/// Prints the ratio of times B / A for every benchmark that both have, with its 99.9 % interval,
/// and exits with 1 if B is slower than the bound for certain, that is if the whole interval lies
/// above it.
///
/// What varies is the round (a JVM of its own, minutes from the next one): the compiler decides
/// differently, the machine is shared. So each round counts as one value, the median of its
/// iterations, and the interval comes from the spread of rounds (Welch's, on logarithms). One round
/// on a side has no spread: the ratio is shown and not judged.
public final class Compare {
  private static final double DEFAULT_BOUND = 1.05;
  private static final String BOUND_OPTION = "--bound";

  /// For jmh/ab: the rounds are files of their own.
  private static final String ROUNDS_OPTION = "--rounds";

  /// Whose ratio tells of the machine, not of the program.
  private static final String MACHINE = "MachineBenchmark";

  private static final int EQUAL = 0;
  private static final int SLOWER = 1;
  private static final int USAGE = 2;

  /// What a comparison says of one benchmark.
  enum Verdict {
    EQUAL("equal"),
    FASTER("faster"),
    SLOWER("**slower**"),
    ONE_ROUND("one round: not judged");

    private final String text;

    Verdict(String text) {
      this.text = text;
    }

    static Verdict of(Measurement a, Measurement b, Intervals.Ratio ratio, double bound) {
      if (a.samples().size() < 2 || b.samples().size() < 2) {
        return ONE_ROUND;
      }
      return ratio.low() > bound ? SLOWER : ratio.high() < 1 / bound ? FASTER : EQUAL;
    }
  }

  private Compare() {}

  /// Exit status 0: nothing is slower for certain; 1: something is; 2: usage, a file that cannot be
  /// read, or nothing to compare.
  public static void main(String[] args) {
    System.exit(run(args, System.out, System.err));
  }

  static int run(String[] given, PrintStream out, PrintStream err) {
    boolean inParts = given.length > 0 && given[0].equals(ROUNDS_OPTION);
    String[] args = inParts ? Arrays.copyOfRange(given, 1, given.length) : given;
    boolean hasBound = args.length == 4 && args[2].equals(BOUND_OPTION);
    double bound = DEFAULT_BOUND;
    try {
      bound = hasBound ? Double.parseDouble(args[3]) : bound;
    } catch (NumberFormatException e) {
      bound = Double.NaN;
    }
    if (args.length != 2 && !hasBound || !(bound >= 1)) {
      err.println("usage: jmh/compare A.json B.json [--bound RATIO], a ratio of 1 or more");
      return USAGE;
    }
    try {
      return report(read(args[0], inParts), read(args[1], inParts), bound, out, err);
    } catch (NoSuchFileException e) {
      err.println("compare: there is no file " + e.getMessage());
    } catch (IOException | IllegalArgumentException e) {
      err.println("compare: " + e.getMessage());
    }
    // Not 1, as an exception would have it: nothing is known to be slower.
    return USAGE;
  }

  /// A file, or, in parts, NAME1.json, NAME2.json and so on as rounds of one.
  private static Results read(String name, boolean inParts) throws IOException {
    if (!inParts) {
      return Results.read(Path.of(name));
    }
    Results all = Results.read(Path.of(name + "1.json"));
    for (int i = 2; Files.exists(Path.of(name + i + ".json")); i++) {
      all.addRounds(Results.read(Path.of(name + i + ".json")));
    }
    return all;
  }

  private static int report(
      Results before, Results after, double bound, PrintStream out, PrintStream err) {
    tellMachines(before.machine(), after.machine(), out);
    var left = new LinkedHashMap<String, Measurement>();
    before.measurements().forEach(m -> left.put(m.key(), m));
    var counts = new int[Verdict.values().length];
    out.println("| benchmark | A | B | B / A | 99.9 % interval | |");
    out.println("|---|---|---|---|---|---|");
    for (Measurement b : after.measurements()) {
      Measurement a = left.remove(b.key());
      if (a == null) {
        out.printf("| %s | | %s | | | only in B |%n", b.key(), Figures.figure(b.value()));
        continue;
      }
      Intervals.Ratio ratio = ratio(a, b);
      Verdict verdict = Verdict.of(a, b, ratio, bound);
      boolean ofMachine = b.benchmark().equals(MACHINE);
      if (!ofMachine) {
        counts[verdict.ordinal()]++;
      }
      out.printf(
          Locale.ROOT,
          "| %s | %s | %s %s | %.3f | %s | %s |%n",
          b.key(),
          Figures.figure(a.value()),
          Figures.figure(b.value()),
          b.unit(),
          ratio.value(),
          verdict == Verdict.ONE_ROUND
              ? "?"
              : String.format(Locale.ROOT, "%.3f to %.3f", ratio.low(), ratio.high()),
          ofMachine && verdict != Verdict.EQUAL && verdict != Verdict.ONE_ROUND
              ? "the machine itself: " + verdict.text + ", so the others mean little"
              : verdict.text);
    }
    left.values().forEach(a -> out.printf("| %s | %s | | | | only in A |%n", a.key(), figureOf(a)));
    int compared = 0;
    for (int count : counts) {
      compared += count;
    }
    if (compared == 0) {
      err.println("compare: the files have no benchmark in common");
      return USAGE;
    }
    int slower = counts[Verdict.SLOWER.ordinal()];
    out.printf(
        Locale.ROOT,
        "%n%d compared: %d equal, %d faster, %d slower, %d not judged; slower or faster: the whole"
            + " interval is beyond %.3f.%n",
        compared,
        counts[Verdict.EQUAL.ordinal()],
        counts[Verdict.FASTER.ordinal()],
        slower,
        counts[Verdict.ONE_ROUND.ordinal()],
        bound);
    return slower > 0 ? SLOWER : EQUAL;
  }

  private static String figureOf(Measurement m) {
    return Figures.figure(m.value()) + " " + m.unit();
  }

  private static void tellMachines(Map<String, String> a, Map<String, String> b, PrintStream out) {
    for (String name : b.keySet()) {
      String ofA = a.getOrDefault(name, "unknown");
      if (!ofA.equals(b.get(name))) {
        out.printf("%s: A %s, B %s%n", name, ofA, b.get(name));
      }
    }
    out.println();
  }

  /// B / A of times. Throws IllegalArgumentException if the units differ.
  static Intervals.Ratio ratio(Measurement a, Measurement b) {
    if (!a.unit().equals(b.unit())) {
      throw new IllegalArgumentException(
          a.key() + " is in " + a.unit() + " in one file and in " + b.unit() + " in the other");
    }
    return a.isTime()
        ? Intervals.ratio(a.forkMedians(), b.forkMedians())
        : Intervals.ratio(b.forkMedians(), a.forkMedians());
  }
}
