package dev.remask.diffusion;

import java.util.concurrent.Executor;
import java.util.concurrent.Flow;

/// Brings the events of a generation to one subscriber, on the executor that came with it.
///
/// Signals are serial and follow the rules of [Flow]; onError brings the cause of a failed or
/// cancelled generation. One task of the executor is under way at a time.
final class StepSubscription implements Flow.Subscription {
  private final StepEvents events;
  private final Flow.Subscriber<? super StepEvent> subscriber;
  private final Executor executor;

  // Guarded by this.
  private long demand;

  /// Whether a task of the executor is under way; so from the start, since onSubscribe comes first.
  private boolean working = true;

  private boolean over;
  private Throwable misuse;

  /// The next event's index; only the working task moves it.
  private int next;

  StepSubscription(
      StepEvents events, Flow.Subscriber<? super StepEvent> subscriber, Executor executor) {
    this.events = events;
    this.subscriber = subscriber;
    this.executor = executor;
  }

  /// Tells the subscriber about the subscription, then what is there already.
  void begin() {
    events.subscribe(this);
    hand(() -> {
      try {
        subscriber.onSubscribe(this);
      } catch (RuntimeException | Error e) {
        cancel();
        throw e;
      }
      deliver();
    });
  }

  /// There may be something to deliver. Any thread; returns at once.
  void signal() {
    synchronized (this) {
      if (working || over) {
        return;
      }
      working = true;
    }
    hand(this::deliver);
  }

  @Override
  public void request(long count) {
    synchronized (this) {
      if (count <= 0) {
        misuse = new IllegalArgumentException("request must be positive, got " + count);
      } else {
        demand = demand + count < 0 ? Long.MAX_VALUE : demand + count;
      }
    }
    signal();
  }

  @Override
  public void cancel() {
    synchronized (this) {
      over = true;
    }
    events.unsubscribe(this);
  }

  private void hand(Runnable work) {
    try {
      executor.execute(work);
    } catch (RuntimeException | Error e) {
      // An executor that was shut down, or one that runs things in place and a subscriber that
      // throws: whoever signals, the device thread perhaps, must not suffer from it.
      cancel();
    }
  }

  private void deliver() {
    while (true) {
      StepEvent event = null;
      Runnable last = null;
      synchronized (this) {
        if (over) {
          return;
        }
        if (misuse != null) {
          Throwable cause = misuse;
          last = () -> subscriber.onError(cause);
        } else if (events.exhausted(next)) {
          Throwable failure = events.failure();
          last = failure == null ? subscriber::onComplete : () -> subscriber.onError(failure);
        } else {
          event = demand > 0 ? events.get(next) : null;
          if (event == null) {
            working = false;
            return; // a later request or event signals again
          }
          demand -= demand == Long.MAX_VALUE ? 0 : 1;
        }
        over |= last != null;
      }
      if (last != null) {
        events.unsubscribe(this);
        last.run();
        return;
      }
      next++;
      try {
        subscriber.onNext(event);
      } catch (RuntimeException | Error e) {
        cancel();
        throw e;
      }
    }
  }
}
