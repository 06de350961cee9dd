package dev.remask.bundle;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.Event;
import dev.remask.cuda.Stream;

/// Times work on a stream by device events, the L2 cache emptied before every run.
///
/// The fill that empties the cache also keeps the device busy while the host enqueues the rest, so
/// that what is timed begins as soon as its event is recorded. Device thread.
final class Stopwatch implements AutoCloseable {
  private static final int WARM_UP = 5;
  private static final int MOST_RUNS = 200;
  private static final int FEWEST_RUNS = 5;

  private final Stream stream;
  private final DeviceMemory flush;
  private final Event start;
  private final Event end;
  private byte pattern;

  /// `flushBytes` should be several times the L2 cache.
  Stopwatch(Context context, Stream stream, long flushBytes) {
    this.stream = stream;
    flush = context.allocate(flushBytes);
    start = context.newEvent();
    end = context.newEvent();
  }

  /// Runs `work` for about `seconds` and adds the times to `samples`.
  void time(double seconds, Runnable work, Samples samples) {
    for (int i = 0; i < WARM_UP; i++) {
      once(work);
    }
    long begin = System.nanoTime();
    for (int runs = 0;
        runs < MOST_RUNS && (runs < FEWEST_RUNS || System.nanoTime() - begin < seconds * 1e9);
        runs++) {
      samples.add(once(work));
    }
  }

  private double once(Runnable work) {
    stream.fill(flush.buffer(), pattern++);
    stream.record(start);
    work.run();
    stream.record(end);
    end.synchronize();
    return end.millisecondsSince(start) * 1e3;
  }

  @Override
  public void close() {
    end.close();
    start.close();
    flush.close();
  }
}
