package dev.remask.cli;

/// Control sequences of a terminal (ECMA-48), and what keeps an answer from writing its own.
final class Ansi {
  static final String CLEAR_LINE = "\u001b[K";
  static final String CLEAR_BELOW = "\u001b[J";

  private static final char REPLACEMENT = '\ufffd';

  private Ansi() {}

  /// Moves the cursor up `lines` lines, to the first column.
  static String up(int lines) {
    return lines == 0 ? "\r" : "\r\u001b[" + lines + "A";
  }

  /// Text without control characters other than new lines; tabs become spaces.
  static String harmless(String text) {
    var clean = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '\t') {
        clean.append(' ');
      } else {
        clean.append(c != '\n' && Character.isISOControl(c) ? REPLACEMENT : c);
      }
    }
    return clean.toString();
  }
}
