package dev.remask.diffusion;

import dev.remask.Remask;
import dev.remask.cuda.CallerContext;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import dev.remask.kernel.SpecialTokens;
import dev.remask.measure.Allocation;
import dev.remask.measure.JavaBytes;
import dev.remask.model.MaskPredictor;
import dev.remask.model.ModelConfig;
import dev.remask.model.ProgressListener;
import dev.remask.model.WorkspaceLimits;
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

/// What a request costs the loop before its first step: checked and planned, given a slot, its
/// state uploaded; then the pass laid out anew with it. The device has done its copies by the end.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@Fork(1)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class AdmissionBenchmark {
  private static final int TOKENS = 1024;

  @Param("software")
  public String device;

  /// Length of prompt and of answer.
  @Param({"32", "256"})
  public int length;

  private CallerContext caller;
  private MaskPredictor predictor;
  private LoopMemory memory;
  private Slots slots;
  private SpecialTokens tokens;
  private Runnable admit;

  @Setup
  public void open() {
    caller = CallerContext.open(device);
    predictor =
        MaskPredictor.load(
            caller.context(),
            Remask.defaultModel(),
            DType.BF16,
            new WorkspaceLimits(TOKENS, TOKENS, 2),
            ProgressListener.NONE);
    caller.context().run(this::prepare);
  }

  private void prepare() {
    ModelConfig config = predictor.config();
    tokens =
        new SpecialTokens(
            config.vocabSize(), config.maskTokenId(), config.eosTokenId(), config.eotTokenId());
    memory = new LoopMemory(caller.context(), predictor.limits(), config.embeddingSize());
    Stream stream = predictor.stream();
    slots = new Slots(memory, predictor.limits(), tokens, stream);
    int[] prompt = IntStream.range(0, length).toArray();
    DiffusionOptions options = DiffusionOptions.builder().genLength(length).build();
    admit =
        () -> {
          DenoisingTask task = DenoisingTask.ofPrompt(prompt, options);
          Slot slot = slots.admit(SlotRequest.of(task, tokens, false));
          Layout layout = Layout.of(List.of(slot));
          predictor.prepare(layout.shape, memory.canvas);
          slots.uploadMembers(layout.entries);
          stream.synchronize();
          slots.release(slot);
        };
  }

  @TearDown
  public void close() {
    caller.context().run(memory::close);
    predictor.close();
    caller.close();
  }

  @Benchmark
  public void admit(Allocation allocation) {
    long before = JavaBytes.now();
    caller.context().run(admit);
    allocation.count(JavaBytes.now() - before, 1);
  }
}
