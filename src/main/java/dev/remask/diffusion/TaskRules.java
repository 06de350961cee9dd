package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import dev.remask.model.ModelConfig;

/// Every rule of a request, in one place: ranges, what needs what, what excludes what. The table of
/// docs/options.md says the same in words; a test compares them.
final class TaskRules {
  /// Steps are numbered by ints.
  private static final long MAX_STEP_NUMBER = Integer.MAX_VALUE;

  /// More than any answer has tokens; two records each in the log of commits must still be
  /// countable.
  private static final int MAX_REVISION_BUDGET = 1_000_000;

  private final DenoisingTask task;
  private final DiffusionOptions options;
  private final ModelConfig config;
  private final SpecialTokens tokens;

  TaskRules(DenoisingTask task, ModelConfig config, SpecialTokens tokens) {
    this.task = task;
    options = task.resolvedOptions();
    this.config = config;
    this.tokens = tokens;
  }

  void check() {
    checkIds();
    checkLengths();
    checkRoom();
    checkSteps();
    checkCommitRule();
    checkSampling();
    checkEnd();
    checkGuidance();
    checkCache();
    new ConstraintRules(task, options, tokens).check();
  }

  private void checkIds() {
    String field = task.isCanvas() ? "canvas_ids" : "prompt_ids";
    checkIds(field, task.sharedIds(), task.isCanvas());
    task.negativePromptIds().ifPresent(ids -> checkIds("negative_prompt_ids", ids, false));
  }

  private void checkIds(String field, int[] ids, boolean masksAllowed) {
    for (int i = 0; i < ids.length; i++) {
      int id = ids[i];
      if (masksAllowed && id == DenoisingTask.MASK) {
        continue;
      }
      check(
          id >= 0 && id < tokens.vocabulary(),
          field,
          "must be at least 0 and below vocab_size %d, got %d at index %d",
          tokens.vocabulary(),
          id,
          i);
      check(
          id != tokens.mask(),
          field,
          "must not hold the mask id %d%s, got it at index %d",
          tokens.mask(),
          masksAllowed ? " (a masked position is null)" : "",
          i);
    }
  }

  private void checkLengths() {
    int block = options.blockLength();
    if (task.isCanvas()) {
      check(
          !task.options().hasGenLength(),
          "gen_length",
          "must not be given with a canvas, whose masks are the answer; got %d",
          task.options().genLength());
      check(
          !options.autoLength(),
          "max_gen_length",
          "must not be given with a canvas, whose masks are the answer; got %d",
          options.maxGenLength());
      check(task.masks() > 0, "canvas_ids", "must hold at least one masked position, got none");
      check(block >= 1, "block_length", "must be at least 1, got %d", block);
      return;
    }
    int length = options.genLength();
    check(length >= 1, "gen_length", "must be at least 1, got %d", length);
    check(block >= 1, "block_length", "must be at least 1, got %d", block);
    check(
        length % block == 0,
        "block_length",
        "must divide gen_length, got block_length %d of gen_length %d",
        block,
        length);
    if (options.autoLength()) {
      int longest = options.maxGenLength();
      check(
          longest >= length,
          "max_gen_length",
          "must be at least gen_length %d, got %d",
          length,
          longest);
      check(
          longest % block == 0,
          "max_gen_length",
          "must be a multiple of block_length %d, got %d",
          block,
          longest);
    }
  }

  private int blocks() {
    return Math.ceilDiv(task.masks(), options.blockLength());
  }

  private void checkSteps() {
    int blocks = blocks();
    Schedule schedule = options.schedule();
    int[] list = options.stepsPerBlock();
    if (options.steps().isPresent()) {
      int steps = options.steps().getAsInt();
      int first = options.firstBlocks(blocks);
      check(steps >= 1, "steps", "must be at least 1, got %d", steps);
      check(
          steps % first == 0,
          "steps",
          "must be a multiple of the number of blocks (%s / block_length = %d / %d = %d), got %d",
          task.isCanvas() ? "masks" : "gen_length",
          options.genLength(),
          options.blockLength(),
          first,
          steps);
    }
    if (list != null) {
      check(
          list.length == blocks,
          "steps",
          "must have a number for each of the %d blocks, got %d numbers",
          blocks,
          list.length);
      for (int steps : list) {
        check(steps >= 1, "steps", "must be at least 1 in each block, got %d", steps);
      }
    }
    boolean stepsGiven = options.steps().isPresent() || list != null;
    check(
        !schedule.isList() || !stepsGiven,
        "steps",
        "must not be given with a schedule that is a list: its %d values of t are %d steps a block",
        schedule.times().length,
        schedule.times().length - 1);
    if (options.adaptive()) {
      String rule = options.threshold().isPresent() ? "threshold" : "factor";
      check(
          !stepsGiven,
          "steps",
          "must not be given with %s, which decides how many tokens a step commits",
          rule);
      check(
          schedule.equals(Schedule.uniform()),
          "schedule",
          "must not be given with %s, which decides how many tokens a step commits; got %s",
          rule,
          schedule);
    }
    checkStepNumbers(blocks);
  }

  /// Steps are numbered through the whole answer, blocks of a revising plan with room for the
  /// budget.
  private void checkStepNumbers(int blocks) {
    int budget = options.revisionBudget();
    check(
        budget >= 0 && budget <= MAX_REVISION_BUDGET,
        "revision_budget",
        "must be at least 0 and at most %d, got %d",
        MAX_REVISION_BUDGET,
        budget);
    long number = 0;
    for (int b = 0; b < blocks; b++) {
      int masks = masksOf(b);
      int steps = options.adaptive() ? masks : options.stepsOfBlock(b, masks, blocks);
      number += (long) steps + budget;
      check(
          options.remasking() != Remasking.ORIGIN || steps <= masks,
          "steps",
          "must be at most one a mask with origin, where each step is a pass that may commit nothing;"
              + " got %d for the %d masks of block %d",
          steps,
          masks,
          b);
    }
    check(
        number <= MAX_STEP_NUMBER,
        "steps",
        "must let steps be numbered up to %d (steps and budget of all blocks), got %d",
        MAX_STEP_NUMBER,
        number);
  }

  private int masksOf(int block) {
    return Math.min(options.blockLength(), task.masks() - block * options.blockLength());
  }

  private void checkCommitRule() {
    Remasking rule = options.remasking();
    options
        .threshold()
        .ifPresent(
            t -> check(t > 0 && t <= 1, "threshold", "must be above 0 and at most 1, got %s", t));
    options
        .factor()
        .ifPresent(f ->
            check(f > 0 && isFloat(f), "factor", "must be a finite number above 0, got %s", f));
    check(
        options.threshold().isEmpty() || options.factor().isEmpty(),
        "threshold",
        "must not be given with factor: each decides alone how many tokens a step commits");
    if (options.adaptive()) {
      check(
          rule != Remasking.RANDOM && rule != Remasking.ORIGIN,
          options.threshold().isPresent() ? "threshold" : "factor",
          "needs a confidence to look at: low_confidence, entropy or margin, got remasking %s",
          rule);
    }
    double bound = options.revisionThreshold();
    check(
        bound > 0 && bound < 1, "revision_threshold", "must be above 0 and below 1, got %s", bound);
    check(
        options.revises() || !options.hasRevisionThreshold(),
        "revision_threshold",
        "needs a revision_budget above 0, got a budget of 0");
  }

  private void checkSampling() {
    double temperature = options.temperature();
    check(
        temperature >= 0 && isFloat(temperature),
        "temperature",
        "must be a finite number of at least 0 (and, unless 0, at least 1.4e-45), got %s",
        temperature);
    check(options.topK() >= 0, "top_k", "must be at least 0 (0: off), got %d", options.topK());
    check(
        options.topP() > 0 && options.topP() <= 1 && isFloat(options.topP()),
        "top_p",
        "must be above 0 and at most 1 (1: off), got %s",
        options.topP());
    check(
        options.topK() == 0 || temperature > 0,
        "top_k",
        "needs a temperature above 0, without which the best token is taken; got top_k %d",
        options.topK());
    check(
        options.topP() == 1 || temperature > 0,
        "top_p",
        "needs a temperature above 0, without which the best token is taken; got top_p %s",
        options.topP());
  }

  private void checkEnd() {
    boolean hasEos = tokens.eos() >= 0;
    String needsEos = "needs a model with an EOS id (eos_token_id in config.json), got %s";
    check(!options.suppressEos() || hasEos, "suppress_eos", needsEos, true);
    check(!options.deferEos() || hasEos, "defer_eos", needsEos, true);
    check(
        !options.deferEos() || tokens.eot() >= 0,
        "defer_eos",
        "needs a model with an EoT id (<|eot_id|> in the tokenizer, or eot_token_id in config.json),"
            + " got true");
    check(
        !options.deferEos() || options.remasking() != Remasking.ORIGIN,
        "defer_eos",
        "must not be given with origin, which has no order in which anything goes last");
    checkEarlyStop(hasEos, needsEos);
    if (options.autoLength()) {
      check(hasEos, "max_gen_length", needsEos, options.maxGenLength());
      check(
          !options.suppressEos() && !options.deferEos(),
          "max_gen_length",
          "must not be given with %s: the answer grows until EOS is likely",
          options.suppressEos() ? "suppress_eos" : "defer_eos");
      check(
          options.remasking() != Remasking.RANDOM,
          "max_gen_length",
          "needs a confidence to look at, got remasking random");
    }
  }

  private void checkEarlyStop(boolean hasEos, String needsEos) {
    if (!options.earlyStop()) {
      return;
    }
    check(hasEos, "early_stop", needsEos, true);
    check(
        !options.suppressEos(),
        "early_stop",
        "must not be given with suppress_eos, with which no EOS comes");
    check(
        !options.revises(),
        "early_stop",
        "must not be given with revision_budget: an EOS might be taken back");
    if (task.isCanvas()) {
      int[] masks = task.maskPositions();
      boolean holes = task.sharedIds().length - masks[0] > masks.length;
      check(
          !holes,
          "early_stop",
          "must not be given with a canvas that has fixed tokens behind its first mask (position %d)",
          masks[0]);
    }
  }

  private void checkGuidance() {
    double scale = options.cfgScale();
    check(
        scale >= 0 && scale <= DiffusionOptions.MAX_CFG_SCALE,
        "cfg_scale",
        "must be a finite number of at least 0 and at most %.0f, got %s",
        DiffusionOptions.MAX_CFG_SCALE,
        scale);
    if (task.negativePromptIds().isPresent()) {
      check(
          options.guided(),
          "negative_prompt",
          "needs a cfg_scale above 0, which leads away from it; got %s",
          scale);
      check(
          !task.isCanvas(),
          "negative_prompt",
          "must not be given with a canvas, which has no prompt that it could stand for");
    }
  }

  private void checkCache() {
    int refresh = options.cacheRefresh();
    check(
        refresh >= 0,
        "cache_refresh",
        "must be at least 0 (0: at the beginning of blocks only), got %d",
        refresh);
    check(
        refresh == 0 || options.cache() != CacheMode.NONE,
        "cache_refresh",
        "needs a cache (prefix or dual), got cache none and cache_refresh %d",
        refresh);
  }

  private void checkRoom() {
    int max = config.maxSequenceLength();
    if (task.isCanvas()) {
      int length = task.sharedIds().length;
      check(
          length <= max,
          "canvas_ids",
          "must be at most max_sequence_length %d long, got %d positions",
          max,
          length);
      return;
    }
    checkRoom("prompt", task.sharedIds().length, max);
    task.negativePromptIds().ifPresent(ids -> checkRoom("negative prompt", ids.length, max));
  }

  private void checkRoom(String what, int promptLength, int max) {
    int length = options.maxGenLength();
    if ((long) promptLength + length <= max) {
      return;
    }
    int room = Math.max(0, max - promptLength);
    String field = options.autoLength() ? "max_gen_length" : "gen_length";
    boolean byDefault = !options.autoLength() && !options.hasGenLength();
    throw new InvalidOptionException(
        field,
        "must leave room for the %s: %s %d + %s %d%s exceeds max_sequence_length %d; %s"
            .formatted(
                what,
                what,
                promptLength,
                field,
                length,
                byDefault ? " (the default)" : "",
                max,
                room > 0 ? "at most " + room + " fit" : "none fits"));
  }

  /// Whether the device, which computes in floats, can hold it: neither as infinity nor, if it is
  /// something, as nothing.
  private static boolean isFloat(double value) {
    float held = (float) value;
    return Float.isFinite(held) && (held == 0) == (value == 0);
  }

  static void check(boolean holds, String field, String rule, Object... values) {
    if (!holds) {
      throw new InvalidOptionException(field, rule.formatted(values));
    }
  }
}
