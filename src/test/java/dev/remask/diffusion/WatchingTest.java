package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.GoldenCases.GoldenCase;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.testing.TestDevices;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/// Listening to a generation, and ending it early.
class WatchingTest {
  private static final GoldenCase GOLDEN =
      GoldenModel.TINY.cases().stream()
          .filter(golden -> golden.name().equals("sum-gen_length=32-block_length=8-steps=32"))
          .findAny()
          .orElseThrow();

  private static LoadedDenoiser loaded;

  @BeforeAll
  static void load() {
    loaded = LoadedDenoiser.open(TestDevices.software(), DType.F32, GoldenModel.TINY);
  }

  @AfterAll
  static void close() {
    loaded.close();
  }

  private static Denoised run(StepListener listener) {
    return loaded
        .run(List.of(GOLDEN.promptIds()), List.of(GOLDEN.options()), true, listener)
        .getFirst();
  }

  @Test
  void listener_seesEveryStepInOrder_onTheCallersThread() {
    Thread caller = Thread.currentThread();
    var events = new ArrayList<StepEvent>();
    Denoised answer =
        run(event -> {
          assertSame(caller, Thread.currentThread());
          events.add(event);
          assertEquals(events.size(), event.pass());
        });
    assertEquals(32, events.size());
    assertEquals(
        answer.trace(), events.stream().flatMap(event -> event.commits().stream()).toList());
    int[] ids = new int[answer.outputIds().length];
    answer.trace().forEach(commit -> ids[commit.position()] = commit.token());
    assertArrayEquals(answer.outputIds(), ids);
    GoldenGenerationTest.check(GOLDEN, answer, DType.F32);
  }

  @Test
  void slowListener_losesNothing_andDelaysNobody() {
    var seen = new AtomicInteger();
    run(event -> {
      if (event.pass() == 1) {
        // The device thread is free while this listener is not: another generation gets done.
        Thread other =
            Thread.ofVirtual().start(() -> loaded.run(GOLDEN.promptIds(), GOLDEN.options(), false));
        join(other);
      }
      assertEquals(seen.incrementAndGet(), event.pass());
    });
    assertEquals(32, seen.get());
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void listenersException_endsTheGeneration_andReachesTheCaller() {
    var seen = new AtomicInteger();
    var e =
        assertThrows(
            IllegalStateException.class,
            () ->
                run(event -> {
                  seen.incrementAndGet();
                  throw new IllegalStateException("enough");
                }));
    assertEquals("enough", e.getMessage());
    assertEquals(1, seen.get(), "nothing is told to a listener that has thrown");
    GoldenGenerationTest.check(GOLDEN, run(null), DType.F32);
  }

  @Test
  void interrupt_cancels_andKeepsTheFlag() {
    assertThrows(
        CancellationException.class, () -> run(event -> Thread.currentThread().interrupt()));
    assertTrue(Thread.interrupted());
    Thread.currentThread().interrupt();
    assertThrows(CancellationException.class, () -> run(null));
    assertTrue(Thread.interrupted());
    assertFalse(Thread.currentThread().isInterrupted());
    GoldenGenerationTest.check(GOLDEN, run(null), DType.F32);
  }

  @Test
  void run_onTheDeviceThreadItself_works() {
    var seen = new AtomicInteger();
    Denoised answer = loaded.context.call(() -> run(event -> seen.incrementAndGet()));
    GoldenGenerationTest.check(GOLDEN, answer, DType.F32);
    assertEquals(32, seen.get());
  }

  @Test
  void manyVirtualThreads_getTheirOwnAnswers() throws InterruptedException {
    var failures = new ArrayList<Throwable>();
    var threads = new ArrayList<Thread>();
    for (int i = 0; i < 8; i++) {
      GoldenCase golden = GoldenModel.TINY.cases().get(i);
      threads.add(
          Thread.ofVirtual()
              .uncaughtExceptionHandler((thread, e) -> {
                synchronized (failures) {
                  failures.add(e);
                }
              })
              .start(() ->
                  GoldenGenerationTest.check(
                      golden, loaded.run(golden.promptIds(), golden.options(), true), DType.F32)));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertTrue(failures.isEmpty(), failures.toString());
  }
}
