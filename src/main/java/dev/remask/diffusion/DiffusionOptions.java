package dev.remask.diffusion;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/// How an answer is denoised. Immutable; [#builder()] begins with the defaults.
///
/// Names in messages, in JSON and on the command line are those of the accessors in snake case
/// (`gen_length`) or with dashes (`--gen-length`). What may stand together is checked by
/// [DenoisingTask#validate] and written down in docs/options.md.
public final class DiffusionOptions {
  /// Answer positions where none are asked for: room for a few sentences. A longer answer wants
  /// blocks: a single block of 128 makes models trained on short answers end them too early.
  public static final int DEFAULT_GEN_LENGTH = 64;

  /// A committed token may be masked again where its confidence falls below this, if not told
  /// otherwise.
  public static final double DEFAULT_REVISION_THRESHOLD = 0.1;

  /// The largest cfg_scale: far more than any model bears, and too little to make infinities of its
  /// logits.
  public static final double MAX_CFG_SCALE = 1000;

  private static final DiffusionOptions DEFAULTS = builder().build();

  /// What was set; what was not follows from the rest, so a changed copy derives it anew.
  private final Builder set;

  private DiffusionOptions(Builder builder) {
    set = builder;
  }

  /// Every option at its default.
  public static DiffusionOptions defaults() {
    return DEFAULTS;
  }

  /// A builder with every option at its default.
  public static Builder builder() {
    return new Builder();
  }

  /// A builder with these options; what was never set still follows from the others.
  public Builder toBuilder() {
    return new Builder(set);
  }

  /// Answer positions to fill; with automatic length those to begin with. Default 64.
  public int genLength() {
    return set.genLength == null ? DEFAULT_GEN_LENGTH : set.genLength;
  }

  /// Whether [#genLength] was set.
  public boolean hasGenLength() {
    return set.genLength != null;
  }

  /// Automatic length: the answer is extended by whole blocks up to so many positions while no EOS
  /// is confident. Default: gen_length, that is off.
  public int maxGenLength() {
    return set.maxGenLength == null ? genLength() : set.maxGenLength;
  }

  /// Whether the answer's length is automatic.
  public boolean autoLength() {
    return set.maxGenLength != null;
  }

  /// Positions of a block; blocks are filled from left to right. Default: gen_length. In a canvas a
  /// block counts its masks only, and the last one may be shorter.
  public int blockLength() {
    return set.blockLength == null ? genLength() : set.blockLength;
  }

  /// Whether [#blockLength] was set.
  public boolean hasBlockLength() {
    return set.blockLength != null;
  }

  /// Steps over the whole answer, if a number was set.
  public OptionalInt steps() {
    return set.steps == null ? OptionalInt.empty() : OptionalInt.of(set.steps);
  }

  /// Steps of each block, a copy; null if no list was set.
  public int[] stepsPerBlock() {
    return set.stepsPerBlock == null ? null : set.stepsPerBlock.clone();
  }

  /// Steps of a block that holds `masks` masks, of `blocks` blocks in all; of valid options. With
  /// automatic length `steps` counts those of gen_length, and further blocks take as many.
  int stepsOfBlock(int block, int masks, int blocks) {
    if (set.schedule.isList()) {
      return set.schedule.listedSteps();
    }
    if (set.stepsPerBlock != null) {
      return set.stepsPerBlock[block];
    }
    return set.steps == null ? masks : set.steps / firstBlocks(blocks);
  }

  /// The blocks that `steps` is spread over, of `blocks` in all.
  int firstBlocks(int blocks) {
    return autoLength() ? genLength() / blockLength() : blocks;
  }

  /// How the masks of a block spread over its steps. Default: uniform.
  public Schedule schedule() {
    return set.schedule;
  }

  /// What orders the masked positions. Default: low_confidence.
  public Remasking remasking() {
    return set.remasking;
  }

  /// Commits every position of the block whose confidence reaches it, and at least the best one, in
  /// place of quotas. Default: off.
  public OptionalDouble threshold() {
    return optional(set.threshold);
  }

  /// Commits the n best positions of the block, n the largest with (n + 1)(1 − c_n) < factor, c_n
  /// the n-th best confidence, and at least the best one, in place of quotas. Default: off.
  public OptionalDouble factor() {
    return optional(set.factor);
  }

  /// Whether threshold or factor decides how many positions a step commits.
  public boolean adaptive() {
    return set.threshold != null || set.factor != null;
  }

  /// How many committed tokens may be masked again over the whole answer. Default 0: none.
  public int revisionBudget() {
    return set.revisionBudget;
  }

  /// A committed token of the current block may be masked again where its confidence, computed anew
  /// in every step, is below this. Default 0.1.
  public double revisionThreshold() {
    return set.revisionThreshold == null ? DEFAULT_REVISION_THRESHOLD : set.revisionThreshold;
  }

  /// Whether [#revisionThreshold] was set.
  public boolean hasRevisionThreshold() {
    return set.revisionThreshold != null;
  }

  /// Whether committed tokens may be masked again.
  public boolean revises() {
    return set.revisionBudget > 0;
  }

  /// Sampling temperature. Default 0: the most probable token.
  public double temperature() {
    return set.temperature;
  }

  /// Samples among the k most probable tokens only. Default 0: off.
  public int topK() {
    return set.topK;
  }

  /// Samples among the most probable tokens that together reach this probability only. Default 1:
  /// off.
  public double topP() {
    return set.topP;
  }

  /// Seed of whatever is random: temperature, random, origin. Default 0.
  public long seed() {
    return set.seed;
  }

  /// Strength of classifier-free guidance. Default 0: off; anything else costs a second pass a
  /// step, over a copy without the prompt.
  public double cfgScale() {
    return set.cfgScale;
  }

  /// Whether a second, unconditional pass is made.
  public boolean guided() {
    return set.cfgScale > 0;
  }

  /// Never choose EOS. Default: false.
  public boolean suppressEos() {
    return set.suppressEos;
  }

  /// Positions that chose EOS or EoT go last in their block. Default: false.
  public boolean deferEos() {
    return set.deferEos;
  }

  /// Ends as soon as an EOS is committed and everything before it, too. Default: false.
  public boolean earlyStop() {
    return set.earlyStop;
  }

  /// What is kept of keys and values between the passes of a block; approximate. Default: none.
  public CacheMode cache() {
    return set.cache;
  }

  /// A pass over everything after so many cached ones inside a block. Default 0: at the beginning
  /// of blocks only.
  public int cacheRefresh() {
    return set.cacheRefresh;
  }

  /// The same options for a canvas with `masks` masks, which take the place of gen_length.
  DiffusionOptions forMasks(int masks) {
    Builder builder = toBuilder().genLength(masks);
    if (blockLength() > masks && masks > 0) {
      builder.blockLength(masks); // one block, which needs no more rows than that
    }
    return builder.build();
  }

  private static OptionalDouble optional(Double value) {
    return value == null ? OptionalDouble.empty() : OptionalDouble.of(value);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof DiffusionOptions options
        && Arrays.deepEquals(set.values(), options.set.values());
  }

  @Override
  public int hashCode() {
    return Arrays.deepHashCode(set.values());
  }

  /// The JSON names of all options.
  public static List<String> names() {
    return Arrays.stream(Builder.NAMES).distinct().toList();
  }

  /// Its options that differ from the defaults, under their JSON names.
  @Override
  public String toString() {
    var text = new StringBuilder("DiffusionOptions{");
    Object[] values = set.values();
    Object[] defaults = new Builder().values();
    for (int i = 0; i < values.length; i++) {
      if (!Objects.deepEquals(values[i], defaults[i])) {
        Object value = values[i] instanceof int[] list ? Arrays.toString(list) : values[i];
        text.append(text.charAt(text.length() - 1) == '{' ? "" : ", ");
        text.append(Builder.NAMES[i]).append('=').append(value);
      }
    }
    return text.append('}').toString();
  }

  /// Collects options; one builder may build many times. Nothing is checked here: what is valid
  /// depends on model and prompt, see [DenoisingTask#validate]. What each option means stands at
  /// the accessor of its name.
  public static final class Builder {
    private static final String[] NAMES = {
      "gen_length",
      "max_gen_length",
      "block_length",
      "steps",
      "steps",
      "schedule",
      "remasking",
      "threshold",
      "factor",
      "revision_budget",
      "revision_threshold",
      "temperature",
      "top_k",
      "top_p",
      "seed",
      "cfg_scale",
      "suppress_eos",
      "defer_eos",
      "early_stop",
      "cache",
      "cache_refresh"
    };

    // null: not set, follows from the others.
    private Integer genLength;
    private Integer maxGenLength;
    private Integer blockLength;
    private Integer steps;
    private int[] stepsPerBlock;
    private Schedule schedule = Schedule.uniform();
    private Remasking remasking = Remasking.LOW_CONFIDENCE;
    private Double threshold;
    private Double factor;
    private int revisionBudget;
    private Double revisionThreshold;
    private double temperature;
    private int topK;
    private double topP = 1;
    private long seed;
    private double cfgScale;
    private boolean suppressEos;
    private boolean deferEos;
    private boolean earlyStop;
    private CacheMode cache = CacheMode.NONE;
    private int cacheRefresh;

    private Builder() {}

    private Builder(Builder other) {
      genLength = other.genLength;
      maxGenLength = other.maxGenLength;
      blockLength = other.blockLength;
      steps = other.steps;
      stepsPerBlock = other.stepsPerBlock;
      schedule = other.schedule;
      remasking = other.remasking;
      threshold = other.threshold;
      factor = other.factor;
      revisionBudget = other.revisionBudget;
      revisionThreshold = other.revisionThreshold;
      temperature = other.temperature;
      topK = other.topK;
      topP = other.topP;
      seed = other.seed;
      cfgScale = other.cfgScale;
      suppressEos = other.suppressEos;
      deferEos = other.deferEos;
      earlyStop = other.earlyStop;
      cache = other.cache;
      cacheRefresh = other.cacheRefresh;
    }

    /// In the order of [#NAMES].
    private Object[] values() {
      return new Object[] {
        genLength,
        maxGenLength,
        blockLength,
        steps,
        stepsPerBlock,
        schedule,
        remasking,
        threshold,
        factor,
        revisionBudget,
        revisionThreshold,
        temperature,
        topK,
        topP,
        seed,
        cfgScale,
        suppressEos,
        deferEos,
        earlyStop,
        cache,
        cacheRefresh
      };
    }

    /// Puts an option, named as in JSON, back to its default. Throws IllegalArgumentException for a
    /// name that is none.
    public Builder unset(String jsonName) {
      Builder defaults = new Builder();
      switch (jsonName) {
        case "gen_length" -> genLength = null;
        case "max_gen_length" -> maxGenLength = null;
        case "block_length" -> blockLength = null;
        case "steps" -> {
          steps = null;
          stepsPerBlock = null;
        }
        case "schedule" -> schedule = defaults.schedule;
        case "remasking" -> remasking = defaults.remasking;
        case "threshold" -> threshold = null;
        case "factor" -> factor = null;
        case "revision_budget" -> revisionBudget = defaults.revisionBudget;
        case "revision_threshold" -> revisionThreshold = null;
        case "temperature" -> temperature = defaults.temperature;
        case "top_k" -> topK = defaults.topK;
        case "top_p" -> topP = defaults.topP;
        case "seed" -> seed = defaults.seed;
        case "cfg_scale" -> cfgScale = defaults.cfgScale;
        case "suppress_eos" -> suppressEos = defaults.suppressEos;
        case "defer_eos" -> deferEos = defaults.deferEos;
        case "early_stop" -> earlyStop = defaults.earlyStop;
        case "cache" -> cache = defaults.cache;
        case "cache_refresh" -> cacheRefresh = defaults.cacheRefresh;
        default -> throw new IllegalArgumentException("no option is named " + jsonName);
      }
      return this;
    }

    /// Answer positions to fill. Default 64.
    public Builder genLength(int positions) {
      genLength = positions;
      return this;
    }

    /// Makes the length automatic, up to `positions`. Default: off.
    public Builder maxGenLength(int positions) {
      maxGenLength = positions;
      return this;
    }

    /// Positions of a block; must divide gen_length. Default: gen_length.
    public Builder blockLength(int positions) {
      blockLength = positions;
      return this;
    }

    /// Steps of the whole answer; a multiple of the number of blocks. Default: one for each
    /// position.
    public Builder steps(int count) {
      steps = count;
      stepsPerBlock = null;
      return this;
    }

    /// Steps of each block, one number for each; takes the place of [#steps].
    public Builder stepsPerBlock(int... counts) {
      stepsPerBlock = counts.clone();
      steps = null;
      return this;
    }

    /// How masks spread over steps. Default: uniform.
    public Builder schedule(Schedule value) {
      schedule = Objects.requireNonNull(value, "schedule");
      return this;
    }

    /// What orders the masked positions. Default: low_confidence.
    public Builder remasking(Remasking rule) {
      remasking = Objects.requireNonNull(rule, "remasking");
      return this;
    }

    /// Confidence from which a position is committed. Default: off.
    public Builder threshold(double confidence) {
      threshold = confidence;
      return this;
    }

    /// Bound of the factor rule. Default: off.
    public Builder factor(double bound) {
      factor = bound;
      return this;
    }

    /// Tokens that may be masked again. Default 0.
    public Builder revisionBudget(int tokens) {
      revisionBudget = tokens;
      return this;
    }

    /// Confidence below which a token may be masked again. Default 0.1.
    public Builder revisionThreshold(double confidence) {
      revisionThreshold = confidence;
      return this;
    }

    /// Sampling temperature. Default 0.
    public Builder temperature(double value) {
      temperature = value;
      return this;
    }

    /// Samples among so many tokens. Default 0: all.
    public Builder topK(int tokens) {
      topK = tokens;
      return this;
    }

    /// Samples among tokens of so much probability. Default 1: all.
    public Builder topP(double probability) {
      topP = probability;
      return this;
    }

    /// Seed of whatever is random. Default 0.
    public Builder seed(long value) {
      seed = value;
      return this;
    }

    /// Strength of classifier-free guidance. Default 0: off.
    public Builder cfgScale(double value) {
      cfgScale = value;
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

    /// Ends at the first EOS. Default: false.
    public Builder earlyStop(boolean on) {
      earlyStop = on;
      return this;
    }

    /// What is kept of keys and values. Default: none.
    public Builder cache(CacheMode mode) {
      cache = Objects.requireNonNull(mode, "cache");
      return this;
    }

    /// Cached passes between whole ones inside a block. Default 0: without bound.
    public Builder cacheRefresh(int passes) {
      cacheRefresh = passes;
      return this;
    }

    /// The options.
    public DiffusionOptions build() {
      return new DiffusionOptions(new Builder(this));
    }
  }
}
