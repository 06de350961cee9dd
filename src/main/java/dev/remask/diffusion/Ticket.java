package dev.remask.diffusion;

import dev.remask.cuda.CudaException;
import dev.remask.cuda.Nvtx;
import dev.remask.support.Flight;
import dev.remask.support.Pending;
import java.util.ArrayList;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;

/// A request in the hands of an [Engine], and what becomes of it. Any thread, virtual ones
/// included.
public final class Ticket {
  /// Differences of `System.nanoTime()` must not overflow; this is longer than any wait.
  private static final long MAX_TIMEOUT_NANOS = Long.MAX_VALUE / 4;

  private final Engine engine;
  private final SlotRequest request;
  private final long timeoutMillis;
  private final long deadlineNanos;
  private final StepEvents events = new StepEvents();

  /// Its record and its range in a profiler; null and 0 where nobody looks.
  private final Pending recorded = Flight.beginRequest();

  private final long range = Nvtx.start("request");

  /// By `System.nanoTime()`; read when its record is written.
  private final long submittedNanos = System.nanoTime();

  /// Whether somebody wants events as they happen, not only at the end.
  private volatile boolean watched;

  private volatile boolean cancelled;

  /// Written before the events end, read after.
  private Denoised result;

  private long endNanos;

  // Device thread.
  private Slot slot;
  private int drained;
  private int passes;
  private volatile long admittedNanos;

  /// `timeoutMillis` 0: no deadline.
  Ticket(Engine engine, SlotRequest request, long timeoutMillis) {
    this.engine = engine;
    this.request = request;
    this.timeoutMillis = timeoutMillis;
    deadlineNanos =
        System.nanoTime()
            + Math.min(TimeUnit.MILLISECONDS.toNanos(timeoutMillis), MAX_TIMEOUT_NANOS);
  }

  /// Whether it is over, well or not.
  public boolean isDone() {
    return events.ended();
  }

  /// When its answer was complete, by `System.nanoTime()`; of one that was awaited with success.
  public long endNanos() {
    return endNanos;
  }

  /// Asks for its end; takes effect within one step. Who waits gets a `CancellationException`. Does
  /// nothing if it is over, and returns without waiting.
  public void cancel() {
    if (!cancelled && !isDone()) {
      cancelled = true;
      engine.cancelled(this);
    }
  }

  /// Waits for the answer; the generation goes on if the waiting thread is interrupted.
  ///
  /// Throws `CancellationException` if it was cancelled or the engine closed,
  /// [DeadlineExceededException], `CudaException` if the device failed, `ModelException` if the
  /// model gave no usable logits.
  public Denoised await() throws InterruptedException {
    if (!engine.help(this)) {
      events.awaitEnd();
    }
    return outcome();
  }

  /// The same, while `listener` gets every event on this thread, from the first on. An exception of
  /// the listener cancels the generation and is thrown here.
  public Denoised await(StepListener listener) throws InterruptedException {
    watch();
    engine.help(this);
    int next = 0;
    for (StepEvent event = events.take(next); event != null; event = events.take(next)) {
      next++;
      try {
        listener.onStep(event);
      } catch (RuntimeException | Error thrown) {
        cancel();
        throw thrown;
      }
    }
    return outcome();
  }

  /// Waits at most so long; true if it is over.
  public boolean await(long time, TimeUnit unit) throws InterruptedException {
    return events.awaitEnd(unit.toNanos(time));
  }

  /// Brings every event, from the first on, to `subscriber` on threads of `executor`. Only of a
  /// request that wanted its log; others bring their end.
  public void subscribe(Flow.Subscriber<? super StepEvent> subscriber, Executor executor) {
    watch();
    new StepSubscription(events, subscriber, executor).begin();
  }

  private void watch() {
    if (!watched) {
      watched = true;
      engine.watched();
    }
  }

  /// Waits for the end, whatever it is and without regard to interrupts (the flag is kept).
  public void awaitEnd() {
    if (engine.help(this)) {
      return;
    }
    boolean interrupted = false;
    while (!isDone()) {
      try {
        events.awaitEnd();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private Denoised outcome() {
    Throwable failure = events.failure();
    if (failure == null) {
      return result;
    }
    if (failure instanceof CudaException && failure.getSuppressed().length == 0) {
      failure.addSuppressed(new Waiter(Thread.currentThread().getName()));
    }
    throw switch (failure) {
      case Error error -> throw error;
      case CancellationException cancellation -> cancellation;
      case RuntimeException exception -> exception;
      default -> new IllegalStateException(failure);
    };
  }

  /// Holds the stack of the thread that waited: the failure's own is the device thread's.
  private static final class Waiter extends RuntimeException {
    private static final long serialVersionUID = 1;

    Waiter(String thread) {
      super("waited for by " + thread);
    }
  }

  SlotRequest request() {
    return request;
  }

  boolean hasDeadline() {
    return timeoutMillis > 0;
  }

  /// Of `System.nanoTime()`.
  long deadlineNanos() {
    return deadlineNanos;
  }

  boolean isWatched() {
    return watched;
  }

  StepEvents events() {
    return events;
  }

  // Any thread; the first end counts.

  void complete(Denoised answer) {
    result = answer;
    endNanos = System.nanoTime();
    end(null);
  }

  void fail(Throwable cause) {
    // Each waiter throws an exception of its own: one that many share would gather their stacks.
    end(cause instanceof CudaException device ? device.again() : cause);
  }

  private void end(Throwable failureOrNull) {
    engine.ended(this);
    events.end(failureOrNull, () -> record(failureOrNull));
  }

  /// Once, at the end.
  private void record(Throwable failureOrNull) {
    Nvtx.end(range);
    if (recorded == null) {
      return;
    }
    String outcome =
        switch (failureOrNull) {
          case null -> "answered";
          case CancellationException cancelled -> "cancelled";
          case DeadlineExceededException expired -> "expired";
          default -> "failed";
        };
    Flight.endRequest(
        recorded,
        request.canvas().length,
        request.plan().maskCount(),
        request.options().blockLength(),
        failureOrNull == null ? result.forwardPasses() : 0,
        admittedNanos == 0 ? 0 : admittedNanos - submittedNanos,
        outcome,
        failureOrNull);
  }

  // The rest: device thread.

  void admitted(Slot place, long nanos) {
    slot = place;
    admittedNanos = nanos;
  }

  /// It has no place any more.
  void left() {
    slot = null;
  }

  /// Its place, or null while it waits and after it has left.
  Slot slot() {
    return slot;
  }

  long admittedNanos() {
    return admittedNanos;
  }

  /// Takes what the log has more than last time, a pass at a time: the records of a pass are
  /// published together, and no two passes of a sequence are of one step.
  void drain(EngineLoop loop) {
    int logged = loop.logged(slot);
    while (drained < logged) {
      var pass = new ArrayList<Commit>();
      int step = loop.commit(slot, drained).step();
      while (drained < logged && loop.commit(slot, drained).step() == step) {
        Commit commit = loop.commit(slot, drained++);
        int position = commit.position() - request.answerBegin();
        pass.add(new Commit(step, position, commit.token(), commit.confidence()));
      }
      events.add(new StepEvent(++passes, pass));
    }
  }

  DeadlineExceededException deadlineExceeded() {
    return new DeadlineExceededException(timeoutMillis, slot != null);
  }
}
