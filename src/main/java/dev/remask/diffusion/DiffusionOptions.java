package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import dev.remask.model.ModelConfig;

/// How an answer is denoised. Immutable; `DiffusionOptions.builder()` fills in the defaults.
///
/// Names in messages, in JSON and on the command line are the JSON names (`gen_length`), which are
/// the component names in snake case.
///
/// @param genLength answer positions to fill (default 64)
/// @param blockLength positions of a block; blocks are filled from left to right (default: all)
/// @param steps denoising steps of the whole answer (default: one for each position)
/// @param temperature sampling temperature; only 0, the most probable token, for now
/// @param cfgScale strength of classifier-free guidance; 0 is off, anything else costs a second
///   pass per step, over a copy whose prompt is masked
/// @param remasking which positions keep their token in a step
/// @param suppressEos never choose the EOS token
/// @param deferEos a position that chose EOS or EoT goes last in its block
/// @param seed of the random remasking rule
public record DiffusionOptions(
    int genLength,
    int blockLength,
    int steps,
    double temperature,
    double cfgScale,
    Remasking remasking,
    boolean suppressEos,
    boolean deferEos,
    long seed) {

  /// Answer positions where none are asked for: room for a few sentences. A longer answer wants
  /// blocks: a single block of 128 makes models trained on short answers end them too early.
  public static final int DEFAULT_GEN_LENGTH = 64;

  private static final DiffusionOptions DEFAULTS = builder().build();

  /// Every option at its default.
  public static DiffusionOptions defaults() {
    return DEFAULTS;
  }

  /// A builder with every option at its default.
  public static Builder builder() {
    return new Builder();
  }

  /// Whether a second, unconditional pass is made.
  public boolean guided() {
    return cfgScale > 0;
  }

  /// The number of blocks; only of options whose lengths are valid.
  public int blocks() {
    return genLength / blockLength;
  }

  /// Checks every rule that options and prompt must obey for a model; the one place where that is
  /// done. Throws [InvalidOptionException] with field, rule and value.
  ///
  /// `tokens` are the model's special ids as the sampler will use them (-1: the model has none).
  public void validate(ModelConfig config, SpecialTokens tokens, int[] promptIds) {
    validateSchedule();
    validateSampling(tokens);
    validatePrompt(tokens, promptIds);
    validateLength(config.maxSequenceLength(), promptIds.length);
  }

  private void validateSchedule() {
    check(genLength >= 1, "gen_length", "must be at least 1, got " + genLength);
    check(blockLength >= 1, "block_length", "must be at least 1, got " + blockLength);
    check(
        genLength % blockLength == 0,
        "block_length",
        "must divide gen_length, got block_length " + blockLength + " of gen_length " + genLength);
    check(steps >= 1, "steps", "must be at least 1, got " + steps);
    check(
        steps % blocks() == 0,
        "steps",
        "must be a multiple of the number of blocks (gen_length / block_length = "
            + genLength
            + " / "
            + blockLength
            + " = "
            + blocks()
            + "), got "
            + steps);
  }

  private void validateSampling(SpecialTokens tokens) {
    check(
        temperature == 0,
        "temperature",
        "must be 0 (sampling at a temperature is not available yet), got " + temperature);
    check(
        cfgScale >= 0 && Float.isFinite((float) cfgScale),
        "cfg_scale",
        "must be a finite number of at least 0, got " + cfgScale);
    check(remasking != null, "remasking", "must be low_confidence or random, got null");
    check(
        !suppressEos || tokens.eos() >= 0,
        "suppress_eos",
        "needs a model with an EOS id (eos_token_id in config.json), got true");
    check(
        !deferEos || tokens.eos() >= 0,
        "defer_eos",
        "needs a model with an EOS id (eos_token_id in config.json), got true");
    check(
        !deferEos || tokens.eot() >= 0,
        "defer_eos",
        "needs a model with an EoT id (<|eot_id|> in the tokenizer, or eot_token_id in"
            + " config.json), got true");
  }

  private static void validatePrompt(SpecialTokens tokens, int[] promptIds) {
    for (int i = 0; i < promptIds.length; i++) {
      int id = promptIds[i];
      check(
          id >= 0 && id < tokens.vocabulary(),
          "prompt_ids",
          "must be at least 0 and below vocab_size "
              + tokens.vocabulary()
              + ", got "
              + id
              + " at index "
              + i);
      check(
          id != tokens.mask(),
          "prompt_ids",
          "must not hold the mask id " + tokens.mask() + ", got it at index " + i);
    }
  }

  private void validateLength(int maxSequenceLength, int promptLength) {
    if ((long) promptLength + genLength <= maxSequenceLength) {
      return;
    }
    int room = Math.max(0, maxSequenceLength - promptLength);
    String origin = genLength == DEFAULT_GEN_LENGTH ? " (the default)" : "";
    throw new InvalidOptionException(
        "gen_length",
        "must leave room for the prompt: prompt "
            + promptLength
            + " + gen_length "
            + genLength
            + origin
            + " exceeds max_sequence_length "
            + maxSequenceLength
            + "; "
            + (room > 0 ? "at most " + room + " fit" : "none fits"));
  }

  private static void check(boolean holds, String field, String rule) {
    if (!holds) {
      throw new InvalidOptionException(field, rule);
    }
  }

  /// Collects options; one builder may build many times. Nothing is checked here: what is valid
  /// depends on model and prompt, see [DiffusionOptions#validate].
  public static final class Builder {
    private int genLength = DEFAULT_GEN_LENGTH;
    private Integer blockLength;
    private Integer steps;
    private double temperature;
    private double cfgScale;
    private Remasking remasking = Remasking.LOW_CONFIDENCE;
    private boolean suppressEos;
    private boolean deferEos;
    private long seed;

    private Builder() {}

    /// Answer positions to fill. Default 64.
    public Builder genLength(int positions) {
      genLength = positions;
      return this;
    }

    /// Positions of a block; must divide gen_length. Default: gen_length.
    public Builder blockLength(int positions) {
      blockLength = positions;
      return this;
    }

    /// Steps of the whole answer; a multiple of the number of blocks. Default: gen_length.
    public Builder steps(int count) {
      steps = count;
      return this;
    }

    /// Sampling temperature; only 0 for now. Default 0.
    public Builder temperature(double value) {
      temperature = value;
      return this;
    }

    /// Strength of classifier-free guidance. Default 0: off.
    public Builder cfgScale(double value) {
      cfgScale = value;
      return this;
    }

    /// Which positions keep their token in a step. Default: low_confidence.
    public Builder remasking(Remasking rule) {
      remasking = rule;
      return this;
    }

    /// Never choose EOS. Default: false.
    public Builder suppressEos(boolean on) {
      suppressEos = on;
      return this;
    }

    /// Positions that chose EOS or EoT go last in their block. Default: false.
    public Builder deferEos(boolean on) {
      deferEos = on;
      return this;
    }

    /// Seed of the random remasking rule. Default 0.
    public Builder seed(long value) {
      seed = value;
      return this;
    }

    /// The options, with block_length and steps derived from gen_length where they were not set.
    public DiffusionOptions build() {
      return new DiffusionOptions(
          genLength,
          blockLength == null ? genLength : blockLength,
          steps == null ? genLength : steps,
          temperature,
          cfgScale,
          remasking,
          suppressEos,
          deferEos,
          seed);
    }
  }
}
