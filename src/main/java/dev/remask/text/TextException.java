package dev.remask.text;

/// The text side of a model folder cannot be used: a file in it is broken, or a library is missing.
/// The message names the file and what is wrong with it. A conversation that the template refuses
/// is a [MessageException] instead.
public final class TextException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /// A complete message, with what led to it (or null).
  public TextException(String message, Throwable cause) {
    super(message, cause);
  }
}
