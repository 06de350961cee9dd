package dev.remask.cli;

import dev.remask.RequestException;
import dev.remask.cuda.CudaException;
import dev.remask.diffusion.DeadlineExceededException;
import dev.remask.diffusion.InvalidOptionException;
import dev.remask.model.ModelException;
import dev.remask.text.MessageException;
import dev.remask.text.TextException;
import java.io.UncheckedIOException;
import java.util.concurrent.CancellationException;

/// The statuses with which `remask` ends, and which failure means which.
final class ExitStatus {
  static final int DONE = 0;
  static final int SOME_LINES_FAILED = 1;
  static final int USAGE = 2;
  static final int DEVICE_OR_MODEL = 3;

  /// 128 + SIGINT, as shells have it.
  static final int INTERRUPTED = 130;

  private ExitStatus() {}

  /// Whether the failure is the request's fault, and the next request may do better.
  static boolean isBadRequest(Throwable failure) {
    return failure instanceof RequestException
        || failure instanceof InvalidOptionException
        || failure instanceof MessageException
        || failure instanceof UsageException;
  }

  /// Whether it is one request that failed, and not the device: the others of a batch go on.
  static boolean isOfOneRequest(Throwable failure) {
    return isBadRequest(failure)
        || failure instanceof ModelException // its logits are no numbers
        || failure instanceof DeadlineExceededException;
  }

  static int of(Throwable failure) {
    if (failure instanceof CancellationException) {
      return INTERRUPTED;
    }
    return isBadRequest(failure) ? USAGE : DEVICE_OR_MODEL;
  }

  /// What to tell the user.
  static String message(Throwable failure) {
    boolean foreseen =
        isBadRequest(failure)
            || failure instanceof ModelException
            || failure instanceof CudaException
            || failure instanceof DeadlineExceededException
            || failure instanceof TextException
            || failure instanceof UncheckedIOException;
    if (foreseen) {
      return failure.getMessage();
    }
    if (failure instanceof CancellationException) {
      return "interrupted";
    }
    if (failure instanceof OutOfMemoryError) {
      return "out of memory: " + failure.getMessage();
    }
    return "internal error: " + failure + " (--verbose shows where; please report it)";
  }
}
