package dev.remask;

/// The caller's mistake: the message names the field (by its JSON name, or the setting of
/// [LoadOptions]), the rule and the value. Nothing was run; the model stays usable.
public final class RequestException extends IllegalArgumentException {
  private static final long serialVersionUID = 1;

  private final String field;

  /// `message` is complete: it names the field itself.
  ///
  /// @param field the field at fault
  /// @param message field, rule and value
  public RequestException(String field, String message) {
    super(message);
    this.field = field;
  }

  /// {@return the field at fault, for example `gen_length`}
  public String field() {
    return field;
  }
}
