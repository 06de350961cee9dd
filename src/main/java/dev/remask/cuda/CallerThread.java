package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/// The caller's thread as a device thread: everything runs where the caller's executor runs it,
/// with the context current during the work only.
final class CallerThread implements DeviceWorker {
  /// How long an executor may take to run the first piece of work: one whose thread is the one that
  /// attaches never does.
  static final long PATIENCE_SECONDS = 60;

  private final Executor executor;
  private final long context;
  private final Thread thread;

  /// Where cuCtxPopCurrent writes.
  private final MemorySegment popped = Arena.ofAuto().allocate(JAVA_LONG);

  /// Work that came while other work ran, of an executor that runs what it gets at once. Thread
  /// only, like `depth`.
  private final ArrayDeque<DeviceThread.Task<?>> deferred = new ArrayDeque<>();

  private int depth;
  private volatile boolean ended;

  /// Finds out which thread the executor has.
  ///
  /// Throws IllegalArgumentException if that is a virtual thread: the current context belongs to a
  /// thread of the system. Throws IllegalStateException if the executor runs nothing for so long.
  CallerThread(Executor executor, long context, long patienceSeconds) {
    this.executor = executor;
    this.context = context;
    var found = new CompletableFuture<Thread>();
    executor.execute(() -> found.complete(Thread.currentThread()));
    thread = found.completeOnTimeout(null, patienceSeconds, TimeUnit.SECONDS).join();
    if (thread == null) {
      throw new IllegalStateException(
          "the executor of an attachment has run nothing for "
              + patienceSeconds
              + " s; who attaches waits for it, and so must not do that on its own thread, "
              + Thread.currentThread().getName());
    }
    if (thread.isVirtual()) {
      throw new IllegalArgumentException(
          "the executor of an attachment runs on a virtual thread, "
              + thread
              + "; CUDA's current context belongs to a platform thread");
    }
  }

  @Override
  public String name() {
    return thread.getName();
  }

  @Override
  public boolean isOwn() {
    return Thread.currentThread() == thread;
  }

  @Override
  public boolean isCurrent() {
    return isOwn() && depth > 0;
  }

  @Override
  public <T> T call(Callable<T> work) {
    if (isCurrent()) {
      return DeviceThread.direct(work);
    }
    var task = new DeviceThread.Task<T>(work);
    if (isOwn()) {
      checkOpen();
      run(task);
    } else {
      submit(task);
    }
    return task.await(thread.getName());
  }

  @Override
  public void enqueue(Runnable work, Consumer<? super Throwable> otherwise) {
    submit(new DeviceThread.Task<>(Executors.callable(work), otherwise));
  }

  @Override
  public void end() {
    ended = true;
  }

  private void checkOpen() {
    if (ended) {
      throw new DeviceThread.EndedException(thread.getName());
    }
  }

  private void submit(DeviceThread.Task<?> task) {
    checkOpen();
    executor.execute(() -> run(task));
  }

  private void run(DeviceThread.Task<?> task) {
    if (!isOwn()) {
      task.fail(
          new WrongThreadException(
              "the executor of the attached context ran work on thread "
                  + Thread.currentThread().getName()
                  + "; its thread is "
                  + thread.getName()));
      return;
    }
    if (depth > 0) {
      deferred.addLast(task);
      return;
    }
    try {
      Status.check(ContextApi.cuCtxPushCurrent_v2(context), "cuCtxPushCurrent_v2");
    } catch (Throwable e) {
      task.fail(e);
      return;
    }
    depth++;
    try {
      for (DeviceThread.Task<?> next = task; next != null; next = deferred.pollFirst()) {
        next.execute();
      }
    } finally {
      depth--;
      // It fails where the context was destroyed meanwhile, and then there is nothing to restore.
      ContextApi.cuCtxPopCurrent_v2(popped.address());
    }
  }
}
