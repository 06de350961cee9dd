package dev.remask.cli;

import java.util.ArrayList;
import java.util.List;

/// Breaks text into the lines that a terminal would show, so that a drawing can be taken back line
/// by line.
final class TextLines {
  private TextLines() {}

  /// Lines of at most `columns` characters' width, broken at new lines and where they are full.
  static List<String> wrap(String text, int columns) {
    List<String> lines = new ArrayList<>();
    var line = new StringBuilder();
    int width = 0;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      i += Character.charCount(c);
      int wide = width(c);
      if (c == '\n' || width + wide > columns) {
        lines.add(line.toString());
        line.setLength(0);
        width = 0;
      }
      if (c != '\n') {
        line.appendCodePoint(c);
        width += wide;
      }
    }
    lines.add(line.toString());
    return lines;
  }

  /// Columns of a character: none for combining ones, two for East Asian ones and pictographs.
  private static int width(int c) {
    int type = Character.getType(c);
    if (type == Character.NON_SPACING_MARK
        || type == Character.ENCLOSING_MARK
        || type == Character.FORMAT) {
      return 0;
    }
    boolean wide =
        c >= 0x1100 && c <= 0x115f
            || c >= 0x2e80 && c <= 0xa4cf
            || c >= 0xac00 && c <= 0xd7a3
            || c >= 0xf900 && c <= 0xfaff
            || c >= 0xfe30 && c <= 0xfe6f
            || c >= 0xff00 && c <= 0xff60
            || c >= 0xffe0 && c <= 0xffe6
            || c >= 0x1f300 && c <= 0x1faff
            || c >= 0x20000 && c <= 0x3fffd;
    return wide ? 2 : 1;
  }
}
