package dev.remask.model;

import dev.remask.Remask;
import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.Graph;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import java.util.List;
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
/// its end. `shape` is tokens x rows of logits. Median of single passes, to compare with
/// jmh/baselines/forward.py, which does the same in PyTorch.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
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
  private MaskPredictor predictor;
  private DeviceMemory canvas;
  private Graph graph;
  private Runnable pass;

  @Setup
  public void open() {
    int tokens = Integer.parseInt(shape.split("x")[0]);
    int rows = Integer.parseInt(shape.split("x")[1]);
    context = Context.open(Device.open(DeviceSpec.parse(device)));
    predictor =
        MaskPredictor.load(
            context,
            Remask.defaultModel(),
            dtype,
            new WorkspaceLimits(tokens, rows, 1),
            ProgressListener.NONE);
    context.run(() -> {
      canvas = PackedForward.canvas(context, predictor);
      Batch batch = predictor.prepare(PackedForward.shape(rows, tokens), canvas.buffer());
      int[] ids = IntStream.range(0, tokens).toArray();
      int[] last = IntStream.range(tokens - rows, tokens).toArray();
      PackedForward.fill(context, predictor, canvas.buffer(), batch, List.of(ids), last);
      Stream stream = predictor.stream();
      batch.forward();
      graph = stream.capture(batch::forward);
      pass =
          () -> {
            graph.launch(stream);
            stream.synchronize();
          };
    });
  }

  @TearDown
  public void close() {
    context.run(graph::close);
    context.run(canvas::close);
    predictor.close();
    context.close();
  }

  @Benchmark
  public void forward() {
    context.run(pass);
  }
}
