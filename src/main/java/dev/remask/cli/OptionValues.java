package dev.remask.cli;

import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.Remasking;

/// Diffusion options as far as somebody set them; null is not set.
///
/// Kept apart from [DiffusionOptions] so that a line of a batch can change one of them and those
/// derived from it (block_length and steps follow gen_length) are derived afterwards.
record OptionValues(
    Integer genLength,
    Integer blockLength,
    Integer steps,
    Double temperature,
    Double cfgScale,
    Remasking remasking,
    Boolean suppressEos,
    Boolean deferEos,
    Long seed) {

  /// These, and those of `base` where nothing is set here.
  OptionValues over(OptionValues base) {
    return new OptionValues(
        first(genLength, base.genLength),
        first(blockLength, base.blockLength),
        first(steps, base.steps),
        first(temperature, base.temperature),
        first(cfgScale, base.cfgScale),
        first(remasking, base.remasking),
        first(suppressEos, base.suppressEos),
        first(deferEos, base.deferEos),
        first(seed, base.seed));
  }

  private static <T> T first(T value, T otherwise) {
    return value != null ? value : otherwise;
  }

  /// The options, with defaults for what nobody set.
  DiffusionOptions toOptions() {
    DiffusionOptions.Builder builder = DiffusionOptions.builder();
    if (genLength != null) {
      builder.genLength(genLength);
    }
    if (blockLength != null) {
      builder.blockLength(blockLength);
    }
    if (steps != null) {
      builder.steps(steps);
    }
    if (temperature != null) {
      builder.temperature(temperature);
    }
    if (cfgScale != null) {
      builder.cfgScale(cfgScale);
    }
    if (remasking != null) {
      builder.remasking(remasking);
    }
    if (suppressEos != null) {
      builder.suppressEos(suppressEos);
    }
    if (deferEos != null) {
      builder.deferEos(deferEos);
    }
    if (seed != null) {
      builder.seed(seed);
    }
    return builder.build();
  }
}
