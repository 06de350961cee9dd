package dev.remask.cli;

import dev.remask.diffusion.Remasking;
import picocli.CommandLine.Option;

/// The flags that say how an answer is denoised.
final class DenoisingOptions {
  /// Enough for a short answer. In one block of 128 the built-in model ends sums too early ("47 +
  /// 38"), in f32 as in bf16; long answers want blocks.
  private static final String GEN_LENGTH = "64";

  @Option(
      names = "--gen-length",
      paramLabel = "N",
      defaultValue = GEN_LENGTH,
      description =
          "Answer positions to fill; a shorter answer ends with end-of-text tokens."
              + " (default: ${DEFAULT-VALUE})")
  private int genLength;

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
              + " number of blocks. Fewer are faster and less exact. (default: gen-length, one"
              + " token a step)")
  private Integer steps;

  @Option(
      names = "--cfg-scale",
      paramLabel = "W",
      defaultValue = "0",
      description =
          "Classifier-free guidance: how strongly the prompt pulls; 0 is off, anything more doubles"
              + " the work. (default: ${DEFAULT-VALUE})")
  private double cfgScale;

  @Option(
      names = "--remasking",
      paramLabel = "RULE",
      defaultValue = "low_confidence",
      description =
          "Which positions stay masked in a step: low_confidence (the least certain ones) or"
              + " random. (default: ${DEFAULT-VALUE})")
  private Remasking remasking;

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
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of random remasking. (default: ${DEFAULT-VALUE})")
  private long seed;

  /// What the flags and settings say.
  OptionValues values() {
    return new OptionValues(
        genLength, blockLength, steps, null, cfgScale, remasking, suppressEos, deferEos, seed);
  }
}
