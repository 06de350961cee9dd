package dev.remask.cli;

import java.util.Locale;

/// Sizes of memory for people.
final class Sizes {
  private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB"};
  private static final double STEP = 1024;

  private Sizes() {}

  /// Three digits or so and a binary unit: `8.73 MiB`.
  static String text(long bytes) {
    double value = bytes;
    int unit = 0;
    while (value >= STEP && unit < UNITS.length - 1) {
      value /= STEP;
      unit++;
    }
    String number = unit == 0 ? Long.toString(bytes) : String.format(Locale.ROOT, "%.2f", value);
    return number + " " + UNITS[unit];
  }
}
