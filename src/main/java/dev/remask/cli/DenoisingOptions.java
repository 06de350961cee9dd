package dev.remask.cli;

import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.Remasking;
import dev.remask.diffusion.Schedule;
import java.util.Arrays;
import java.util.function.Consumer;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// The flags that say how an answer is denoised.
final class DenoisingOptions {
  /// Enough for a short answer. In one block of 128 the built-in model ends sums too early ("47 +
  /// 38"), in f32 as in bf16; long answers want blocks.
  private static final String GEN_LENGTH = "64";

  private static final String GEN_LENGTH_FLAG = "--gen-length";

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = GEN_LENGTH_FLAG,
      paramLabel = "N",
      defaultValue = GEN_LENGTH,
      description =
          "Answer positions to fill; a shorter answer ends with end-of-text tokens."
              + " (default: ${DEFAULT-VALUE})")
  private int genLength;

  @Option(
      names = "--max-gen-length",
      paramLabel = "N",
      description =
          "Automatic length: begin with gen-length positions and add a block at a time, up to N,"
              + " while no end of text is likely. (default: off, gen-length is the length)")
  private Integer maxGenLength;

  @Option(
      names = "--block-length",
      paramLabel = "N",
      description =
          "Positions of a block; blocks are filled from left to right, the positions in one in any"
              + " order. Must divide gen-length. (default: gen-length, one block)")
  private Integer blockLength;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description =
          "Denoising steps of the whole answer, each one pass of the model; a multiple of the"
              + " number of blocks. Fewer are faster and less exact. Or a number for each block:"
              + " 8,4,4. (default: gen-length, one token a step)")
  private String steps;

  @Option(
      names = "--schedule",
      paramLabel = "NAME",
      defaultValue = "uniform",
      description =
          "How the tokens of a block spread over its steps: uniform, linear, cosine (few first), or"
              + " the masked share itself before, between and after the steps: 1,0.9,0.5,0."
              + " (default: ${DEFAULT-VALUE})")
  private Schedule schedule;

  @Option(
      names = "--remasking",
      paramLabel = "RULE",
      defaultValue = "low_confidence",
      description =
          "Which positions stay masked in a step: low_confidence (the least probable tokens),"
              + " entropy (the widest distributions), margin (the smallest lead over the second"
              + " token), random, or origin (each keeps its token with a chance that the schedule"
              + " gives). (default: ${DEFAULT-VALUE})")
  private Remasking remasking;

  @Option(
      names = "--threshold",
      paramLabel = "P",
      description =
          "Keep every token of at least this confidence in a step, and at least the best one:"
              + " fewer passes, approximate; takes the place of steps. (default: off)")
  private Double threshold;

  @Option(
      names = "--factor",
      paramLabel = "F",
      description =
          "Keep the n surest tokens of a step, n the largest with (n + 1)(1 - confidence of the"
              + " n-th) < F: fewer passes, approximate; takes the place of steps. (default: off)")
  private Double factor;

  @Option(
      names = "--revision-budget",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "How many kept tokens of the current block may be masked again when they have come to"
              + " look wrong; each may cost another pass. (default: ${DEFAULT-VALUE}, off)")
  private int revisionBudget;

  @Option(
      names = "--revision-threshold",
      paramLabel = "P",
      description = "The confidence below which a kept token looks wrong. (default: 0.1)")
  private Double revisionThreshold;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description =
          "Sample tokens at this temperature; 0 takes the most probable one."
              + " (default: ${DEFAULT-VALUE})")
  private double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      defaultValue = "0",
      description =
          "Sample among the K most probable tokens only; 0 is off. (default: ${DEFAULT-VALUE})")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "1",
      description =
          "Sample among the most probable tokens that reach P together; 1 is off."
              + " (default: ${DEFAULT-VALUE})")
  private double topP;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Seed of whatever is random: temperature, random, origin. (default: ${DEFAULT-VALUE})")
  private long seed;

  @Option(
      names = "--cfg-scale",
      paramLabel = "W",
      defaultValue = "0",
      description =
          "Classifier-free guidance: how strongly the prompt pulls; 0 is off, anything more doubles"
              + " the work. (default: ${DEFAULT-VALUE})")
  private double cfgScale;

  @Option(
      names = "--suppress-eos",
      negatable = true,
      fallbackValue = "true",
      defaultValue = "false",
      description =
          "Never choose end-of-text: the answer fills gen-length. (default: ${DEFAULT-VALUE})")
  private boolean suppressEos;

  @Option(
      names = "--defer-eos",
      negatable = true,
      fallbackValue = "true",
      defaultValue = "false",
      description =
          "Positions that chose the end of text or turn go last: longer answers."
              + " (default: ${DEFAULT-VALUE})")
  private boolean deferEos;

  @Option(
      names = "--early-stop",
      negatable = true,
      fallbackValue = "true",
      defaultValue = "false",
      description =
          "Stop once an end of text and everything before it are kept: the same answer, sooner."
              + " (default: ${DEFAULT-VALUE})")
  private boolean earlyStop;

  @Option(
      names = "--cache",
      paramLabel = "MODE",
      defaultValue = "none",
      description =
          "Keep keys and values between the passes of a block, approximate: none, prefix (of what"
              + " stands before the block) or dual (behind it, too). (default: ${DEFAULT-VALUE})")
  private CacheMode cache;

  @Option(
      names = "--cache-refresh",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Compute everything anew after N passes with the cache; 0: at the beginning of blocks"
              + " only. (default: ${DEFAULT-VALUE})")
  private int cacheRefresh;

  /// What flags and settings say. For a canvas, whose masks are the answer, lengths that are only
  /// settings do not count.
  DiffusionOptions options(boolean canvas) {
    DiffusionOptions.Builder options = DiffusionOptions.builder();
    if (isGiven(GEN_LENGTH_FLAG) || (!canvas && genLength != Integer.parseInt(GEN_LENGTH))) {
      options.genLength(genLength);
    }
    if (isGiven("--max-gen-length") || !canvas) {
      set(maxGenLength, options::maxGenLength);
    }
    set(blockLength, options::blockLength);
    if (steps != null) {
      readSteps(options);
    }
    set(threshold, options::threshold);
    set(factor, options::factor);
    set(revisionThreshold, options::revisionThreshold);
    return options
        .schedule(schedule)
        .remasking(remasking)
        .revisionBudget(revisionBudget)
        .temperature(temperature)
        .topK(topK)
        .topP(topP)
        .seed(seed)
        .cfgScale(cfgScale)
        .suppressEos(suppressEos)
        .deferEos(deferEos)
        .earlyStop(earlyStop)
        .cache(cache)
        .cacheRefresh(cacheRefresh)
        .build();
  }

  private boolean isGiven(String flag) {
    return command.commandLine().getParseResult().hasMatchedOption(flag);
  }

  private void readSteps(DiffusionOptions.Builder options) {
    try {
      int[] counts =
          Arrays.stream(steps.split(",", -1))
              .map(String::strip)
              .mapToInt(Integer::parseInt)
              .toArray();
      if (counts.length == 1) {
        options.steps(counts[0]);
      } else {
        options.stepsPerBlock(counts);
      }
    } catch (NumberFormatException e) {
      throw new ParameterException(
          command.commandLine(),
          "Invalid value for option '--steps': must be a whole number, or one for each block with"
              + " commas between, got "
              + steps,
          e,
          command.findOption("--steps"),
          steps);
    }
  }

  private static <T> void set(T valueOrNull, Consumer<T> option) {
    if (valueOrNull != null) {
      option.accept(valueOrNull);
    }
  }
}
