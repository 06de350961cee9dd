package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.measure.Work;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
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

/// Rotary embedding of the Q and K heads of LLaDA-8B, in place. Floor: they are read and written.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class RopeBenchmark {
  private static final int HEADS = 32;
  private static final int HEAD_DIM = 128;

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
    int rotated = 2 * HEADS;
    int stride = 3 * HEADS * HEAD_DIM;
    DeviceBuffer qkv = f.bench.random(dtype, (long) rows * stride);
    DeviceBuffer angles = f.bench.f32((long) rows * HEAD_DIM);
    int[] positions = IntStream.range(0, rows).toArray();
    DeviceBuffer positionsOnDevice = f.bench.ints(positions);
    var shape = new Rope.Shape(stride, rotated, HEAD_DIM);
    Rope rope = f.operations.rope();
    double bytes = 2.0 * dtype.bytes() * rows * rotated * HEAD_DIM;
    f.measure(
        () -> rope.launch(f.bench.stream, qkv, angles, positionsOnDevice, rows, shape),
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
  public void rope(Work work) {
    fixture.launch(work);
  }
}
