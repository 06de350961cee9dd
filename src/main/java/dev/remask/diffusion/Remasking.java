package dev.remask.diffusion;

import dev.remask.kernel.RemaskingRule;

/// The remasking rule: what orders the masked positions of a block, the surest first; the others
/// stay masked ("are remasked") in a step.
public enum Remasking {
  /// The positions whose token has the highest probability are kept first.
  LOW_CONFIDENCE("low_confidence", RemaskingRule.LOW_CONFIDENCE),

  /// Uniform noise takes the place of the probability, reproducible by `seed`.
  RANDOM("random", RemaskingRule.RANDOM_ORDER),

  /// The positions whose distribution has the lowest entropy H are kept first; the confidence is
  /// exp(−H).
  ENTROPY("entropy", RemaskingRule.ENTROPY),

  /// The positions where the best token leads the second best by most are kept first; the
  /// confidence is that lead in probability.
  MARGIN("margin", RemaskingRule.MARGIN),

  /// No order: each masked position keeps its token with a chance that the schedule gives, whatever
  /// the model thinks; the trace tells the token's probability.
  ORIGIN("origin", RemaskingRule.LOW_CONFIDENCE);

  private final String jsonName;
  private final RemaskingRule kernelRule;

  Remasking(String jsonName, RemaskingRule kernelRule) {
    this.jsonName = jsonName;
    this.kernelRule = kernelRule;
  }

  /// The name in JSON, on the command line and in messages, for example `low_confidence`.
  public String jsonName() {
    return jsonName;
  }

  /// What the selection kernels compute for it.
  public RemaskingRule kernelRule() {
    return kernelRule;
  }

  /// Reads a [#jsonName()]. Throws [InvalidOptionException] naming `remasking` for anything else.
  public static Remasking parse(String jsonName) {
    return JsonNames.parse("remasking", values(), Remasking::jsonName, jsonName);
  }

  @Override
  public String toString() {
    return jsonName;
  }
}
