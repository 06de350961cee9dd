package dev.remask.model;

/// The largest batch that a mask predictor plans memory for.
///
/// @param maxTokens tokens of all packed sequences together, copies for guidance included
/// @param maxRows rows of logits
/// @param maxSequences packed sequences
/// @param maxCacheTokens positions whose keys and values the cache holds; 0: there is no cache
public record WorkspaceLimits(int maxTokens, int maxRows, int maxSequences, int maxCacheTokens) {
  /// Throws IllegalArgumentException unless the first three are positive and the last is not
  /// negative.
  public WorkspaceLimits {
    if (maxTokens < 1 || maxRows < 1 || maxSequences < 1 || maxCacheTokens < 0) {
      throw new IllegalArgumentException(
          "limits must be positive: %d tokens, %d rows, %d sequences, %d cached tokens (0 or more)"
              .formatted(maxTokens, maxRows, maxSequences, maxCacheTokens));
    }
  }

  /// Limits without a cache.
  public WorkspaceLimits(int maxTokens, int maxRows, int maxSequences) {
    this(maxTokens, maxRows, maxSequences, 0);
  }
}
