package dev.remask.diffusion;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/// How many masks each step of a block takes: the curve along which t, the share that is still
/// masked, falls from 1 to 0 in the block's S steps. Immutable.
///
/// - `uniform`: n / S masks a step, and one more in the first n % S (ML-GSAI/LLaDA, generate.py);
/// - `linear`: t = 1 − i / S, the remainder spread evenly over the steps;
/// - `cosine`: t = cos(π/2 · i / S), few at first and many at the end (MaskGIT, arXiv 2202.04200);
/// - a list: t itself, from 1 before the first step to 0 after the last, so one value more than
///   steps.
///
/// After i steps of a block of n masks, n · (1 − t) of them, rounded half up, are committed. A step
/// that takes none is skipped: it would change nothing.
public final class Schedule {
  private enum Kind {
    UNIFORM,
    COSINE,
    LINEAR,
    LIST
  }

  private static final Schedule UNIFORM = new Schedule(Kind.UNIFORM, null);
  private static final Schedule COSINE = new Schedule(Kind.COSINE, null);
  private static final Schedule LINEAR = new Schedule(Kind.LINEAR, null);
  private static final Schedule[] NAMED = {UNIFORM, COSINE, LINEAR};

  private final Kind kind;

  /// The values of t of a list, else null.
  private final double[] times;

  private Schedule(Kind kind, double[] times) {
    this.kind = kind;
    this.times = times;
  }

  /// The reference's quotas; the default.
  public static Schedule uniform() {
    return UNIFORM;
  }

  /// The cosine curve.
  public static Schedule cosine() {
    return COSINE;
  }

  /// The straight line.
  public static Schedule linear() {
    return LINEAR;
  }

  /// The curve through `times`, which fall strictly from 1 to 0. Throws [InvalidOptionException]
  /// naming `schedule` if they do not.
  public static Schedule of(double... times) {
    for (int i = 0; i < times.length; i++) {
      boolean first = i == 0;
      boolean last = i == times.length - 1;
      boolean right =
          (!first || times[i] == 1)
              && (!last || times[i] == 0)
              && (first || times[i] < times[i - 1]);
      require(right && times.length > 1, times);
    }
    require(times.length > 1, times);
    return new Schedule(Kind.LIST, times.clone());
  }

  private static void require(boolean holds, double[] times) {
    if (!holds) {
      throw new InvalidOptionException(
          "schedule",
          "must be a list of t that fall strictly from 1 to 0, at least two of them, got "
              + Arrays.toString(times));
    }
  }

  /// Reads a name: `uniform`, `cosine` or `linear`. Throws [InvalidOptionException] naming
  /// `schedule` for anything else.
  public static Schedule parse(String name) {
    return JsonNames.parse("schedule", NAMED, Schedule::toString, name);
  }

  /// Whether it is a list of t, which fixes the number of steps of every block.
  public boolean isList() {
    return kind == Kind.LIST;
  }

  /// The t of a list, a copy; empty for a named schedule.
  public double[] times() {
    return isList() ? times.clone() : new double[0];
  }

  /// Steps of a block by a list; only of a list.
  int listedSteps() {
    return times.length - 1;
  }

  /// How many of n masks are committed after `done` of `steps` steps; n when all are done, never
  /// less than before.
  int committed(int n, int done, int steps) {
    if (done >= steps) {
      return n;
    }
    return switch (kind) {
      // The first n % S steps take one more.
      case UNIFORM -> (int) ((long) (n / steps) * done + Math.min(done, n % steps));
      case LINEAR -> (int) ((2L * n * done + steps) / (2L * steps));
      case COSINE, LIST -> (int) Math.floor(n * (1 - masked(done, steps)) + 0.5);
    };
  }

  /// The chance with which a position that is masked after `done` steps is committed by the next
  /// one: 1 − s / t, s being the t after it; 1 in the last step. Source: HKUNLP/Dream,
  /// generation_utils.py, "origin".
  float chance(int done, int steps) {
    if (done + 1 >= steps) {
      return 1;
    }
    return (float) (1 - masked(done + 1, steps) / masked(done, steps));
  }

  /// t after `done` of `steps` steps.
  private double masked(int done, int steps) {
    if (kind == Kind.LIST) {
      return times[done];
    }
    double share = (double) done / steps;
    return kind == Kind.COSINE ? Math.cos(share * Math.PI / 2) : 1 - share;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Schedule schedule
        && kind == schedule.kind
        && Arrays.equals(times, schedule.times);
  }

  @Override
  public int hashCode() {
    return 31 * kind.hashCode() + Arrays.hashCode(times);
  }

  /// Its name, or the list as the command line takes it: `1,0.5,0`.
  @Override
  public String toString() {
    return isList()
        ? Arrays.stream(times).mapToObj(String::valueOf).collect(Collectors.joining(","))
        : kind.name().toLowerCase(Locale.ROOT);
  }
}
