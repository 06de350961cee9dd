package dev.remask.kernel;

/// What orders the rows of a block, the surest first: the Java side of `RemaskingRule` in
/// `kernels/include/diffusion_state.h`.
///
/// Each rule gives a key ≥ 0 of which a smaller one is surer, made so that 1 / (1 + key) is the
/// confidence in the rule's own terms. p is the softmax of the clean logits: no temperature, no
/// noise, over every column but those that end tokens are deferred from.
public enum RemaskingRule {
  /// Key (1 − p_c) / p_c: the odds that candidate c is wrong; confidence p_c. Source:
  /// ML-GSAI/LLaDA, generate.py, "low_confidence".
  LOW_CONFIDENCE(0),

  /// Key (1 − u) / u of a uniform draw u of (seed, step, position); confidence u. Source: the same
  /// file, "random".
  RANDOM_ORDER(1),

  /// Key exp(H) − 1, H = −Σ p ln p: the row's perplexity above 1; confidence exp(−H). Source:
  /// HKUNLP/Dream, generation_utils.py, "entropy" (Σ p ln p: the same order).
  ENTROPY(2),

  /// Key (1 − d) / d, d = p₁ − p₂ of the two likeliest ids that may be chosen and are not deferred;
  /// confidence d. Source: the same file, "topk_margin" (there over all columns).
  MARGIN(3);

  final int code;

  RemaskingRule(int code) {
    this.code = code;
  }
}
