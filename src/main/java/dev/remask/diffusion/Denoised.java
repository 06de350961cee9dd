package dev.remask.diffusion;

import java.util.List;

/// One finished answer.
///
/// @param canvas every position, the model's mask id where an early stop left one open; with
///   automatic length as long as the answer became; not copied
/// @param outputIds the ids at the masks, ascending; with early_stop they end with the first EOS,
///   if there is one; not copied
/// @param forwardPasses passes of the mask predictor made for it; a step with guidance counts two
/// @param trace what was committed when, by step and then position; empty if not asked for
/// @param steps denoising steps that were run for it
/// @param loopNanos time from the first launch of its batch to the last result, in nanoseconds
public record Denoised(
    int[] canvas,
    int[] outputIds,
    int forwardPasses,
    List<Commit> trace,
    int steps,
    long loopNanos) {}
