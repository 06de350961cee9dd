package dev.remask.model;

import java.nio.file.Path;

/// A model folder that cannot be used: a file is missing or damaged, or it describes something this
/// runtime does not support.
///
/// The message names the file, the key or tensor, what was found there and what is wanted, so that
/// it can be shown to the user as it is.
public final class ModelException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /// How much of a file's own text a message repeats.
  private static final int QUOTED_CHARACTERS = 120;

  /// Makes an exception with a complete message.
  public ModelException(String message) {
    super(message);
  }

  /// Makes an exception with a complete message and what led to it.
  public ModelException(String message, Throwable cause) {
    super(message, cause);
  }

  /// "FILE: SUBJECT is FOUND; wanted: WANTED".
  static ModelException unsuitable(Path file, String subject, Object found, String wanted) {
    return new ModelException(
        file + ": " + quoted(subject) + " is " + quoted(found) + "; wanted: " + wanted);
  }

  /// Text from a file made fit for a message: bounded, on one line, no control characters.
  static String quoted(Object value) {
    String text = String.valueOf(value);
    boolean cut = text.length() > QUOTED_CHARACTERS;
    var clean = new StringBuilder();
    for (int i = 0; i < Math.min(text.length(), QUOTED_CHARACTERS); i++) {
      char c = text.charAt(i);
      clean.append(Character.isISOControl(c) || Character.isSurrogate(c) ? '?' : c);
    }
    return cut ? clean + "…" : clean.toString();
  }
}
