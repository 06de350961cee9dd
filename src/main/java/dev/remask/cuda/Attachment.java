package dev.remask.cuda;

import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Executor;

/// What of the caller's a [Context] is attached to instead of making its own: a CUDA context, and,
/// if the caller wants that, a stream and a thread. All of it stays the caller's and outlives the
/// attached context, which destroys none of it.
///
/// A stream is where the work is enqueued, after what the caller has enqueued there; it must belong
/// to the context and be one that can be captured, so not the default stream. Without one the work
/// has a stream of its own, and the caller orders it with events or by waiting.
///
/// An executor says where driver calls are made: it has to run everything on one and the same
/// platform thread, in order. Attaching waits for that thread, so it is done on another one. Around
/// each piece of work the context is pushed onto that thread's stack of contexts and popped again.
/// Without an executor there is a device thread as in [Context#open].
///
/// `Runnable::run` confines all use to the thread that attaches, and other threads get a
/// `WrongThreadException`. All work is then done in place: to submit a generation blocks until it
/// and whatever else was submitted is done, so that there is nothing left to watch or to cancel.
///
/// @param context the CUcontext, of the driver that the device belongs to
/// @param stream a CUstream, 0 for none
/// @param executor where driver calls are made
public record Attachment(long context, long stream, Optional<Executor> executor) {
  /// CU_STREAM_LEGACY and CU_STREAM_PER_THREAD, which are no handles of a stream.
  private static final long LAST_SPECIAL_STREAM = 2;

  /// Checks that there is a context, and that the stream is none of the default streams.
  public Attachment {
    Objects.requireNonNull(executor, "executor");
    if (context == 0) {
      throw new IllegalArgumentException("attaching to CUcontext 0: there is no such context");
    }
    if (stream > 0 && stream <= LAST_SPECIAL_STREAM) {
      throw new IllegalArgumentException(
          "attaching to a default stream (CUstream " + stream + "): it cannot be captured");
    }
  }

  /// Attaches to a context only.
  public static Attachment to(long context) {
    return new Attachment(context, 0, Optional.empty());
  }

  /// The same with the caller's stream; 0: without.
  public Attachment withStream(long stream) {
    return new Attachment(context, stream, executor);
  }

  /// The same with driver calls made where `executor` runs them.
  public Attachment withExecutor(Executor executor) {
    return new Attachment(context, stream, Optional.of(executor));
  }
}
