package dev.remask.diffusion;

/// One position taking its token, or, under revision, losing it again.
///
/// @param step the schedule's index over the whole answer; a step that commits nothing (its quota
///   is 0) is skipped but keeps its number
/// @param position counted from the start of the answer
/// @param token the id taken; [#MASKED_AGAIN] where revision took the token back
/// @param confidence the token's probability when it was taken; under random remasking the noise
///   that ordered it, and 0 for an EOS or EoT that was deferred
public record Commit(int step, int position, int token, float confidence) {
  /// The token of a position that revision has masked again.
  public static final int MASKED_AGAIN = -1;

  /// Whether the position was masked again; confidence is then what was left of the token's.
  public boolean isRevision() {
    return token == MASKED_AGAIN;
  }
}
