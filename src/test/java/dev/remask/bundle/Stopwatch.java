package dev.remask.bundle;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.Event;
import dev.remask.cuda.Stream;
import java.util.Arrays;
import tools.jackson.databind.node.ObjectNode;

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

  /// A median and its spread, in microseconds of device time.
  record Timing(double medianUs, double lowUs, double highUs, int runs) {
    /// Writes the fields that reports read; low and high hold 80 % of the runs.
    ObjectNode addTo(ObjectNode json) {
      return json.put("median_us", medianUs)
          .put("low_us", lowUs)
          .put("high_us", highUs)
          .put("runs", runs);
    }
  }

  /// Runs `work` for about `seconds`.
  Timing time(double seconds, Runnable work) {
    for (int i = 0; i < WARM_UP; i++) {
      once(work);
    }
    var times = new double[MOST_RUNS];
    int runs = 0;
    long begin = System.nanoTime();
    while (runs < MOST_RUNS && (runs < FEWEST_RUNS || System.nanoTime() - begin < seconds * 1e9)) {
      times[runs++] = once(work);
    }
    double[] sorted = Arrays.copyOf(times, runs);
    Arrays.sort(sorted);
    return new Timing(at(sorted, 0.5), at(sorted, 0.1), at(sorted, 0.9), runs);
  }

  private double once(Runnable work) {
    stream.fill(flush.buffer(), pattern++);
    stream.record(start);
    work.run();
    stream.record(end);
    end.synchronize();
    return end.millisecondsSince(start) * 1e3;
  }

  private static double at(double[] sorted, double quantile) {
    return sorted[(int) Math.round(quantile * (sorted.length - 1))];
  }

  @Override
  public void close() {
    end.close();
    start.close();
    flush.close();
  }
}
