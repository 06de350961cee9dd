package dev.remask.diffusion;

import dev.remask.Remask;
import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.Stream;
import dev.remask.kernel.CommitRule;
import dev.remask.kernel.DType;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.RemaskingRule;
import dev.remask.kernel.SequenceStatus;
import dev.remask.kernel.SpecialTokens;
import dev.remask.measure.Allocation;
import dev.remask.measure.JavaBytes;
import dev.remask.model.Batch;
import dev.remask.model.MaskPredictor;
import dev.remask.model.ModelConfig;
import dev.remask.model.ProgressListener;
import dev.remask.model.WorkspaceLimits;
import java.util.List;
import java.util.concurrent.TimeUnit;
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
/// logits are selected from. Every planned step but the last has quota 0, so that all rows stay
/// masked and each of the STEPS steps of an invocation does the same work. `captured` runs them as
/// a generation does (`REMASK_LOOP` says how: one graph launch for all of them, or one for each),
/// `uncaptured` enqueues their launches one by one.
///
/// The bytes are the device thread's own count around 1,024 steps, because `-prof gc` counts what
/// JMH and the hand-over to the device thread allocate, some 270 KB an iteration, as if it were the
/// steps'.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 5)
@Measurement(iterations = 5, time = 5)
public class StepBenchmark {
  private static final int STEPS = 1024;

  private static final int PROMPT = 22;
  private static final int ANSWER = 32;

  @Param("software")
  public String device;

  @Param({"BF16", "F32"})
  public DType dtype;

  private Context context;
  private MaskPredictor predictor;
  private LoopMemory memory;
  private StopWord stopWord;
  private StepRunner runner;
  private Slot slot;
  private Staging staging;
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
    // The first run of a kind of step loads its kernels, the second captures it; from then on none
    // allocates.
    for (int i = 0; i < 2; i++) {
      context.run(capturedSteps);
    }
  }

  private void prepare() {
    ModelConfig config = predictor.config();
    var tokens =
        new SpecialTokens(
            config.vocabSize(), config.maskTokenId(), config.eosTokenId(), config.eotTokenId());
    Stream stream = predictor.stream();
    memory = new LoopMemory(context, predictor.limits(), config.embeddingSize());
    staging = new Staging(memory.staging, stream);
    stopWord = StopWord.create(context);
    runner =
        new StepRunner(
            context,
            stream,
            new StepRunner.State(memory.progress, memory.readback, memory.members, stopWord),
            predictor.operations().loopWhile());
    var slots = new Slots(memory, predictor.limits(), tokens, stream);
    int[] prompt = new int[PROMPT];
    for (int i = 0; i < PROMPT; i++) {
      prompt[i] = i;
    }
    DiffusionOptions options = DiffusionOptions.builder().genLength(ANSWER).build();
    slot = slots.admit(SlotRequest.of(DenoisingTask.ofPrompt(prompt, options), tokens, false));
    Layout layout = Layout.of(List.of(slot));
    Batch batch = predictor.prepare(layout.shape, memory.canvas);
    slots.uploadMembers(layout.entries);
    stream.fill(memory.rows, (byte) 0);
    stream.fill(batch.rowIndex(), (byte) 0);
    Layout.Key key = layout.key(batch.key());
    var step = new Step(predictor, batch, memory, key, tokens);
    stream.synchronize();
    uploadLongPlan();
    stream.synchronize();

    capturedSteps =
        () -> {
          rewind();
          long before = JavaBytes.now();
          runner.run(key, step, layout.slots, STEPS, null);
          allocatedBytes = JavaBytes.now() - before;
          requireFilled();
        };
    uncapturedSteps =
        () -> {
          rewind();
          long before = JavaBytes.now();
          for (int i = 0; i < STEPS; i++) {
            step.accept(stream);
          }
          allocatedBytes = JavaBytes.now() - before;
          stream.copyToHost(memory.readback, 0, memory.progress, memory.progress.bytes());
          stream.synchronize();
          requireFilled();
        };
  }

  /// Steps of the same block that commit nothing, and a last one that commits everything.
  private void uploadLongPlan() {
    long bytes = (long) STEPS * DiffusionState.PLAN_ENTRY_BYTES;
    long at = staging.take(bytes);
    for (int i = 0; i < STEPS; i++) {
      DiffusionState.write(
          memory.staging,
          at + (long) i * DiffusionState.PLAN_ENTRY_BYTES,
          new DiffusionState.PlanEntry(0, i == STEPS - 1 ? ANSWER : 0, i, 0, 0));
    }
    staging.upload(memory.plan, at, bytes);
    at = staging.take(DiffusionState.SEQUENCE_BYTES);
    DiffusionState.write(
        memory.staging,
        at,
        new DiffusionState.Sequence(
            slot.canvasBegin(),
            DiffusionState.NO_GUIDANCE,
            ANSWER,
            ANSWER,
            STEPS,
            0,
            1,
            0,
            0,
            RemaskingRule.LOW_CONFIDENCE,
            CommitRule.QUOTA,
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            0));
    staging.upload(memory.sequences, at, DiffusionState.SEQUENCE_BYTES);
  }

  private void rewind() {
    staging.idle();
    staging.upload(memory.canvas, slot.canvasBegin(), slot.request.canvas());
    long at = staging.take(DiffusionState.PROGRESS_BYTES);
    DiffusionState.write(memory.staging, at, DiffusionState.Progress.start(slot.begin, 0, ANSWER));
    staging.upload(memory.progress, at, DiffusionState.PROGRESS_BYTES);
  }

  private void requireFilled() {
    DiffusionState.Progress progress = DiffusionState.readProgress(memory.readback, 0);
    if (progress.status() != SequenceStatus.FILLED || progress.passes() != STEPS) {
      throw new IllegalStateException(progress.toString());
    }
  }

  @TearDown
  public void close() {
    context.run(() -> {
      runner.close();
      stopWord.close();
      memory.close();
    });
    predictor.close();
    context.close();
  }

  @Benchmark
  @OperationsPerInvocation(STEPS)
  public void captured(Allocation allocation) {
    context.run(capturedSteps);
    allocation.count(allocatedBytes, STEPS);
  }

  @Benchmark
  @OperationsPerInvocation(STEPS)
  public void uncaptured(Allocation allocation) {
    context.run(uncapturedSteps);
    allocation.count(allocatedBytes, STEPS);
  }
}
