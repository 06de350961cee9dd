package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import java.util.Objects;

/// A valid request as the device loop takes it; [#of] makes it of a task. The arrays are not copied
/// and must not change.
///
/// @param canvas token ids of every canvas position, the model's mask id where a token is wanted;
///   with automatic length as long as it may become
/// @param answerBegin canvas position where the constraints' positions begin: the prompt's length,
///   or 0 where a canvas was given
/// @param initialMasks masks that are active from the start: all of them, but with automatic length
///   those of gen_length; the positions behind the last active mask do not take part yet
/// @param unconditionalOrNull the copy that guidance compares with (prompt masked, or the negative
///   prompt in its place), masks where the canvas has them; null: no guidance
/// @param shift added to a canvas position at or behind the first mask it gives the copy's position
/// @param options how the masks are filled
/// @param plan `DenoisingPlan.of` all masks of the canvas
/// @param constraints what may stand where
/// @param log whether every commit is published, see [CommitLog]
record SlotRequest(
    int[] canvas,
    int answerBegin,
    int initialMasks,
    int[] unconditionalOrNull,
    int shift,
    DiffusionOptions options,
    DenoisingPlan plan,
    Constraints constraints,
    boolean log) {

  SlotRequest {
    Objects.requireNonNull(canvas, "canvas");
    Objects.requireNonNull(options, "options");
    Objects.requireNonNull(plan, "plan");
    Objects.requireNonNull(constraints, "constraints");
  }

  /// What a valid task asks of the loop.
  static SlotRequest of(DenoisingTask task, SpecialTokens tokens, boolean log) {
    DiffusionOptions options = task.resolvedOptions();
    return new SlotRequest(
        task.canvas(tokens.mask()),
        task.answerBegin(),
        task.isCanvas() ? task.masks() : options.genLength(),
        task.unconditional(tokens.mask()),
        task.unconditionalShift(),
        options,
        task.plan(),
        task.constraints(),
        log);
  }

  /// Tokens of a pass that computes every position, copy included, at full length.
  int tokens() {
    return canvas.length + (unconditionalOrNull == null ? 0 : unconditionalOrNull.length);
  }

  /// Sequences it takes in a pass: 2 with guidance.
  int sequences() {
    return unconditionalOrNull == null ? 1 : 2;
  }

  /// Rows of logits it takes in a step, the copy's included.
  int rows() {
    return sequences() * options.blockLength();
  }

  /// Tokens of key/value cache it takes; 0 without a cache.
  int cacheTokens() {
    return options.cache() == CacheMode.NONE ? 0 : tokens();
  }
}
