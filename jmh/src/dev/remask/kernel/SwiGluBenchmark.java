package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.measure.Work;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// The gate of the feed-forward layer of LLaDA-8B. Floor: gates and ups read, results written.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class SwiGluBenchmark {
  private static final int WIDTH = 12_288;

  @Param("software")
  public String device;

  @Param({"BF16", "F32"})
  public DType dtype;

  @Param({"1", "64", "1024"})
  public int rows;

  private KernelFixture fixture;

  @Setup
  public void open() {
    fixture = KernelFixture.open(device, dtype, this::prepare);
  }

  private void prepare(KernelFixture f) {
    long gated = (long) rows * WIDTH;
    DeviceBuffer out = f.bench.empty(gated * dtype.bytes());
    DeviceBuffer gateUp = f.bench.random(dtype, 2 * gated);
    SwiGlu swiGlu = f.operations.swiGlu();
    double bytes = 3.0 * gated * dtype.bytes();
    f.measure(() -> swiGlu.launch(f.bench.stream, out, gateUp, rows, WIDTH), bytes, 0, bytes);
  }

  @TearDown(Level.Iteration)
  public void drain() {
    fixture.drain();
  }

  @TearDown
  public void close() {
    fixture.close();
  }

  @Benchmark
  public void swiGlu(Work work) {
    fixture.launch(work);
  }
}
