package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import dev.remask.model.ModelConfig;
import java.util.Arrays;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.IntStream;

/// What is to be denoised, in token ids: a prompt with an answer of gen_length masks behind it, or
/// a canvas with masks anywhere. Immutable.
///
/// [#validate] is the one place that checks a request against every rule.
public final class DenoisingTask {
  /// A masked position of a canvas, whatever the model's mask id is.
  public static final int MASK = -1;

  private final int[] promptIds; // a prompt, or a whole canvas
  private final boolean canvas;
  private final int[] negativePromptIds;
  private final DiffusionOptions options;
  private final Constraints constraints;

  private DenoisingTask(
      int[] promptIds,
      boolean canvas,
      int[] negativePromptIds,
      DiffusionOptions options,
      Constraints constraints) {
    this.promptIds = promptIds;
    this.canvas = canvas;
    this.negativePromptIds = negativePromptIds;
    this.options = Objects.requireNonNull(options, "options");
    this.constraints = Objects.requireNonNull(constraints, "constraints");
  }

  /// The answer to a prompt, possibly empty.
  public static DenoisingTask ofPrompt(int[] promptIds, DiffusionOptions options) {
    return new DenoisingTask(promptIds.clone(), false, null, options, Constraints.none());
  }

  /// The masks of a canvas, [#MASK] each; their number takes the place of gen_length.
  public static DenoisingTask ofCanvas(int[] canvasIds, DiffusionOptions options) {
    return new DenoisingTask(canvasIds.clone(), true, null, options, Constraints.none());
  }

  /// With a prompt that guidance leads away from; null: the prompt masked.
  public DenoisingTask withNegativePrompt(int[] idsOrNull) {
    int[] ids = idsOrNull == null ? null : idsOrNull.clone();
    return new DenoisingTask(promptIds, canvas, ids, options, constraints);
  }

  /// With rules about what may stand where.
  public DenoisingTask withConstraints(Constraints rules) {
    return new DenoisingTask(promptIds, canvas, negativePromptIds, options, rules);
  }

  /// Whether it is a canvas.
  public boolean isCanvas() {
    return canvas;
  }

  /// The prompt's ids, or the canvas's with [#MASK]; a copy.
  public int[] ids() {
    return promptIds.clone();
  }

  /// Without a copy.
  int[] sharedIds() {
    return promptIds;
  }

  /// The ids that guidance leads away from, a copy, if given.
  public Optional<int[]> negativePromptIds() {
    return Optional.ofNullable(negativePromptIds).map(int[]::clone);
  }

  /// The options as they were given; see [#resolvedOptions].
  public DiffusionOptions options() {
    return options;
  }

  /// The options, with gen_length (and what follows from it) set to the number of masks of a
  /// canvas.
  public DiffusionOptions resolvedOptions() {
    return canvas ? options.forMasks(masks()) : options;
  }

  /// What may stand where.
  public Constraints constraints() {
    return constraints;
  }

  /// Masks to fill; with automatic length as many as there may be.
  public int masks() {
    return canvas
        ? (int) Arrays.stream(promptIds).filter(id -> id == MASK).count()
        : options.maxGenLength();
  }

  /// Where positions of trace and constraints begin: behind a prompt, at 0 in a canvas.
  public int answerBegin() {
    return canvas ? 0 : promptIds.length;
  }

  /// Canvas positions of the masks, ascending.
  public int[] maskPositions() {
    return canvas
        ? IntStream.range(0, promptIds.length).filter(i -> promptIds[i] == MASK).toArray()
        : IntStream.range(promptIds.length, promptIds.length + masks()).toArray();
  }

  /// The plan that fills the masks; of a valid task.
  public DenoisingPlan plan() {
    return DenoisingPlan.of(masks(), resolvedOptions());
  }

  /// Checks every rule that options, prompt or canvas, and constraints must obey for a model; the
  /// one place where that is done. Throws [InvalidOptionException] with field, rule and value.
  ///
  /// `tokens` are the model's special ids as the sampler will use them (-1: the model has none).
  public void validate(ModelConfig config, SpecialTokens tokens) {
    new TaskRules(this, config, tokens).check();
  }

  /// Every canvas position with the model's mask id where a token is wanted; with automatic length
  /// as long as the answer may become.
  int[] canvas(int mask) {
    if (canvas) {
      return Arrays.stream(promptIds).map(id -> id == MASK ? mask : id).toArray();
    }
    int[] ids = Arrays.copyOf(promptIds, promptIds.length + masks());
    Arrays.fill(ids, promptIds.length, ids.length, mask);
    return ids;
  }

  /// What guidance compares with: the negative prompt in the prompt's place, or masks only (the
  /// reference masks every token that was given); null without guidance.
  int[] unconditional(int mask) {
    if (!options.guided()) {
      return null;
    }
    int[] prompt = negativePromptIds == null ? new int[0] : negativePromptIds;
    int length =
        negativePromptIds == null ? canvas(mask).length : negativePromptIds.length + masks();
    int[] ids = Arrays.copyOf(prompt, length);
    Arrays.fill(ids, prompt.length, length, mask);
    return ids;
  }

  /// Added to a canvas position of the answer it gives the unconditional copy's.
  int unconditionalShift() {
    return negativePromptIds == null ? 0 : negativePromptIds.length - promptIds.length;
  }
}
