package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/// What is wanted at awkward moments: no wish is lost, and nobody is left waiting.
class EngineWishesTest extends EngineFixture {
  @Test
  void hugeTimeout_leavesTheDeadlinesOfOthersAlone() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket patient = engine.submit(request(90, 1), Long.MAX_VALUE);
    Ticket waiting = engine.submit(request(190, 2), 20);
    until(() -> loop.gate.hasQueuedThreads());
    Thread.sleep(30);
    loop.gate.release(10);
    assertThrows(DeadlineExceededException.class, waiting::await);
    loop.gate.release(1000);
    assertAnswer(90, new int[] {1}, patient.await());
  }

  @Test
  void workThatComesAsTheStopWordIsCleared_isDoneBeforeTheRun() throws Exception {
    var at = new AtomicInteger(-1);
    loop.beforeClear =
        () -> {
          Thread.ofVirtual().start(() -> engine.between(() -> at.set(loop.steps)));
          until(loop::isStopped);
        };
    submit(100, 1).await();
    until(() -> at.get() >= 0);
    assertTrue(at.get() <= 1, "at " + at.get());
  }

  @Test
  void workThatComesOneAfterTheOther_doesNotHoldStepsUp() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket ticket = submit(3, 1);
    var scorers = new ArrayList<Thread>();
    for (int i = 0; i < 4; i++) {
      scorers.add(
          Thread.ofPlatform()
              .start(() -> {
                while (!ticket.isDone()) {
                  engine.between(() -> {});
                }
              }));
    }
    loop.gate.release(100);
    ticket.await();
    for (Thread scorer : scorers) {
      scorer.join();
    }
  }

  @Test
  void insideAStep_nothingMayBeDoneBetweenSteps() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket ticket = submit(3, 1);
    var refused = new AtomicInteger();
    Runnable attempts =
        () -> {
          assertThrows(IllegalStateException.class, () -> engine.between(() -> {}));
          assertThrows(IllegalStateException.class, engine::close);
          refused.incrementAndGet();
        };
    ticket.subscribe(
        new Collector(9, 0) {
          @Override
          public void onNext(StepEvent event) {
            attempts.run();
          }
        },
        Runnable::run);
    loop.gate.release(100);
    assertAnswer(3, new int[] {1}, ticket.await());
    assertEquals(3, refused.get());
    assertAnswer(3, new int[] {2}, submit(3, 2).await());
  }

  @Test
  void placeThatIsNotGivenBackCleanly_strandsNobody() throws Exception {
    loop.gate = new Semaphore(0);
    loop.releaseFailure = new IllegalStateException("of the release");
    Ticket ticket = submit(3, 1);
    loop.gate.release(100);
    assertAnswer(3, new int[] {1}, ticket.await());

    loop.gate = new Semaphore(0);
    Ticket cancelled = submit(3, 1);
    until(() -> loop.gate.hasQueuedThreads());
    loop.releaseFailure = new IllegalStateException("of the release");
    cancelled.cancel();
    loop.gate.release(100);
    assertThrows(CancellationException.class, cancelled::await);
    assertAnswer(3, new int[] {2}, submit(3, 2).await());
  }

  @Test
  void close_endsWhoWaitsOnTheDeviceThread() throws Exception {
    loop.gate = new Semaphore(0);
    Ticket ticket = submit(100, 1);
    var waiter =
        Thread.ofVirtual()
            .start(
                () -> context.run(() -> assertThrows(CancellationException.class, ticket::await)));
    until(() -> loop.gate.hasQueuedThreads());
    Thread closing = Thread.ofVirtual().start(engine::close);
    while (closing.isAlive() || waiter.isAlive()) {
      loop.gate.release();
      Thread.sleep(1);
    }
    assertTrue(loop.steps < 100, "steps " + loop.steps);
  }
}
