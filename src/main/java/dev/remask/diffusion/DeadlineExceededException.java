package dev.remask.diffusion;

/// The time that a request was given had passed before its answer was complete. Nothing is wrong
/// with the request or the device.
public final class DeadlineExceededException extends RuntimeException {
  private static final long serialVersionUID = 1;

  DeadlineExceededException(long timeoutMillis, boolean started) {
    super(
        "timeout_ms "
            + timeoutMillis
            + " has passed "
            + (started
                ? "before the answer was complete"
                : "while the request waited for a place"));
  }
}
