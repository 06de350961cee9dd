package dev.remask.diffusion;

import dev.remask.Remask;
import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.RemaskingRule;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.Batch;
import dev.remask.model.MaskPredictor;
import dev.remask.model.ModelConfig;
import dev.remask.model.ProgressListener;
import dev.remask.model.WorkspaceLimits;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// One denoising step of the default model: its time, and the Java bytes that it allocates.
///
/// Prompt 22 tokens, answer 32, one block: 54 tokens pass through the mask predictor and 32 rows of
/// logits are selected from. Every planned step has quota 0, so that all rows stay masked and each
/// of the STEPS steps of an invocation does the same work. `captured` launches the step's graph as
/// a generation does, `uncaptured` enqueues its launches one by one.
///
/// The bytes are the device thread's own count around 1,024 steps (`allocatedBytes` beside `steps`
/// in the results), because `-prof gc` counts what JMH and the hand-over to the device thread
/// allocate, some 270 KB an iteration, as if it were the steps'.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 5)
@Measurement(iterations = 5, time = 5)
public class StepBenchmark {
  private static final int STEPS = 1024;
  private static final com.sun.management.ThreadMXBean THREADS =
      (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

  private static final int PROMPT = 22;
  private static final int ANSWER = 32;

  /// Where the looping sequence lies in the staging memory, behind what an upload uses of it.
  private static final long LOOPING_SEQUENCE = 0;

  private static final long LOOPING_PLAN = DiffusionState.SEQUENCE_BYTES;

  @Param("software")
  public String device;

  @Param({"BF16", "F32"})
  public DType dtype;

  private Context context;
  private MaskPredictor predictor;
  private DenoiserMemory memory;
  private StepGraphs graphs;
  private StepLoop loop;
  private CapturedStep step;
  private long allocatedBytes;
  private Runnable capturedSteps;
  private Runnable uncapturedSteps;

  @Setup
  public void open() {
    context = Context.open(Device.open(DeviceSpec.parse(device)));
    predictor =
        MaskPredictor.load(
            context,
            Remask.defaultModel(),
            dtype,
            new WorkspaceLimits(STEPS, ANSWER, 2),
            ProgressListener.NONE);
    context.run(this::prepare);
  }

  private void prepare() {
    ModelConfig config = predictor.config();
    var tokens =
        new SpecialTokens(
            config.vocabSize(), config.maskTokenId(), config.eosTokenId(), config.eotTokenId());
    Stream stream = predictor.stream();
    memory = new DenoiserMemory(context, predictor.limits(), config.embeddingSize());
    loop = new StepLoop(context, stream);
    graphs = new StepGraphs(predictor, memory, tokens);

    DiffusionOptions options = DiffusionOptions.builder().genLength(ANSWER).build();
    int[] prompt = new int[PROMPT];
    for (int i = 0; i < PROMPT; i++) {
      prompt[i] = i;
    }
    Packing packing = Packing.of(List.of(prompt), List.of(options), predictor.limits());
    Batch batch = predictor.prepare(packing.lengths, packing.logitsRows);
    StepBuffers buffers = StepBuffers.of(batch);
    new BatchState(memory, packing, buffers, tokens).upload(stream);
    step = graphs.get(packing, batch);
    stream.synchronize();

    DiffusionState.write(
        memory.staging,
        LOOPING_SEQUENCE,
        new DiffusionState.Sequence(
            0, -1, 0, -1, ANSWER, 0, STEPS, 0, 1, 0, 0, RemaskingRule.LOW_CONFIDENCE));
    for (int i = 0; i < STEPS; i++) {
      DiffusionState.write(
          memory.staging,
          LOOPING_PLAN + (long) i * DiffusionState.PLAN_ENTRY_BYTES,
          new DiffusionState.PlanEntry(PROMPT, 0, i));
    }
    stream.copyToDevice(
        memory.plan, memory.staging, LOOPING_PLAN, (long) STEPS * DiffusionState.PLAN_ENTRY_BYTES);

    var watch = new Watch<Void>(null);
    capturedSteps =
        () -> {
          rewind(stream);
          long before = THREADS.getCurrentThreadAllocatedBytes();
          loop.run(step::launch, STEPS, watch, null);
          allocatedBytes = THREADS.getCurrentThreadAllocatedBytes() - before;
          stream.synchronize();
        };
    uncapturedSteps =
        () -> {
          rewind(stream);
          long before = THREADS.getCurrentThreadAllocatedBytes();
          for (int i = 0; i < STEPS; i++) {
            batch.forward();
            StepTail.enqueue(
                stream,
                predictor.operations(),
                memory,
                buffers,
                packing,
                config.embeddingSize(),
                tokens);
          }
          allocatedBytes = THREADS.getCurrentThreadAllocatedBytes() - before;
          stream.synchronize();
        };
  }

  private void rewind(Stream stream) {
    stream.copyToDevice(
        memory.sequences, memory.staging, LOOPING_SEQUENCE, DiffusionState.SEQUENCE_BYTES);
  }

  @TearDown
  public void close() {
    context.run(() -> {
      graphs.close();
      loop.close();
      memory.close();
    });
    predictor.close();
    context.close();
  }

  @Benchmark
  @OperationsPerInvocation(STEPS)
  public void captured(Allocation allocation) {
    context.run(capturedSteps);
    allocation.count(allocatedBytes);
  }

  @Benchmark
  @OperationsPerInvocation(STEPS)
  public void uncaptured(Allocation allocation) {
    context.run(uncapturedSteps);
    allocation.count(allocatedBytes);
  }

  /// What the device thread allocated in an iteration, and in how many steps.
  @State(Scope.Thread)
  @AuxCounters(AuxCounters.Type.EVENTS)
  public static class Allocation {
    public long allocatedBytes;
    public long steps;

    private void count(long bytes) {
      allocatedBytes += bytes;
      steps += STEPS;
    }
  }
}
