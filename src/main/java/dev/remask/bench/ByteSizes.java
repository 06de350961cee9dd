package dev.remask.bench;

import java.util.Locale;

/// Sizes of memory for people.
public final class ByteSizes {
  private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB"};
  private static final double STEP = 1024;

  private ByteSizes() {}

  /// Three digits or so and a binary unit: `8.73 MiB`.
  public static String text(long bytes) {
    double value = bytes;
    int unit = 0;
    while (value >= STEP && unit < UNITS.length - 1) {
      value /= STEP;
      unit++;
    }
    return unit == 0 ? bytes + " B" : String.format(Locale.ROOT, "%.2f %s", value, UNITS[unit]);
  }
}
