package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class DeviceThreadTest {
  private final DeviceThread thread = new DeviceThread("device-thread-test");

  @AfterEach
  void end() {
    thread.end();
  }

  @Test
  void call_runsOnTheThreadAndInlineOnItself() {
    assertEquals(
        "device-thread-test",
        thread.call(() -> thread.call(() -> Thread.currentThread().getName())));
    assertTrue(thread.call(() -> Thread.currentThread().isDaemon()));
    assertFalse(thread.call(() -> Thread.currentThread().isVirtual()));
  }

  @Test
  void call_rethrowsWithTheCallersStack() {
    var mine = new IllegalArgumentException("mine");
    var thrown =
        assertThrows(
            IllegalArgumentException.class,
            () ->
                thread.call(() -> {
                  throw mine;
                }));
    assertSame(mine, thrown);
    Throwable caller = thrown.getSuppressed()[0];
    assertTrue(caller.getMessage().contains(Thread.currentThread().getName()));
    assertTrue(
        List.of(caller.getStackTrace()).stream()
            .anyMatch(frame -> frame.getClassName().equals(DeviceThreadTest.class.getName())));
  }

  @Test
  void call_wrapsCheckedExceptionsAndPassesErrors() {
    assertThrows(
        UncheckedIOException.class,
        () ->
            thread.call(() -> {
              throw new IOException("io");
            }));
    assertThrows(
        CompletionException.class,
        () ->
            thread.call(() -> {
              throw new InterruptedException();
            }));
    assertThrows(
        StackOverflowError.class,
        () ->
            thread.call(() -> {
              throw new StackOverflowError();
            }));
    assertEquals(1, thread.call(() -> 1), "the thread has survived");
  }

  @Test
  void call_waitsThroughInterruptsAndKeepsTheFlag() throws InterruptedException {
    var started = new CountDownLatch(1);
    var release = new CountDownLatch(1);
    var seen = new ArrayList<Object>();
    Thread caller =
        Thread.ofPlatform()
            .start(() -> {
              seen.add(
                  thread.call(() -> {
                    started.countDown();
                    release.await();
                    return "result";
                  }));
              seen.add(Thread.currentThread().isInterrupted());
            });
    started.await();
    caller.interrupt();
    release.countDown();
    caller.join();
    assertEquals(List.of("result", true), seen);
  }

  @Test
  void call_servesManyVirtualThreads() throws InterruptedException {
    var sum = new AtomicInteger();
    var unsafe = new int[1];
    var threads = new ArrayList<Thread>();
    for (int i = 0; i < 200; i++) {
      threads.add(
          Thread.startVirtualThread(
              () -> sum.addAndGet(thread.call(() -> ++unsafe[0] > 0 ? 1 : 0))));
    }
    for (Thread each : threads) {
      each.join();
    }
    assertEquals(200, sum.get());
    assertEquals(200, unsafe[0]);
  }

  @Test
  void end_finishesWhatWasHandedInAndRefusesMore() throws InterruptedException {
    var started = new CountDownLatch(1);
    var release = new CountDownLatch(1);
    var results = new ArrayList<Integer>();
    Thread first =
        Thread.startVirtualThread(() ->
            thread.call(() -> {
              started.countDown();
              release.await();
              return results.add(1);
            }));
    started.await();
    Thread ending = Thread.startVirtualThread(thread::end);
    release.countDown();
    ending.join();
    first.join();
    assertEquals(List.of(1), results);
    assertThrows(IllegalStateException.class, () -> thread.call(() -> 1));
  }
}
