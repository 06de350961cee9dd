package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import dev.remask.model.ModelConfig;
import dev.remask.model.WorkspaceLimits;

/// Every rule that a score task must obey for a model: the one place where that is checked.
final class ScoreRules {
  private final ModelConfig config;
  private final SpecialTokens tokens;
  private final WorkspaceLimits limits;

  ScoreRules(ModelConfig config, SpecialTokens tokens, WorkspaceLimits limits) {
    this.config = config;
    this.tokens = tokens;
    this.limits = limits;
  }

  /// Throws [InvalidOptionException] with field, rule and value.
  void check(ScoreTask task) {
    checkIds("prompt_ids", task.promptIds());
    int length = task.answerIds().length;
    check(length > 0, "answer_ids", "must hold at least one token, got none");
    checkIds("answer_ids", task.answerIds());
    double scale = task.cfgScale();
    check(
        scale >= 0 && scale <= DiffusionOptions.MAX_CFG_SCALE,
        "cfg_scale",
        "must be a finite number of at least 0 and at most %.0f, got %s"
            .formatted(DiffusionOptions.MAX_CFG_SCALE, scale));
    switch (task.method()) {
      case ScoreMethod.FixedMask mask -> checkMask(mask.positions(), length);
      case ScoreMethod.MonteCarlo draws ->
          check(
              draws.draws() >= 1 && draws.draws() <= ScoreMethod.MAX_DRAWS,
              "draws",
              "must be from 1 to " + ScoreMethod.MAX_DRAWS + ", got " + draws.draws());
      case ScoreMethod.Conditional conditional ->
          check(conditional.given() != null, "conditional", "must be others or left, got nothing");
    }
    checkSize(task);
  }

  private void checkMask(int[] positions, int length) {
    check(positions.length > 0, "masked", "must hold at least one position, got none");
    var seen = new boolean[length];
    for (int position : positions) {
      check(
          position >= 0 && position < length,
          "masked",
          "must hold positions in the answer, from 0 to " + (length - 1) + ", got " + position);
      check(!seen[position], "masked", "must hold a position once, got " + position + " twice");
      seen[position] = true;
    }
  }

  private void checkIds(String field, int[] ids) {
    for (int i = 0; i < ids.length; i++) {
      check(
          ids[i] >= 0 && ids[i] < tokens.vocabulary(),
          field,
          "must be at least 0 and below vocab_size "
              + tokens.vocabulary()
              + ", got "
              + ids[i]
              + " at index "
              + i);
      check(
          ids[i] != tokens.mask(),
          field,
          "must not hold the mask id " + tokens.mask() + ", got it at index " + i);
    }
  }

  private void checkSize(ScoreTask task) {
    long length = (long) task.promptIds().length + task.answerIds().length;
    check(
        length <= config.maxSequenceLength(),
        "answer_ids",
        "must leave room for the prompt: prompt "
            + task.promptIds().length
            + " + answer "
            + task.answerIds().length
            + " exceeds max_sequence_length "
            + config.maxSequenceLength());
    int copies = task.cfgScale() > 0 ? 2 : 1;
    String needs = copies == 2 ? " (cfg_scale doubles it)" : "";
    check(
        copies * length <= limits.maxTokens(),
        "maxTokens",
        limits.maxTokens()
            + " of the load is too small for "
            + copies * length
            + " tokens"
            + needs);
    check(
        copies <= limits.maxSequences(),
        "maxSequences",
        limits.maxSequences() + " of the load is too small for " + copies + " sequences" + needs);
    check(
        copies <= limits.maxRows(),
        "maxRows",
        limits.maxRows() + " of the load is too small for " + copies + " rows" + needs);
  }

  private static void check(boolean holds, String field, String rule) {
    if (!holds) {
      throw new InvalidOptionException(field, rule);
    }
  }
}
