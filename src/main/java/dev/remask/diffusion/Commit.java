package dev.remask.diffusion;

/// One position taking its token.
///
/// @param step the schedule's index over the whole answer; a step that commits nothing (its quota
///   is 0) is skipped but keeps its number
/// @param position counted from the start of the answer
/// @param token the id taken
/// @param confidence the token's probability when it was taken; under random remasking the noise
///   that ordered it, and 0 for an EOS or EoT that was deferred
public record Commit(int step, int position, int token, float confidence) {}
