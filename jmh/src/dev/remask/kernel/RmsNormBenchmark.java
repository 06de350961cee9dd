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

/// Residual add and RMS norm at the width of LLaDA-8B. Floor: residual read and written, delta
/// read, result written.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class RmsNormBenchmark {
  private static final int WIDTH = 4096;

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
    long elements = (long) rows * WIDTH;
    DeviceBuffer out = f.bench.empty(elements * dtype.bytes());
    DeviceBuffer residual = f.bench.f32(elements);
    DeviceBuffer delta = f.bench.random(dtype, elements);
    DeviceBuffer weight = f.bench.random(dtype, WIDTH);
    RmsNorm norm = f.operations.rmsNorm();
    double bytes = elements * (2.0 * Float.BYTES + 2 * dtype.bytes());
    f.measure(
        () -> norm.launch(f.bench.stream, out, residual, delta, weight, rows, WIDTH, 1e-5f),
        bytes,
        0,
        bytes);
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
  public void rmsNorm(Work work) {
    fixture.launch(work);
  }
}
