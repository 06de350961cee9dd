package dev.remask.text;

import java.util.Objects;

/// One turn of a conversation.
///
/// @param role who speaks: `system`, `user` or `assistant`, or what else the chat template knows
/// @param content what is said; always plain text, whatever it looks like
public record Message(String role, String content) {
  /// Refuses nulls.
  public Message {
    Objects.requireNonNull(role, "role");
    Objects.requireNonNull(content, "content");
  }
}
