package dev.remask.diffusion;

import java.util.Objects;

/// An answer to a prompt of which some positions are hidden: how likely are the tokens there? The
/// arrays are not copied and must not change.
///
/// @param promptIds the prompt, may be empty
/// @param answerIds the whole answer, what is hidden included
/// @param masked positions in the answer that are masked, each once, in any order, at least one
/// @param cfgScale strength w of guidance by a copy whose prompt is masked: logits = un + (w + 1)
///   (cond − un); 0: none
public record MaskedAnswer(int[] promptIds, int[] answerIds, int[] masked, double cfgScale) {
  /// Null arrays are refused.
  public MaskedAnswer {
    Objects.requireNonNull(promptIds, "promptIds");
    Objects.requireNonNull(answerIds, "answerIds");
    Objects.requireNonNull(masked, "masked");
  }

  /// Positions of prompt and answer together.
  public int length() {
    return promptIds.length + answerIds.length;
  }

  /// Sequences that it takes in a pass: two with guidance.
  int copies() {
    return cfgScale > 0 ? 2 : 1;
  }
}
