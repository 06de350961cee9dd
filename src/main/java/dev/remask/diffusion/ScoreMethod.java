package dev.remask.diffusion;

/// What is masked of an answer of L tokens to find how likely it is.
public sealed interface ScoreMethod {
  /// Draws of a Monte Carlo estimate where none are asked for, as in the reference.
  int DEFAULT_DRAWS = 128;

  /// More draws than this are refused: the standard error falls with their root.
  int MAX_DRAWS = 1 << 20;

  /// These positions, all at once: one term of the estimate, and exact.
  ///
  /// @param positions in the answer, each once, in the order in which the result names them; not
  ///   copied
  record FixedMask(int... positions) implements ScoreMethod {}

  /// The mean over `draws` draws of a number l from 1 to L and of l positions to mask, each giving
  /// Σ CE · L / l: an unbiased estimate of the bound that the model was trained on. How draws come
  /// from the seed: Philox4x32-10, see the cookbook; they do not depend on what is scored beside
  /// them.
  ///
  /// @param draws from 1 to [#MAX_DRAWS]
  /// @param seed of the draws; the same seed makes choices of equal length comparable, since they
  ///   are masked alike
  record MonteCarlo(int draws, long seed) implements ScoreMethod {}

  /// Every token once, given other tokens.
  ///
  /// @param given which ones
  record Conditional(Given given) implements ScoreMethod {}

  /// What a token is conditioned on.
  enum Given {
    /// The prompt and all other tokens of the answer: only the token itself is masked. The sum is a
    /// pseudo-likelihood.
    OTHERS,
    /// The prompt and the tokens before it: it and what follows is masked. The sum is a
    /// log-likelihood by the chain rule, from left to right.
    LEFT
  }
}
