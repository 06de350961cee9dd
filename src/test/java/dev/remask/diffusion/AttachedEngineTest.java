package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Attachment;
import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.Device;
import dev.remask.cuda.ForeignClient;
import dev.remask.kernel.SpecialTokens;
import dev.remask.testing.TestDevices;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// An engine whose turns are done on a thread and in a CUDA context of the caller's, which may be
/// gone or wrong.
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class AttachedEngineTest {
  private static final int TOKENS = 200;
  private static final SpecialTokens SPECIAL = new SpecialTokens(100, FakeLoop.MASK, -1, -1);

  private final FakeLoop loop = new FakeLoop(TOKENS);
  private final AtomicInteger tasks = new AtomicInteger();
  private volatile boolean refuses;
  private ExecutorService thread;
  private ForeignClient caller;
  private Context context;
  private Engine engine;

  @BeforeEach
  void begin() {
    thread = Executors.newSingleThreadExecutor();
  }

  @AfterEach
  void end() {
    thread.shutdownNow();
  }

  /// Where most tests attach to.
  private void executor(Runnable task) {
    if (refuses) {
      throw new RejectedExecutionException("refused by the test");
    }
    tasks.incrementAndGet();
    thread.execute(task);
  }

  private void attach(Executor executor) {
    Device device = TestDevices.context(TestDevices.software()).device();
    caller = new ForeignClient(device);
    context = Context.attach(device, Attachment.to(caller.context()).withExecutor(executor));
    engine = new Engine(context, loop, new Scheduler.Demand(TOKENS, TOKENS, 64, 0), null, SPECIAL);
  }

  private void close() {
    engine.close();
    context.close();
    caller.close();
  }

  private Ticket submit(int length) {
    DiffusionOptions options = DiffusionOptions.builder().genLength(length).build();
    return engine.submit(
        SlotRequest.of(DenoisingTask.ofPrompt(new int[] {1}, options), SPECIAL, true), 0);
  }

  private void assertAnswers() throws InterruptedException {
    assertEquals(TOKENS - 1, submit(TOKENS - 1).await().outputIds().length);
  }

  private static void until(BooleanSupplier condition) {
    while (!condition.getAsBoolean()) {
      Thread.onSpinWait();
    }
  }

  @Test
  void destroyedContext_failsWhatIsAsked_andClosing() {
    attach(this::executor);
    caller.close();
    for (int i = 0; i < 2; i++) { // the second time, too: it is tried anew
      assertThrows(CudaException.class, submit(5)::await);
      assertThrows(CudaException.class, () -> engine.between(() -> {}));
    }
    assertThrows(CudaException.class, engine::close);
    assertTrue(loop.closed);
    assertThrows(IllegalStateException.class, () -> submit(5));
    assertThrows(CudaException.class, context::close);
  }

  @Test
  void executorThatRefuses_failsWhatIsAsked_whileItDoes() throws Exception {
    attach(this::executor);
    refuses = true;
    assertThrows(RejectedExecutionException.class, submit(5)::await);
    assertThrows(RejectedExecutionException.class, () -> engine.between(() -> {}));
    submit(5).cancel();
    refuses = false;
    assertAnswers();

    loop.gate = new Semaphore(0);
    Ticket running = submit(TOKENS - 1);
    until(() -> loop.gate.hasQueuedThreads());
    Ticket waiting = submit(TOKENS - 1);
    refuses = true;
    loop.gate.release();
    assertThrows(RejectedExecutionException.class, running::await);
    assertThrows(RejectedExecutionException.class, waiting::await);
    refuses = false;
    loop.gate = null;
    assertAnswers();
    close();
  }

  @Test
  void executorOfAnotherThread_failsWhatIsAskedThere() throws Exception {
    attach(Runnable::run);
    thread.submit(() -> assertThrows(WrongThreadException.class, submit(5)::await)).get();
    thread
        .submit(() -> assertThrows(WrongThreadException.class, () -> engine.between(() -> {})))
        .get();
    assertAnswers();
    close();
  }

  @Test
  void inPlace_submissionDoesAllTheWork() throws Exception {
    attach(Runnable::run);
    var ran = new AtomicInteger();
    engine.between(ran::incrementAndGet);
    assertEquals(1, ran.get());
    assertTrue(submit(9).isDone());
    assertAnswers();
    context.run(() -> {
      Ticket ticket = submit(5);
      try {
        assertEquals(5, ticket.await().outputIds().length);
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
      engine.between(ran::incrementAndGet);
    });
    assertEquals(2, ran.get());
    close();
  }

  @Test
  void onTheExecutorsOwnThread_everythingWorks() throws Exception {
    attach(this::executor);
    var ran = new AtomicInteger();
    thread
        .submit(() -> {
          assertAnswers();
          engine.between(ran::incrementAndGet);
          engine.close();
          return null;
        })
        .get();
    assertEquals(1, ran.get());
    close();
  }

  @Test
  void close_leavesTheThreadIdle_thoughACancellationCameMeanwhile() throws Exception {
    attach(this::executor);
    loop.gate = new Semaphore(0);
    Ticket running = submit(100);
    until(() -> loop.gate.hasQueuedThreads());
    Thread closing = Thread.ofPlatform().start(engine::close);
    until(loop::isStopped);
    running.cancel();
    loop.gate.release();
    closing.join();
    assertThrows(CancellationException.class, running::await);
    thread.submit(() -> {}).get();
    int before = tasks.get();
    Thread.sleep(20);
    assertEquals(before, tasks.get());
    close();
  }
}
