package dev.remask.cuda;

import java.util.concurrent.Callable;
import java.util.function.Consumer;

/// The one thread on which a context's driver calls are made.
interface DeviceWorker {
  /// The thread's name.
  String name();

  /// Whether the calling thread is the one.
  boolean isOwn();

  /// Whether the calling thread is the one, and may make driver calls now.
  boolean isCurrent();

  /// Runs `work` on the thread and returns what it returns: at once on the thread itself, else in
  /// turn, waiting without regard to interrupts (the flag is kept).
  ///
  /// What `work` throws is thrown here, with a suppressed exception that holds the caller's stack;
  /// a checked exception arrives in an `UncheckedIOException` or a `CompletionException`.
  ///
  /// @throws IllegalStateException if the worker has been told to end
  <T> T call(Callable<T> work);

  /// Hands `work` over and returns before it runs in turn, on the thread itself, too. What it
  /// throws is lost. If it cannot be run, `otherwise` is told why in its place, on any thread.
  ///
  /// @throws IllegalStateException if the worker has been told to end
  void enqueue(Runnable work, Consumer<? super Throwable> otherwise);

  /// Takes no more work; what has been handed over runs.
  void end();
}
