package dev.remask.cuda;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Times what a stream is given, each launch by an event before and one behind it: what the device
/// takes, gaps between launches left out. Device thread.
///
/// It costs two events a launch, about a microsecond of the device's time each, and allocates; it
/// is for a look at a step, not for production. What is captured into a graph is not timed, since
/// it does not run then.
public final class LaunchRecorder implements LaunchObserver, AutoCloseable {
  private static final double NANOS_PER_MS = 1e6;

  /// A launch that has run. All times are on the clock of [System#nanoTime], the device's put there
  /// by the moment at which the recording began.
  ///
  /// @param kernel the kernel's symbol, or `cublasLtMatmul`
  /// @param sizes its `int` parameters in their order; m, n and k of a product
  /// @param beginNanos when it began on the device
  /// @param nanos what it took there
  /// @param hostBeginNanos when the host began to enqueue it
  /// @param hostNanos what that took, the events included
  public record Launch(
      String kernel,
      List<Integer> sizes,
      long beginNanos,
      long nanos,
      long hostBeginNanos,
      long hostNanos) {}

  private record Pending(String kernel, int[] sizes, long hostBegin, long hostEnd) {}

  private final Context context;
  private final Stream stream;
  private final Event base;
  private final long baseNanos;
  private final List<Event> events = new ArrayList<>();
  private final List<Pending> pending = new ArrayList<>();
  private long hostBegin;

  /// Begins to record what `stream` is given.
  ///
  /// @throws IllegalStateException if somebody observes the stream already
  public LaunchRecorder(Context context, Stream stream) {
    this.context = context;
    this.stream = stream;
    stream.observe(this);
    boolean success = false;
    try {
      base = event(0);
      stream.record(base);
      base.synchronize();
      baseNanos = System.nanoTime();
      success = true;
    } finally {
      if (!success) {
        close();
      }
    }
  }

  @Override
  public void before(Stream observed) {
    hostBegin = System.nanoTime();
    observed.record(event(2 * pending.size() + 1));
  }

  @Override
  public void after(Stream observed, String kernel, int[] sizes) {
    observed.record(event(2 * pending.size() + 2));
    pending.add(new Pending(kernel, sizes, hostBegin, System.nanoTime()));
  }

  /// Waits for the stream and returns what it has run since the recording began, in its order.
  ///
  /// @throws CudaException if some of it failed
  public List<Launch> launches() {
    stream.synchronize();
    var launches = new ArrayList<Launch>(pending.size());
    for (int i = 0; i < pending.size(); i++) {
      Pending launch = pending.get(i);
      Event begin = events.get(2 * i + 1);
      launches.add(
          new Launch(
              launch.kernel,
              Arrays.stream(launch.sizes).boxed().toList(),
              baseNanos + nanos(base, begin),
              nanos(begin, events.get(2 * i + 2)),
              launch.hostBegin,
              launch.hostEnd - launch.hostBegin));
    }
    return launches;
  }

  /// Ends the recording and frees its events.
  @Override
  public void close() {
    stream.observe(null);
    events.forEach(Event::close);
    events.clear();
    pending.clear();
  }

  private static long nanos(Event from, Event to) {
    return Math.round(to.millisecondsSince(from) * NANOS_PER_MS);
  }

  private Event event(int index) {
    while (events.size() <= index) {
      events.add(context.newEvent());
    }
    return events.get(index);
  }
}
