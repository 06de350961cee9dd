package dev.remask.diffusion;

import java.util.List;

/// One finished answer.
///
/// @param outputIds the answer's ids, gen_length of them; not copied
/// @param forwardPasses passes of the mask predictor made for it; a step with guidance counts two
/// @param trace what was committed when, by step and then position; empty if not asked for
/// @param steps denoising steps that were run for it
/// @param loopNanos time from the first launch of its batch to the last result, in nanoseconds
public record Denoised(
    int[] outputIds, int forwardPasses, List<Commit> trace, int steps, long loopNanos) {}
