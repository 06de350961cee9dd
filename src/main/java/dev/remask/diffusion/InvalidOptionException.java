package dev.remask.diffusion;

/// A request that breaks a rule. The message names the field (by its JSON name), the rule and the
/// value that broke it.
public final class InvalidOptionException extends IllegalArgumentException {
  private static final long serialVersionUID = 1;

  private final String field;

  /// `rule` reads on from the field's name: "must be at least 1, got 0".
  public InvalidOptionException(String field, String rule) {
    super(field + " " + rule);
    this.field = field;
  }

  /// The JSON name of the field at fault, for example `gen_length`.
  public String field() {
    return field;
  }
}
