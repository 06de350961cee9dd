package dev.remask.diffusion;

import java.util.Objects;

/// An answer whose likelihood is wanted. The arrays are not copied and must not change.
///
/// @param promptIds the prompt, may be empty
/// @param answerIds the answer, at least one token
/// @param method what is masked
/// @param cfgScale strength of guidance by a copy whose prompt is masked; 0: none
public record ScoreTask(int[] promptIds, int[] answerIds, ScoreMethod method, double cfgScale) {
  /// Nulls are refused.
  public ScoreTask {
    Objects.requireNonNull(promptIds, "promptIds");
    Objects.requireNonNull(answerIds, "answerIds");
    Objects.requireNonNull(method, "method");
  }
}
