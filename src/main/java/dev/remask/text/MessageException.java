package dev.remask.text;

/// The caller's conversation cannot be put to this model: the message names the turn and the rule.
public final class MessageException extends IllegalArgumentException {
  private static final long serialVersionUID = 1;

  /// A complete message.
  public MessageException(String message) {
    super(message);
  }
}
