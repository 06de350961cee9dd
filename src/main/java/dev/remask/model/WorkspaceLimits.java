package dev.remask.model;

/// The largest batch that a mask predictor plans memory for.
///
/// @param maxTokens tokens of all packed sequences together, copies for guidance included
/// @param maxRows rows of logits
/// @param maxSequences packed sequences
public record WorkspaceLimits(int maxTokens, int maxRows, int maxSequences) {
  /// Throws IllegalArgumentException unless all three are positive.
  public WorkspaceLimits {
    if (maxTokens < 1 || maxRows < 1 || maxSequences < 1) {
      throw new IllegalArgumentException(
          "limits must be positive: %d tokens, %d rows, %d sequences"
              .formatted(maxTokens, maxRows, maxSequences));
    }
  }
}
