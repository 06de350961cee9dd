package dev.remask.cli;

import dev.remask.bench.SyntheticModel;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/// The flags that describe a model of random weights.
final class SyntheticOptions {
  /// The flags each of which asks for such a model.
  static final List<String> SHAPE =
      List.of(
          "--synthetic",
          "--layers",
          "--d-model",
          "--heads",
          "--kv-heads",
          "--ffn",
          "--vocabulary",
          "--max-length");

  private static final String BASE = "llada-8b";
  private static final int HEAD_DIM = 128;
  private static final int SMALL_HEAD_DIM = 64;

  /// The feed-forward layer of a LLaDA is so many times as wide as the residual stream.
  private static final int FFN_RATIO = 3;

  @Option(
      names = "--synthetic",
      paramLabel = "SHAPE",
      description = {
        "Measure a model of random weights in place of a folder's: llada-8b (the shape of"
            + " GSAI-ML/LLaDA-8B, 8.0 B parameters), llada-8b:N (with N layers) or tiny (that of"
            + " the built-in model). Whether it fits into memory is checked first."
      })
  private String shape;

  @Option(
      names = "--layers",
      paramLabel = "N",
      description = "Transformer blocks of the synthetic model. (default: those of SHAPE)")
  private Integer layers;

  @Option(
      names = "--d-model",
      paramLabel = "N",
      description = {
        "Width of its residual stream. (default: that of SHAPE; without --synthetic this and the"
            + " next flags change llada-8b)"
      })
  private Integer dModel;

  @Option(
      names = "--heads",
      paramLabel = "N",
      description = "Its query heads. (default: as many of 128 as fill d-model)")
  private Integer heads;

  @Option(
      names = "--kv-heads",
      paramLabel = "N",
      description = "Its key and value heads. (default: heads)")
  private Integer kvHeads;

  @Option(
      names = "--ffn",
      paramLabel = "N",
      description = "Width of its feed-forward layer. (default: 3 x d-model)")
  private Integer ffn;

  @Option(
      names = "--vocabulary",
      paramLabel = "N",
      description = "Its tokens, the rows of the LM head. (default: that of SHAPE)")
  private Integer vocabulary;

  @Option(
      names = "--max-length",
      paramLabel = "N",
      description = "Its longest sequence. (default: that of SHAPE)")
  private Integer maxLength;

  @Option(
      names = "--weights-seed",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Seed of its weights; the same shape and seed are the same bytes."
              + " (default: ${DEFAULT-VALUE})")
  private long seed;

  /// The model that is described; empty if none is. Throws RequestException for what cannot be.
  Optional<SyntheticModel> model() {
    boolean described =
        Stream.of(layers, dModel, heads, kvHeads, ffn, vocabulary, maxLength)
            .anyMatch(size -> size != null);
    if (shape == null && !described) {
      return Optional.empty();
    }
    SyntheticModel base = SyntheticModel.parse(shape == null ? BASE : shape);
    int width = or(dModel, base.dModel());
    int queryHeads = or(heads, dModel == null ? base.heads() : headsOf(width));
    boolean sameHeads = queryHeads == base.heads();
    return Optional.of(
        new SyntheticModel(
            width,
            or(layers, base.layers()),
            queryHeads,
            or(kvHeads, sameHeads ? base.kvHeads() : queryHeads),
            or(
                ffn,
                dModel == null ? base.ffn() : (int) Math.min(1 << 24, (long) FFN_RATIO * width)),
            or(vocabulary, base.vocabulary()),
            or(maxLength, base.maxLength()),
            seed));
  }

  private static int headsOf(int width) {
    return Math.max(1, width / (width % HEAD_DIM == 0 ? HEAD_DIM : SMALL_HEAD_DIM));
  }

  private static int or(Integer given, int otherwise) {
    return given == null ? otherwise : given;
  }
}
