package dev.remask;

import java.util.Locale;

/// Why an answer ends where it does.
public enum FinishReason {
  /// An end token ends it.
  STOP,

  /// It fills its length.
  LENGTH;

  /// {@return the name in JSON: `stop` or `length`}
  public String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
