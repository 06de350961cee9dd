package dev.remask;

import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.StepEvent;
import dev.remask.kernel.DType;
import dev.remask.measure.Counted;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Flow;
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

/// A whole generation of the default model, from text to text: 32 tokens in one block, one a step.
///
/// `unwatched` is a generation; `listener` and `subscriber` are the same with somebody who gets an
/// event of every step, on the caller's thread and on a virtual one. What events cost is the
/// difference, by `events`.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@Fork(1)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
public class GenerationBenchmark {
  private static final int ANSWER = 32;

  @Param("software")
  public String device;

  @Param({"BF16", "F32"})
  public DType dtype;

  private Model model;
  private GenerateRequest request;
  private ExecutorService executor;

  @Setup
  public void open() {
    LoadOptions options =
        LoadOptions.defaults().withDevice(DeviceSpec.parse(device)).withDType(dtype);
    model = Remask.load(Remask.defaultModel(), options);
    request =
        GenerateRequest.builder()
            .prompt("What is 47 + 38?")
            .options(DiffusionOptions.builder().genLength(ANSWER).build())
            .build();
    executor = Executors.newVirtualThreadPerTaskExecutor();
  }

  @TearDown
  public void close() {
    executor.close();
    model.close();
  }

  @Benchmark
  public GenerateResult unwatched() {
    return model.generate(request);
  }

  @Benchmark
  public GenerateResult listener(Counted counted) {
    long[] events = {0};
    GenerateResult result = model.generate(request, event -> events[0]++);
    counted.count(events[0]);
    return result;
  }

  @Benchmark
  public GenerateResult subscriber(Counted counted) throws InterruptedException {
    try (Session session = model.session()) {
      Generation generation = session.submit(request);
      var watcher = new Watcher();
      generation.events(executor).subscribe(watcher);
      GenerateResult result = generation.await();
      watcher.done.await();
      counted.count(watcher.events);
      return result;
    }
  }

  private static final class Watcher implements Flow.Subscriber<StepEvent> {
    final CountDownLatch done = new CountDownLatch(1);
    long events;

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
      subscription.request(Long.MAX_VALUE);
    }

    @Override
    public void onNext(StepEvent event) {
      events++;
    }

    @Override
    public void onError(Throwable failure) {
      done.countDown();
    }

    @Override
    public void onComplete() {
      done.countDown();
    }
  }
}
