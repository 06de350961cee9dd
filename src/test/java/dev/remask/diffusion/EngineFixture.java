package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.kernel.SpecialTokens;
import dev.remask.testing.TestDevices;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;
import java.util.concurrent.Semaphore;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;

/// An engine on a device loop that is made up.
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
abstract class EngineFixture {
  static final int TOKENS = 200;
  static final SpecialTokens SPECIAL = new SpecialTokens(100, FakeLoop.MASK, -1, -1);

  Context context;
  FakeLoop loop;
  Engine engine;

  @BeforeEach
  void open() {
    context = TestDevices.newContext(TestDevices.software());
    loop = new FakeLoop(TOKENS);
    engine = new Engine(context, loop, new Scheduler.Demand(TOKENS, TOKENS, 64, 0), null, SPECIAL);
  }

  @AfterEach
  void close() {
    Semaphore gate = loop.gate;
    loop.gate = null;
    if (gate != null) {
      gate.release(1_000_000); // for the step that waits there
    }
    engine.close();
    assertTrue(loop.closed);
    context.close();
  }

  static SlotRequest request(int length, int... prompt) {
    DiffusionOptions options = DiffusionOptions.builder().genLength(length).build();
    return SlotRequest.of(DenoisingTask.ofPrompt(prompt, options), SPECIAL, true);
  }

  Ticket submit(int length, int... prompt) {
    return engine.submit(request(length, prompt), 0);
  }

  static void assertAnswer(int length, int[] prompt, Denoised answer) {
    int[] expected = new int[length];
    Arrays.setAll(expected, i -> FakeLoop.token(prompt, i));
    assertArrayEquals(expected, answer.outputIds());
    assertEquals(length, answer.trace().size());
    assertEquals(length, answer.forwardPasses());
  }

  static void until(BooleanSupplier condition) {
    while (!condition.getAsBoolean()) {
      Thread.onSpinWait();
    }
  }

  /// Lets one step happen and waits until it has.
  void step() {
    int before = loop.steps;
    loop.gate.release();
    until(() -> loop.steps > before);
  }

  static class Collector implements Flow.Subscriber<StepEvent> {
    final List<StepEvent> seen = new ArrayList<>();
    final CountDownLatch over = new CountDownLatch(1);
    final long slowMillis;
    final long first;
    volatile Throwable failure;
    volatile Flow.Subscription subscription;

    Collector(long first, long slowMillis) {
      this.first = first;
      this.slowMillis = slowMillis;
    }

    @Override
    public void onSubscribe(Flow.Subscription given) {
      subscription = given;
      if (first > 0) {
        given.request(first);
      }
    }

    @Override
    public void onNext(StepEvent event) {
      seen.add(event);
      if (slowMillis > 0) {
        try {
          Thread.sleep(slowMillis);
        } catch (InterruptedException e) {
          throw new AssertionError(e);
        }
      }
    }

    @Override
    public void onError(Throwable thrown) {
      failure = thrown;
      over.countDown();
    }

    @Override
    public void onComplete() {
      over.countDown();
    }
  }
}
