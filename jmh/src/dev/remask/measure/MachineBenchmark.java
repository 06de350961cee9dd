package dev.remask.measure;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// Work that no commit changes: what it takes tells two machines, or a machine's good hours and bad
/// ones, apart. Runs with every choice of benchmarks.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@org.openjdk.jmh.annotations.Measurement(iterations = 5, time = 1)
public class MachineBenchmark {
  /// Beyond the caches of most machines.
  private static final long COPIED = 1L << 28;

  private static final int FLOATS = 1 << 20;

  private Arena arena;
  private MemorySegment from;
  private MemorySegment to;
  private float[] values;

  @Setup
  public void allocate() {
    arena = Arena.ofShared();
    from = arena.allocate(COPIED, 64).fill((byte) 1);
    to = arena.allocate(COPIED, 64).fill((byte) 2);
    values = new float[FLOATS];
  }

  @TearDown
  public void free() {
    arena.close();
  }

  /// One thread copies 256 MiB.
  @Benchmark
  public void copy(Moved moved) {
    to.copyFrom(from);
    moved.count(2 * COPIED);
  }

  /// One thread steps a million floats through a recurrence: no memory, no vectors.
  @Benchmark
  public float arithmetic() {
    float x = 0.5f;
    for (int i = 0; i < FLOATS; i++) {
      x = Math.fma(x, 0.999f, 0.001f);
    }
    return x + values[0];
  }
}
