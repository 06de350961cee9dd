package dev.remask.kernel;

/// How a sequence stands: the Java side of `SequenceStatus` in `kernels/include/diffusion_state.h`.
/// Kernels leave a sequence alone that is not running.
public enum SequenceStatus {
  /// Takes part in steps.
  RUNNING(0),

  /// Its plan has ended: no mask is left.
  FILLED(1),

  /// Early stop: a block holds an end token with no mask before it. Masks may be left behind it.
  STOPPED(2),

  /// With a cache: the pass that is due, whole or not, is of the other kind than the last one.
  WANTS_PASS(3),

  /// Automatic length: the last active block began without a sure end token; nothing was committed.
  /// Runs on with more masks, or without [DiffusionState#AUTO_LENGTH].
  WANTS_LENGTH(4),

  /// The block has masks, and none of its rows can be chosen.
  STUCK(5);

  private static final SequenceStatus[] BY_CODE = values();

  final int code;

  SequenceStatus(int code) {
    this.code = code;
  }

  static SequenceStatus of(int code) {
    if (code < 0 || code >= BY_CODE.length) {
      throw new IllegalStateException("the device reports a sequence's status as " + code);
    }
    return BY_CODE[code];
  }
}
