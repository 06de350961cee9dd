package dev.remask.measure;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.CyclicBarrier;

/// Measures what the processor can do: bytes copied and f32 fused multiply-adds, by as many threads
/// as the software device uses. Both in Java, whose compiler makes the widest vectors of the
/// machine of such loops, so that they need nothing of what is measured against them.
public final class Processor {
  /// Long enough for a rate, short enough to stand before every benchmark.
  private static final long SLICE_NANOS = 60_000_000;

  /// The best of so many slices: what disturbs makes a slice slower, never faster.
  private static final int SLICES = 4;

  /// Floats of a thread's own array: half of the smallest L1 cache.
  private static final int FLOATS = 4096;

  /// Fused operations of a float between its load and its store, so that those cost nothing. They
  /// depend on one another, but those of several vectors are under way at a time.
  private static final int CHAIN = 16;

  /// Passes over a small working set before the next look at the clock.
  private static final long BYTES_PER_LOOK = 1 << 22;

  /// Larger working sets than this are copied no slower.
  private static final long MOST_COPIED = 1L << 29;

  private Processor() {}

  /// Compute threads of the software device: `REMASK_THREADS`, else the processors.
  public static int threads() {
    String value = System.getenv("REMASK_THREADS");
    return value == null ? Runtime.getRuntime().availableProcessors() : Integer.parseInt(value);
  }

  /// Bytes that all threads together read and write per nanosecond when they copy half of a working
  /// set of so many bytes to the other half, again and again.
  public static double copyBandwidth(long workingSetBytes) {
    int threads = threads();
    long half = Math.max(4096, Math.min(MOST_COPIED, workingSetBytes) / 2 / threads);
    return best(
        threads,
        thread -> {
          try (Arena arena = Arena.ofConfined()) {
            MemorySegment from = arena.allocate(half, 64).fill((byte) 1);
            MemorySegment to = arena.allocate(half, 64).fill((byte) 2);
            long looks = Math.max(1, BYTES_PER_LOOK / half);
            return rate(() -> {
              for (long i = 0; i < looks; i++) {
                to.copyFrom(from);
              }
              return 2 * half * looks;
            });
          }
        });
  }

  /// Floating point operations that all threads together do per nanosecond, two for each
  /// multiply-add.
  public static double fmaPeak() {
    return best(
        threads(),
        thread -> {
          var values = new float[FLOATS];
          Arrays.fill(values, 1 + thread);
          return rate(() -> {
            for (int i = 0; i < 8; i++) {
              multiplyAdd(values, 0.5f, 0.25f);
            }
            return 8L * 2 * CHAIN * FLOATS;
          });
        });
  }

  private static void multiplyAdd(float[] values, float x, float y) {
    for (int i = 0; i < values.length; i++) {
      float v = values[i];
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      v = Math.fma(v, x, y);
      values[i] = v;
    }
  }

  /// Work that says how much it did.
  private interface Counted {
    long run();
  }

  /// Amount per nanosecond, of the best slice.
  private static double rate(Counted work) {
    double best = 0;
    for (int slice = 0; slice <= SLICES; slice++) { // the first warms up
      long begin = System.nanoTime();
      long done = 0;
      long now;
      do {
        done += work.run();
        now = System.nanoTime();
      } while (now - begin < SLICE_NANOS);
      best = slice == 0 ? 0 : Math.max(best, done / (double) (now - begin));
    }
    return best;
  }

  private interface ThreadWork {
    double run(int thread);
  }

  /// Runs the work on so many threads at once and adds up their rates.
  private static double best(int threads, ThreadWork work) {
    var rates = new double[threads];
    var all = new Thread[threads];
    var start = new CyclicBarrier(threads);
    for (int i = 0; i < threads; i++) {
      int number = i;
      all[i] =
          new Thread(
              () -> {
                try {
                  start.await();
                } catch (Exception e) {
                  throw new IllegalStateException(e);
                }
                rates[number] = work.run(number);
              },
              "remask-measure-" + i);
      all[i].start();
    }
    for (Thread thread : all) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException(e);
      }
    }
    return Arrays.stream(rates).sum();
  }
}
