package dev.remask.bench;

import java.util.Locale;

/// Numbers for people, the same in every locale.
final class Figures {
  private static final double PERCENT = 100;

  private Figures() {}

  /// Three digits that count.
  static String number(double value) {
    double size = Math.abs(value);
    String format = size >= 100 ? "%.0f" : size >= 10 ? "%.1f" : size >= 1 ? "%.2f" : "%.3f";
    return String.format(Locale.ROOT, format, value);
  }

  /// `12.3 %` of a part of one.
  static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f %%", PERCENT * share);
  }

  /// `+2.1 %`: how much more than `planned` was `found`.
  static String change(double planned, double found) {
    return String.format(Locale.ROOT, "%+.1f %%", PERCENT * (found / planned - 1));
  }

  /// The median and the spread, as far as there are samples: `3.31 ± 2 %`.
  static String median(Samples samples) {
    return switch (samples.count()) {
      case 0 -> "";
      case 1 -> number(samples.median());
      default ->
          String.format(
              Locale.ROOT, "%s ± %.0f %%", number(samples.median()), PERCENT * samples.spread());
    };
  }
}
