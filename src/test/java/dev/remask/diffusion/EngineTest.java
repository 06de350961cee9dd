package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.CudaException;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.testing.Seed;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Flow;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/// Joining, leaving, watching and failing.
class EngineTest extends EngineFixture {
  @Test
  void manyThreads_getTheirAnswers_inSharedPasses() throws Exception {
    var failures = new AtomicReference<Throwable>();
    var threads = new ArrayList<Thread>();
    loop.gate = new Semaphore(0);
    for (int i = 0; i < 200; i++) {
      int[] prompt = Seed.of(i).ints(1 + i % 7, 90);
      int length = 1 + i % 40;
      threads.add(
          Thread.ofVirtual()
              .start(() -> {
                try {
                  assertAnswer(length, prompt, submit(length, prompt).await());
                } catch (Throwable thrown) {
                  failures.set(thrown);
                }
              }));
    }
    until(() -> loop.gate.hasQueuedThreads());
    loop.gate.release(1_000_000);
    for (Thread thread : threads) {
      thread.join();
    }
    assertSame(null, failures.get());
    assertTrue(loop.maxMembers > 5, "passes were shared, by " + loop.maxMembers);
    assertTrue(loop.steps < 200 * 20 / 2, "steps " + loop.steps);
  }

  @Test
  void arrivals_joinAfterTheStepUnderWay_andTheFinishedLeaveAtOnce() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket first = submit(100, 1);
    until(() -> loop.gate.hasQueuedThreads());
    Ticket second = submit(3, 2);
    step(); // the first one's, alone
    step();
    step();
    step();
    assertAnswer(3, new int[] {2}, second.await());
    assertFalse(first.isDone());
    assertEquals(4, loop.steps);
    loop.gate.release(1000);
    assertAnswer(100, new int[] {1}, first.await());
    assertEquals(100, loop.steps);
  }

  @Test
  void arrivalsThatMustWait_disturbNoRun() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket first = submit(TOKENS - 10, 1);
    until(() -> loop.gate.hasQueuedThreads());
    Ticket second = submit(TOKENS - 10, 2); // ends the run once, and finds no room
    step();
    until(() -> loop.gate.hasQueuedThreads());
    int runs = loop.runs;
    List<Ticket> others = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      others.add(submit(TOKENS - 10, 3));
    }
    loop.gate.release(TOKENS - 20);
    until(() -> loop.steps == TOKENS - 19 && loop.gate.hasQueuedThreads());
    assertEquals(runs, loop.runs);
    loop.gate.release(1_000_000);
    first.await();
    second.await();
    for (Ticket ticket : others) {
      ticket.await();
    }
  }

  @Test
  void cancel_takesEffectAfterTheStepUnderWay() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket victim = submit(100, 1);
    Ticket other = submit(20, 2);
    until(() -> loop.gate.hasQueuedThreads());
    step();
    step();
    until(() -> loop.gate.hasQueuedThreads());
    int before = loop.steps;
    victim.cancel();
    victim.cancel();
    step();
    assertThrows(CancellationException.class, victim::await);
    assertTrue(victim.isDone());
    assertEquals(before + 1, loop.steps);
    loop.gate.release(1000);
    assertAnswer(20, new int[] {2}, other.await());
    victim.cancel();
  }

  @Test
  void cancelOfOneThatWaits_takesItOut() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket first = submit(TOKENS - 1, 1);
    Ticket waiting = submit(TOKENS - 1, 2);
    until(() -> loop.gate.hasQueuedThreads());
    waiting.cancel();
    step();
    assertThrows(CancellationException.class, waiting::await);
    assertFalse(first.isDone());
    loop.gate.release(1000);
    first.await();
  }

  @Test
  void deadlines_endWhatRunsAndWhatWaits() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket patient = submit(50, 1);
    Ticket running = engine.submit(request(100, 2), 3000);
    while (loop.maxMembers < 2) {
      step();
    }
    Ticket waiting = engine.submit(request(190, 3), 20);
    Ticket quick = engine.submit(request(2, 4), 60_000);
    Thread.sleep(3100);
    loop.gate.release(30);
    var ran = assertThrows(DeadlineExceededException.class, running::await);
    assertTrue(ran.getMessage().startsWith("timeout_ms 3000 has passed before"), ran::getMessage);
    var waited = assertThrows(DeadlineExceededException.class, waiting::await);
    assertTrue(waited.getMessage().contains("waited for a place"), waited::getMessage);
    loop.gate.release(1000);
    assertAnswer(50, new int[] {1}, patient.await());
    assertAnswer(2, new int[] {4}, quick.await());
  }

  @Test
  void deviceError_failsWhatRuns_andWhatWaitsIsTried() throws Exception {
    loop.gate = new Semaphore(0);
    loop.failure = cudaException();
    loop.failAtStep = 3;
    List<Ticket> running = List.of(submit(90, 1), submit(90, 2));
    Ticket waiting = submit(150, 3);
    until(() -> loop.gate.hasQueuedThreads());
    loop.gate.release(1000);
    var causes = new ArrayList<CudaException>();
    for (Ticket ticket : running) {
      causes.add(assertThrows(CudaException.class, ticket::await));
    }
    assertNotSame(causes.getFirst(), causes.getLast(), "each gets an exception of its own");
    for (CudaException cause : causes) {
      assertSame(loop.failure, cause.getCause());
      assertEquals(loop.failure.getMessage(), cause.getMessage());
      assertEquals(1, cause.getSuppressed().length, "where it was waited for");
    }
    assertAnswer(150, new int[] {3}, waiting.await());
  }

  private CudaException cudaException() {
    SoftwareDevice.setFault("cuStreamCreate:1:OUT_OF_MEMORY");
    try {
      return assertThrows(CudaException.class, () -> context.run(context::newStream));
    } finally {
      SoftwareDevice.setFault(null);
    }
  }

  @Test
  void admissionThatFails_isThatRequestsAlone() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket first = submit(20, 1);
    until(() -> loop.gate.hasQueuedThreads());
    loop.admissionFailure = new InvalidOptionException("maxTokens", "is too small");
    Ticket second = submit(20, 2);
    Ticket third = submit(20, 3);
    loop.gate.release(1000);
    assertThrows(InvalidOptionException.class, second::await);
    assertAnswer(20, new int[] {1}, first.await());
    assertAnswer(20, new int[] {3}, third.await());
  }

  @Test
  void whatIsTooLarge_isRefusedAtOnce() {
    var e = assertThrows(InvalidOptionException.class, () -> submit(TOKENS + 1, 1));
    assertEquals("maxTokens", e.field());
    assertEquals(0, loop.steps);
  }

  @Test
  void passesOfTheOtherKind_goOn() throws Exception {
    loop.passEvery = 3;
    assertAnswer(10, new int[] {1}, submit(10, 1).await());
    assertEquals(3, loop.continued);
  }

  @Test
  void listener_seesEveryPass_onItsOwnThread_whileOthersGoOn() throws Exception {
    Ticket watched = submit(30, 1);
    Thread self = Thread.currentThread();
    var seen = new ArrayList<StepEvent>();
    Denoised answer =
        watched.await(event -> {
          assertSame(self, Thread.currentThread());
          if (event.pass() == 2) {
            try {
              assertAnswer(40, new int[] {7}, submit(40, 7).await());
            } catch (InterruptedException e) {
              throw new AssertionError(e);
            }
          }
          seen.add(event);
        });
    assertEquals(30, seen.size());
    for (int i = 0; i < 30; i++) {
      assertEquals(i + 1, seen.get(i).pass());
      assertEquals(List.of(answer.trace().get(i)), seen.get(i).commits());
      assertEquals(i, seen.get(i).commits().getFirst().position(), "counted from the answer");
    }
    assertAnswer(30, new int[] {1}, answer);
  }

  @Test
  void listenersException_cancels() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket watched = submit(100, 1);
    var cancelled = new CountDownLatch(1);
    Thread stepping =
        Thread.ofVirtual()
            .start(() -> {
              until(watched::isWatched);
              loop.gate.release(4); // to the end of the run, and an event
              try {
                cancelled.await();
              } catch (InterruptedException e) {
                throw new AssertionError(e);
              }
              loop.gate.release(4);
            });
    var e =
        assertThrows(
            IllegalStateException.class,
            () ->
                watched.await(event -> {
                  throw new IllegalStateException("enough");
                }));
    assertEquals("enough", e.getMessage());
    cancelled.countDown();
    assertThrows(CancellationException.class, watched::await);
    stepping.join();
  }

  @Test
  void subscribers_getAllEvents_slowLateOrByOnes() throws Exception {
    try (var executor = Executors.newVirtualThreadPerTaskExecutor()) {
      var slow = new Collector(Long.MAX_VALUE, 2);
      var quick = new Collector(Long.MAX_VALUE, 0);
      var byOnes = new Collector(0, 0);
      Ticket ticket = submit(60, 1);
      ticket.subscribe(slow, executor);
      ticket.subscribe(quick, executor);
      ticket.subscribe(byOnes, executor);
      Denoised answer = ticket.await();
      var late = new Collector(Long.MAX_VALUE, 0);
      ticket.subscribe(late, executor);
      for (int i = 0; i < 60; i++) {
        until(() -> byOnes.subscription != null);
        byOnes.subscription.request(1);
      }
      for (Collector collector : List.of(slow, quick, late, byOnes)) {
        assertTrue(collector.over.await(20, TimeUnit.SECONDS));
        assertSame(null, collector.failure);
        assertEquals(60, collector.seen.size());
        assertEquals(
            answer.trace(),
            collector.seen.stream().flatMap(event -> event.commits().stream()).toList());
      }
    }
  }

  @Test
  void subscribers_hearOfFailures_andMayLeave() throws Exception {
    loop.gate = new Semaphore(0);
    try (var executor = Executors.newVirtualThreadPerTaskExecutor()) {
      Ticket ticket = submit(50, 1);
      var stays = new Collector(Long.MAX_VALUE, 0);
      var leaves = new Collector(Long.MAX_VALUE, 0);
      var wrong = new Collector(0, 0);
      ticket.subscribe(stays, executor);
      ticket.subscribe(leaves, executor);
      ticket.subscribe(wrong, executor);
      until(() -> leaves.subscription != null && wrong.subscription != null);
      wrong.subscription.request(0);
      assertTrue(wrong.over.await(20, TimeUnit.SECONDS));
      assertInstanceOf(IllegalArgumentException.class, wrong.failure);
      leaves.subscription.cancel();
      loop.gate.release(2);
      until(() -> loop.steps == 2);
      ticket.cancel();
      loop.gate.release(5);
      assertTrue(stays.over.await(20, TimeUnit.SECONDS));
      assertInstanceOf(CancellationException.class, stays.failure);
      assertEquals(1, leaves.over.getCount());
      assertTrue(leaves.seen.isEmpty());
    }
  }

  @Test
  void subscriberThatThrows_onAnExecutorThatRunsInPlace_harmsNobodyElse() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket ticket = submit(5, 1);
    ticket.subscribe(
        new Flow.Subscriber<StepEvent>() {
          @Override
          public void onSubscribe(Flow.Subscription subscription) {
            subscription.request(9);
          }

          @Override
          public void onNext(StepEvent event) {
            throw new IllegalStateException("of the subscriber");
          }

          @Override
          public void onError(Throwable thrown) {}

          @Override
          public void onComplete() {}
        },
        Runnable::run);
    loop.gate.release(100);
    assertAnswer(5, new int[] {1}, ticket.await());
  }

  @Test
  void executorThatRefuses_harmsNobody() throws Exception {
    var executor = Executors.newSingleThreadExecutor();
    executor.shutdown();
    Ticket ticket = submit(5, 1);
    ticket.subscribe(new Collector(1, 0), executor);
    assertAnswer(5, new int[] {1}, ticket.await());
  }

  @Test
  void interruptedWaiter_leavesTheGenerationAlone() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket ticket = submit(5, 1);
    Thread.currentThread().interrupt();
    assertThrows(InterruptedException.class, ticket::await);
    assertFalse(ticket.await(1, TimeUnit.MILLISECONDS));
    loop.gate.release(100);
    assertAnswer(5, new int[] {1}, ticket.await());
    assertTrue(ticket.await(1, TimeUnit.MILLISECONDS));
  }

  @Test
  void onTheDeviceThread_waitingDoesTheWork() {
    var seen = new AtomicInteger();
    context.run(() -> {
      try {
        assertAnswer(12, new int[] {1}, submit(12, 1).await());
        submit(7, 2).await(event -> seen.incrementAndGet());
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    });
    assertEquals(7, seen.get());
  }

  @Test
  void otherWork_getsTheDeviceThreadBetweenSteps() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket ticket = submit(100, 1);
    until(() -> loop.gate.hasQueuedThreads());
    var at = new AtomicInteger();
    Thread other = Thread.ofVirtual().start(() -> engine.between(() -> at.set(loop.steps)));
    while (at.get() == 0) {
      loop.gate.release();
      Thread.sleep(1);
    }
    other.join();
    assertTrue(at.get() < 100, "at " + at.get());
    assertFalse(ticket.isDone());
    assertThrows(
        IllegalStateException.class,
        () -> {
          loop.gate.release(1000);
          engine.between(() -> {
            throw new IllegalStateException("of the work");
          });
        });
    ticket.await();
  }

  @Test
  void close_cancelsWhatIsInFlight_andLaterOnesAreRefused() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket running = submit(100, 1);
    Ticket waiting = submit(150, 2);
    until(() -> loop.gate.hasQueuedThreads());
    Thread closing = Thread.ofVirtual().start(engine::close);
    while (closing.isAlive()) {
      loop.gate.release();
      Thread.sleep(1);
    }
    assertThrows(CancellationException.class, running::await);
    assertThrows(CancellationException.class, waiting::await);
    assertThrows(IllegalStateException.class, () -> submit(1, 1));
    assertTrue(loop.steps < 100);
  }
}
