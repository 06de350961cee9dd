package dev.remask.cuda;

import dev.remask.measure.Allocation;
import dev.remask.measure.JavaBytes;
import java.util.concurrent.TimeUnit;
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

/// Graphs of launches that do nothing: `replay` launches one and waits (per node: what a launch
/// inside a graph costs, beyond one wake-up), `update` captures the work anew and puts it into the
/// graph, `capture` makes one and destroys it, `launches` enqueues the same without a graph and
/// waits.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class GraphBenchmark {
  private static final Kernel.Parameter POINTER = Kernel.Parameter.POINTER;
  private static final Kernel.Parameter I32 = Kernel.Parameter.I32;

  @Param("software")
  public String device;

  @Param("100")
  public int nodes;

  private CallerContext caller;
  private Context context;
  private Stream stream;
  private Module module;
  private DeviceMemory memory;
  private Graph graph;
  private Runnable launches;
  private Runnable replay;
  private Runnable update;
  private Runnable capture;
  private Runnable plain;
  private int size;

  @Setup
  public void open() {
    caller = CallerContext.open(device);
    context = caller.context();
    if (!context.device().isSoftware()) {
      throw new IllegalStateException("the empty kernels of graphs are the software device's");
    }
    context.run(() -> {
      stream = context.newStream();
      module = context.loadModule("empty");
      memory = context.allocate(64);
      Kernel kernel =
          module.kernel(
              "empty_8", POINTER, POINTER, POINTER, POINTER, I32, I32, I32, Kernel.Parameter.F32);
      for (int i = 0; i < 4; i++) {
        kernel.set(i, memory.buffer());
      }
      kernel.set(7, 1f);
      launches =
          () -> {
            for (int i = 0; i < nodes; i++) {
              kernel.set(4, size).set(5, i).set(6, i);
              kernel.launch(stream, 1, 1, 1, 32, 0);
            }
          };
      graph = stream.capture(launches);
    });
    replay =
        () -> {
          graph.launch(stream);
          stream.synchronize();
        };
    update = () -> graph.update(stream, launches);
    capture = () -> stream.capture(launches).close();
    plain =
        () -> {
          launches.run();
          stream.synchronize();
        };
  }

  @TearDown
  public void close() {
    context.run(() -> {
      graph.close();
      memory.close();
      module.close();
      stream.close();
    });
    caller.close();
  }

  private void run(Runnable work, Allocation allocation) {
    long before = JavaBytes.now();
    size++;
    context.run(work);
    allocation.count(JavaBytes.now() - before, 1);
  }

  @Benchmark
  public void replay(Allocation allocation) {
    run(replay, allocation);
  }

  @Benchmark
  public void update(Allocation allocation) {
    run(update, allocation);
  }

  @Benchmark
  public void capture(Allocation allocation) {
    run(capture, allocation);
  }

  @Benchmark
  public void launches(Allocation allocation) {
    run(plain, allocation);
  }
}
