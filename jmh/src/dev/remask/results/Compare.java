package dev.remask.results;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.Collectors;

/// Compares two JMH result files: `jmh/compare A.json B.json [--bound 1.05]`.
///
/// Prints the ratio of times B / A for every benchmark that both have, with a 99 % interval, and
/// exits with 1 if B is slower than the bound for certain, that is if the whole interval lies above
/// it. Forks differ more than iterations of a fork do, so the interval comes from a bootstrap that
/// draws forks first and iterations of each after; with a single fork it knows nothing of that
/// spread and is too narrow: measure with several.
public final class Compare {
  private static final int DRAWS = 10_000;
  private static final double TAIL = 0.005;
  private static final double DEFAULT_BOUND = 1.05;
  private static final String BOUND_OPTION = "--bound";

  /// What the samples say of B / A: the ratio of the means of forks, and the ends of its interval.
  record Ratio(double value, double low, double high) {
    boolean isSlowerThan(double bound) {
      return low > bound;
    }

    boolean isFasterThan(double bound) {
      return high < 1 / bound;
    }
  }

  private Compare() {}

  /// Exit status 0: nothing is slower for certain; 1: something is; 2: usage.
  public static void main(String[] args) {
    if (args.length != 2 && !(args.length == 4 && args[2].equals(BOUND_OPTION))) {
      System.err.println("usage: jmh/compare A.json B.json [--bound RATIO]");
      System.exit(2);
    }
    double bound = args.length == 4 ? Double.parseDouble(args[3]) : DEFAULT_BOUND;
    System.exit(report(Path.of(args[0]), Path.of(args[1]), bound) ? 0 : 1);
  }

  private static boolean report(Path before, Path after, double bound) {
    Map<String, Measurement> left =
        Measurement.read(before).stream()
            .collect(Collectors.toMap(Measurement::key, Function.identity()));
    boolean good = true;
    int compared = 0;
    System.out.println("| benchmark | B / A | 99 % interval | |");
    System.out.println("|---|---|---|---|");
    for (Measurement right : Measurement.read(after)) {
      Measurement base = left.remove(right.key());
      if (base == null) {
        System.out.printf("| %s | only in B | | |%n", right.key());
        continue;
      }
      Ratio ratio = ratio(base, right);
      String verdict = "equal";
      if (ratio.isSlowerThan(bound)) {
        verdict = "**slower**";
        good = false;
      } else if (ratio.isFasterThan(bound)) {
        verdict = "faster";
      }
      compared++;
      System.out.printf(
          Locale.ROOT,
          "| %s | %.3f | %.3f to %.3f | %s |%n",
          right.key(),
          ratio.value,
          ratio.low,
          ratio.high,
          verdict);
    }
    left.keySet().forEach(key -> System.out.printf("| %s | only in A | | |%n", key));
    System.out.printf(
        Locale.ROOT, "%n%d compared; slower or faster means beyond %.3f.%n", compared, bound);
    return good;
  }

  /// Throws IllegalArgumentException if the units differ.
  static Ratio ratio(Measurement a, Measurement b) {
    if (!a.unit().equals(b.unit())) {
      throw new IllegalArgumentException(
          a.key() + " is in " + a.unit() + " in one file and in " + b.unit() + " in the other");
    }
    // The same draws for the same data: a comparison can be repeated.
    var random = new SplittableRandom(1);
    double[] drawn = new double[DRAWS];
    for (int i = 0; i < DRAWS; i++) {
      drawn[i] = quotient(a, drawMean(a.samples(), random), drawMean(b.samples(), random));
    }
    Arrays.sort(drawn);
    return new Ratio(
        quotient(a, mean(a.samples()), mean(b.samples())),
        drawn[(int) (TAIL * DRAWS)],
        drawn[(int) ((1 - TAIL) * DRAWS) - 1]);
  }

  private static double quotient(Measurement kind, double a, double b) {
    return kind.isTime() ? b / a : a / b;
  }

  private static double mean(List<double[]> forks) {
    return forks.stream()
        .mapToDouble(fork -> Arrays.stream(fork).average().orElseThrow())
        .average()
        .orElseThrow();
  }

  private static double drawMean(List<double[]> forks, SplittableRandom random) {
    double sum = 0;
    for (int f = 0; f < forks.size(); f++) {
      double[] fork = forks.get(random.nextInt(forks.size()));
      double ofFork = 0;
      for (int i = 0; i < fork.length; i++) {
        ofFork += fork[random.nextInt(fork.length)];
      }
      sum += ofFork / fork.length;
    }
    return sum / forks.size();
  }
}
