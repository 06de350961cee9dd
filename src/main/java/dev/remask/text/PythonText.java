package dev.remask.text;

/// Text handling where Java and Python, in which templates and tokenizers are written, differ.
final class PythonText {
  private static final char REPLACEMENT = '\ufffd';

  private PythonText() {}

  /// `str.lstrip` and `str.rstrip`: Unicode white space as Python defines it (no-break spaces
  /// included, most control characters not).
  static String strip(String text, boolean left, boolean right) {
    int begin = 0;
    int end = text.length();
    while (left && begin < end && isSpace(text.charAt(begin))) {
      begin++;
    }
    while (right && end > begin && isSpace(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(begin, end);
  }

  private static boolean isSpace(char c) {
    return c >= '\t' && c <= '\r'
        || c >= '\u001c' && c <= '\u001f'
        || c == '\u0085'
        || Character.isSpaceChar(c);
  }

  /// Replaces halves of surrogate pairs that stand alone: no other form of Unicode can hold them.
  static String wellFormed(String text) {
    StringBuilder repaired = null;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (!Character.isSurrogate(c)) {
        continue;
      }
      if (i + 1 < text.length() && Character.isSurrogatePair(c, text.charAt(i + 1))) {
        i++;
        continue;
      }
      if (repaired == null) {
        repaired = new StringBuilder(text);
      }
      repaired.setCharAt(i, REPLACEMENT);
    }
    return repaired == null ? text : repaired.toString();
  }
}
