package dev.remask.model;

import dev.remask.Remask;
import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DType;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// One forward pass of the default model's mask predictor, as a graph: the time from its launch to
/// its end. `shape` is tokens x rows of logits. jmh/baselines/forward.py does the same in PyTorch.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
public class ForwardBenchmark {
  @Param("software")
  public String device;

  @Param({"BF16", "F32"})
  public DType dtype;

  @Param({"46x32", "150x128"})
  public String shape;

  private Context context;
  private PassTimer pass;

  @Setup
  public void open() {
    int tokens = Integer.parseInt(shape.split("x")[0]);
    int rows = Integer.parseInt(shape.split("x")[1]);
    context = Context.open(Device.open(DeviceSpec.parse(device)));
    int[] ids = IntStream.range(0, tokens).toArray();
    pass = new PassTimer(context, Remask.defaultModel(), dtype, ids, rows);
  }

  @TearDown
  public void close() {
    pass.close();
    context.close();
  }

  @Benchmark
  public void forward() {
    pass.run();
  }
}
