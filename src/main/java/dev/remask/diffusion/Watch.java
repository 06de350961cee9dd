package dev.remask.diffusion;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Supplier;

/// Carries steps and the outcome from the device thread to the thread that waits for them, and a
/// wish to stop the other way. The queue has no bound, so that a slow listener neither delays the
/// device nor loses a step; it never holds more than one answer per step of the generation.
///
/// @param <T> what the generation returns
final class Watch<T> {
  private record Step(int pass, int passes, int[] answerIds) {}

  private static final Step DONE = new Step(0, 0, new int[0]);

  private final StepListener listener;
  private final BlockingQueue<Step> steps = new LinkedBlockingQueue<>();
  private volatile boolean cancelled;

  // Written before DONE enters the queue, read after it left.
  private T outcome;
  private Throwable failure;

  /// `listener` may be null: then only the outcome and the wish to stop are carried.
  Watch(StepListener listener) {
    this.listener = listener;
  }

  boolean listens() {
    return listener != null;
  }

  /// Device thread: whether to stop before the next launch.
  boolean cancelled() {
    return cancelled;
  }

  /// Device thread: one step is done.
  void publish(int pass, int passes, int[] answerIds) {
    steps.add(new Step(pass, passes, answerIds));
  }

  /// Device thread: runs the generation and hands over its outcome.
  void finish(Supplier<T> generation) {
    try {
      outcome = generation.get();
    } catch (Throwable thrown) {
      failure = thrown;
    } finally {
      steps.add(DONE);
    }
  }

  /// Waiting thread: hands steps to the listener until the outcome is there, and returns that or
  /// throws what the generation threw.
  ///
  /// An interrupt or an exception of the listener cancels the generation; this still waits until
  /// the device is done with it, a few steps at most.
  T await() {
    boolean interrupted = false;
    Throwable thrownByListener = null;
    while (true) {
      try {
        Step step = steps.take();
        if (step == DONE) {
          break;
        }
        if (!cancelled) {
          listener.onStep(step.pass(), step.passes(), step.answerIds());
        }
      } catch (InterruptedException e) {
        interrupted = true;
        cancelled = true;
      } catch (RuntimeException | Error e) {
        thrownByListener = e;
        cancelled = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
      throw new CancellationException("the generation was cancelled: its thread was interrupted");
    }
    if (thrownByListener != null) {
      throw unchecked(thrownByListener);
    }
    if (failure != null) {
      failure.addSuppressed(new Caller(Thread.currentThread().getName()));
      throw unchecked(failure);
    }
    return outcome;
  }

  private static RuntimeException unchecked(Throwable thrown) {
    if (thrown instanceof Error error) {
      throw error;
    }
    return (RuntimeException) thrown;
  }

  /// Holds the stack of the thread that waited: the failure's own is the device thread's.
  private static final class Caller extends RuntimeException {
    private static final long serialVersionUID = 1;

    Caller(String thread) {
      super("asked for by " + thread);
    }
  }
}
