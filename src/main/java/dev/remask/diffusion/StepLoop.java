package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.Event;
import dev.remask.cuda.Stream;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;

/// The launch loop. It allocates nothing on either side (a listener's copies apart) and keeps a few
/// steps in flight, so that neither the device waits for the host nor a wish to stop for a long
/// queue.
///
/// Device thread only.
final class StepLoop implements AutoCloseable {
  private final Stream stream;
  private final Event[] inFlight = new Event[DenoiserMemory.STEPS_IN_FLIGHT];

  StepLoop(Context context, Stream stream) {
    this.stream = stream;
    try {
      for (int i = 0; i < inFlight.length; i++) {
        inFlight[i] = context.newEvent();
      }
    } catch (Throwable failure) {
      try {
        close();
      } catch (RuntimeException e) {
        failure.addSuppressed(e);
      }
      throw failure;
    }
  }

  /// Launches `step` `passes` times and returns when all are done, or throws CancellationException
  /// once `watch` is cancelled, steps still in flight. `watchedOrNull` is what a listener is shown.
  void run(Consumer<Stream> step, int passes, Watch<?> watch, WatchedAnswer watchedOrNull) {
    for (int pass = 0; pass < passes + inFlight.length; pass++) {
      int slot = pass % inFlight.length;
      int done = pass - inFlight.length;
      if (done >= 0 && done < passes) {
        inFlight[slot].synchronize();
        if (watchedOrNull != null) {
          watch.publish(done + 1, passes, watchedOrNull.read(slot));
        }
      }
      if (watch.cancelled()) {
        throw new CancellationException("the generation was cancelled after " + pass + " steps");
      }
      if (pass < passes) {
        step.accept(stream);
        if (watchedOrNull != null) {
          watchedOrNull.copy(stream, slot);
        }
        stream.record(inFlight[slot]);
      }
    }
  }

  @Override
  public void close() {
    for (Event event : inFlight) {
      if (event != null) {
        event.close();
      }
    }
  }
}
