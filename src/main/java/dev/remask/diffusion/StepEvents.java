package dev.remask.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Flow;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// The events of one generation and its end, kept for all who want them: each reader has its own
/// place in the list, so that a slow one loses nothing and delays nobody, and a late one begins at
/// the first event.
///
/// Bounded by the generation itself: it holds no more than the commits, revisions included.
final class StepEvents {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final List<StepEvent> events = new ArrayList<>();
  private final List<StepSubscription> subscriptions = new ArrayList<>();
  private boolean ended;
  private Throwable failure;

  /// Device thread: one pass more, unless it is over.
  void add(StepEvent event) {
    List<StepSubscription> interested;
    lock.lock();
    try {
      if (ended) {
        return;
      }
      events.add(event);
      changed.signalAll();
      interested = List.copyOf(subscriptions);
    } finally {
      lock.unlock();
    }
    interested.forEach(StepSubscription::signal);
  }

  /// No event follows. `failureOrNull` is what the generation failed with. Only the first end
  /// counts: for it `before` is run, before anybody hears of the end.
  void end(Throwable failureOrNull, Runnable before) {
    List<StepSubscription> interested;
    lock.lock();
    try {
      if (ended) {
        return;
      }
      ended = true;
      failure = failureOrNull;
      try {
        before.run();
      } finally {
        changed.signalAll(); // who waits must not wait for ever
      }
      interested = List.copyOf(subscriptions);
      subscriptions.clear();
    } finally {
      lock.unlock();
    }
    interested.forEach(StepSubscription::signal);
  }

  boolean ended() {
    lock.lock();
    try {
      return ended;
    } finally {
      lock.unlock();
    }
  }

  /// After the end: what it failed with, or null.
  Throwable failure() {
    lock.lock();
    try {
      return failure;
    } finally {
      lock.unlock();
    }
  }

  /// The event at `index`, or null if it is not there (yet).
  StepEvent get(int index) {
    lock.lock();
    try {
      return index < events.size() ? events.get(index) : null;
    } finally {
      lock.unlock();
    }
  }

  /// Whether no event comes at or after `index`.
  boolean exhausted(int index) {
    lock.lock();
    try {
      return ended && index >= events.size();
    } finally {
      lock.unlock();
    }
  }

  int size() {
    lock.lock();
    try {
      return events.size();
    } finally {
      lock.unlock();
    }
  }

  /// Waits for the event at `index` and returns it, or null once none comes any more.
  StepEvent take(int index) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (index >= events.size() && !ended) {
        changed.await();
      }
      return index < events.size() ? events.get(index) : null;
    } finally {
      lock.unlock();
    }
  }

  /// Waits for the end; false if it did not come within `nanos`.
  boolean awaitEnd(long nanos) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long left = nanos;
      while (!ended && left > 0) {
        left = changed.awaitNanos(left);
      }
      return ended;
    } finally {
      lock.unlock();
    }
  }

  void awaitEnd() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!ended) {
        changed.await();
      }
    } finally {
      lock.unlock();
    }
  }

  void subscribe(StepSubscription subscription) {
    lock.lock();
    try {
      if (!ended) {
        subscriptions.add(subscription);
      }
    } finally {
      lock.unlock();
    }
  }

  void unsubscribe(Flow.Subscription subscription) {
    lock.lock();
    try {
      subscriptions.remove(subscription);
    } finally {
      lock.unlock();
    }
  }
}
