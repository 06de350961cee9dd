package dev.remask.cuda;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/// One platform daemon thread that runs what others hand it, in order.
///
/// A context's driver calls stay on it, because the current context is a property of the thread and
/// a blocking driver call on a virtual thread would hold its carrier.
final class DeviceThread implements DeviceWorker {
  /// A piece of work that somebody may wait for.
  static final class Task<T> {
    final Callable<T> work;
    final Consumer<? super Throwable> otherwise;
    final CountDownLatch done = new CountDownLatch(1);
    T result;
    Throwable failure;

    Task(Callable<T> work) {
      this(work, because -> {});
    }

    /// `otherwise` hears why the work was not run, if it was not.
    Task(Callable<T> work, Consumer<? super Throwable> otherwise) {
      this.work = work;
      this.otherwise = otherwise;
    }

    void execute() {
      try {
        result = work.call();
      } catch (Throwable thrown) {
        failure = thrown;
      } finally {
        done.countDown();
      }
    }

    /// Ends it without running it.
    void fail(Throwable because) {
      failure = because;
      done.countDown();
      otherwise.accept(because);
    }

    /// What the work returned, or throws what it threw on the thread of that name.
    T await(String thread) {
      DeviceThread.await(done);
      if (failure != null) {
        failure.addSuppressed(new CallerStack(thread, Thread.currentThread().getName()));
        throw unchecked(failure);
      }
      return result;
    }
  }

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<Task<?>> queue = new ArrayDeque<>();
  private final Thread thread;
  private boolean ending;

  DeviceThread(String name) {
    thread = Thread.ofPlatform().name(name).daemon(true).start(this::loop);
  }

  @Override
  public String name() {
    return thread.getName();
  }

  @Override
  public boolean isOwn() {
    return isCurrent();
  }

  @Override
  public boolean isCurrent() {
    return Thread.currentThread() == thread;
  }

  @Override
  public <T> T call(Callable<T> work) {
    if (isCurrent()) {
      return direct(work);
    }
    var task = new Task<T>(work);
    enqueue(task);
    return task.await(thread.getName());
  }

  /// Runs `work` on the calling thread; a checked exception arrives as [DeviceWorker#call] says.
  static <T> T direct(Callable<T> work) {
    try {
      return work.call();
    } catch (Throwable thrown) {
      throw unchecked(thrown);
    }
  }

  @Override
  public void enqueue(Runnable work, Consumer<? super Throwable> otherwise) {
    enqueue(new Task<>(Executors.callable(work), otherwise));
  }

  /// Ends the thread after what has been handed to it; waits for that unless called on it.
  @Override
  public void end() {
    lock.lock();
    try {
      ending = true;
      changed.signal();
    } finally {
      lock.unlock();
    }
    if (isCurrent()) {
      return;
    }
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    restore(interrupted);
  }

  private void enqueue(Task<?> task) {
    lock.lock();
    try {
      if (ending) {
        throw new EndedException(thread.getName());
      }
      queue.addLast(task);
      changed.signal();
    } finally {
      lock.unlock();
    }
  }

  private void loop() {
    for (Task<?> task = next(); task != null; task = next()) {
      task.execute();
    }
  }

  private Task<?> next() {
    lock.lock();
    try {
      while (queue.isEmpty() && !ending) {
        changed.awaitUninterruptibly();
      }
      return queue.pollFirst();
    } finally {
      lock.unlock();
    }
  }

  private static void await(CountDownLatch done) {
    boolean interrupted = false;
    while (true) {
      try {
        done.await();
        restore(interrupted);
        return;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
  }

  private static void restore(boolean interrupted) {
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private static RuntimeException unchecked(Throwable thrown) {
    return switch (thrown) {
      case RuntimeException exception -> exception;
      case Error error -> throw error;
      case IOException exception -> new UncheckedIOException(exception);
      default -> new CompletionException(thrown);
    };
  }

  /// The thread takes no more work.
  static final class EndedException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    EndedException(String thread) {
      super("the context of " + thread + " is closed");
    }
  }

  /// Holds the stack of the thread that waited.
  private static final class CallerStack extends RuntimeException {
    private static final long serialVersionUID = 1L;

    CallerStack(String device, String caller) {
      super("called on " + device + " from " + caller);
    }
  }
}
