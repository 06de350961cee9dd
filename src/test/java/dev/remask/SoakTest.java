package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.CudaException;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.diffusion.Commit;
import dev.remask.diffusion.DeadlineExceededException;
import dev.remask.diffusion.StepEvent;
import dev.remask.kernel.DType;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Flow;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Many random requests at once, some cancelled, late, watched or struck by injected faults: what
/// survives is what it is alone, and memory ends where it began.
///
/// `-Dremask.soak.requests=10000` makes it the long one.
class SoakTest {
  private static final int REQUESTS = Integer.getInteger("remask.soak.requests", 1200);

  /// The model is loaded so often, in both dtypes in turn.
  private static final int LOADS = Integer.getInteger("remask.soak.loads", 4);

  private static final int VOCABULARY = 499;
  private static final int MOST_DISTINCT = 500;
  private static final int OUTSTANDING = 48;
  private static final int REQUESTS_PER_FAULT = 60;
  private static final long NATIVE_GROWTH_BYTES = 48L << 20;
  private static final long JAVA_END = 32L << 30;

  private static final String[] FAULTY_CALLS = {
    "cuMemcpyHtoDAsync",
    "cuMemcpyDtoHAsync",
    "cuLaunchKernel",
    "cuGraphLaunch",
    "cuGraphInstantiateWithFlags",
    "cuStreamBeginCapture",
    "cuStreamEndCapture",
    "cuStreamSynchronize",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuEventQuery"
  };

  private static final String[] ERRORS = {
    "OUT_OF_MEMORY", "LAUNCH_FAILED", "ILLEGAL_ADDRESS", "INVALID_VALUE", "LAUNCH_OUT_OF_RESOURCES"
  };

  private final AtomicReference<Throwable> wrong = new AtomicReference<>();
  private final AtomicInteger ended = new AtomicInteger();
  private final AtomicInteger survived = new AtomicInteger();
  private final AtomicInteger watched = new AtomicInteger();
  private final AtomicInteger cancelled = new AtomicInteger();
  private final AtomicInteger late = new AtomicInteger();
  private final AtomicInteger struck = new AtomicInteger();
  private final AtomicInteger faults = new AtomicInteger();
  private final AtomicInteger refused = new AtomicInteger();

  /// A request and what it comes to when nobody else is there.
  private record Known(GenerateRequest request, GenerateResult alone) {}

  @AfterEach
  void noFaultStays() {
    SoftwareDevice.setFault(null);
  }

  @Test
  void whatSurvives_isWhatItIsAlone_andMemoryEndsWhereItBegan(TestReporter reporter)
      throws Exception {
    Seed seed = Seed.fresh();
    var random = new Random(seed.random().nextLong());
    long begin = System.nanoTime();
    List<Long> nativeBytes = new ArrayList<>();
    long allocations = 0;
    long bytes = 0;
    for (int load = 0; load < LOADS; load++) {
      if (load == 0) {
        loadAndClose();
        allocations = SoftwareDevice.liveAllocations();
        bytes = SoftwareDevice.liveBytes();
      }
      DType dtype = load % 2 == 0 ? DType.F32 : DType.BF16;
      soak(dtype, REQUESTS / LOADS, random, seed);
      assertEquals(allocations, SoftwareDevice.liveAllocations(), seed::toString);
      assertEquals(bytes, SoftwareDevice.liveBytes(), seed::toString);
      nativeBytes.add(nativeBytes());
    }
    long growth = nativeBytes.getLast() - nativeBytes.get(1); // each dtype has been loaded by then
    String figures =
        "%s: %d requests in %.0f s: %d equal to their solo runs (%d of them watched), %d cancelled,"
                .formatted(
                    seed,
                    ended.get(),
                    (System.nanoTime() - begin) / 1e9,
                    survived.get(),
                    watched.get(),
                    cancelled.get())
            + " %d late, %d struck by %d faults, %d refused; native MiB after each load: %s"
                .formatted(
                    late.get(),
                    struck.get(),
                    faults.get(),
                    refused.get(),
                    nativeBytes.stream().map(bytesThen -> bytesThen >> 20).toList());
    reporter.publishEntry("soak", figures);
    assertEquals(REQUESTS / LOADS * LOADS, ended.get(), figures);
    assertTrue(survived.get() > REQUESTS / 3, figures);
    assertTrue(watched.get() > 0 && cancelled.get() > 0 && struck.get() > 0, figures);
    assertTrue(growth < NATIVE_GROWTH_BYTES, figures);
  }

  private static LoadOptions options(DType dtype) {
    return LoadOptions.defaults()
        .withDevice(TestDevices.software())
        .withDType(dtype)
        .withMaxTokens(320)
        .withMaxRows(128)
        .withMaxSequences(16)
        .withMaxCacheTokens(200);
  }

  private static Path micro() throws Exception {
    return Path.of(SoakTest.class.getResource("/golden/micro/config.json").toURI()).getParent();
  }

  /// What a process allocates once, it has allocated after this.
  private static void loadAndClose() throws Exception {
    try (Model model = Remask.load(micro(), options(DType.F32))) {
      model.generate(GenerateRequest.builder().promptIds(1, 2, 3).build());
    }
  }

  private void soak(DType dtype, int requests, Random random, Seed seed) throws Exception {
    try (Model model = Remask.load(micro(), options(dtype))) {
      List<Known> known = known(model, Math.min(requests, MOST_DISTINCT), random);
      long allocations = SoftwareDevice.liveAllocations();
      long bytes = SoftwareDevice.liveBytes();
      try (Session session = model.session();
          ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
        var room = new Semaphore(OUTSTANDING);
        for (int i = 0; i < requests && wrong.get() == null; i++) {
          room.acquire();
          Known one = known.get(random.nextInt(known.size()));
          var fate = new Random(random.nextLong());
          threads.execute(() -> {
            try {
              drive(session, one, fate, threads);
            } catch (Throwable thrown) {
              wrong.compareAndSet(null, new AssertionError(seed + " " + dtype, thrown));
            } finally {
              room.release();
            }
          });
          if (i % REQUESTS_PER_FAULT == REQUESTS_PER_FAULT / 2) {
            injectFault(random);
          }
        }
        if (!room.tryAcquire(OUTSTANDING, 120, TimeUnit.SECONDS)) {
          throw new AssertionError(seed + ": requests hang", wrong.get());
        }
        SoftwareDevice.setFault(null);
        rethrow();
        assertEquals(0, session.inFlight());
      }
      assertEquals(bytes, SoftwareDevice.liveBytes(), () -> "bytes while loaded, " + seed);
      assertEquals(allocations, SoftwareDevice.liveAllocations(), () -> "while loaded, " + seed);
      for (int i = 0; i < 10; i++) {
        Known one = known.get(random.nextInt(known.size()));
        assertSame(one, model.generate(one.request), seed + " after all");
      }
    }
  }

  private void rethrow() {
    if (wrong.get() != null) {
      throw new AssertionError(wrong.get());
    }
  }

  private List<Known> known(Model model, int count, Random random) {
    var known = new ArrayList<Known>();
    while (known.size() < count) {
      GenerateRequest request =
          with(RandomRequests.next(random, VOCABULARY), json -> json.put("trace", true));
      try {
        known.add(new Known(request, model.generate(request)));
      } catch (RequestException e) {
        refused.incrementAndGet(); // most mixtures make no sense
      }
    }
    return known;
  }

  private static GenerateRequest with(
      GenerateRequest request, java.util.function.Consumer<ObjectNode> change) {
    var json = (ObjectNode) JsonMapper.shared().readTree(request.toJson());
    change.accept(json);
    return GenerateRequest.fromJson(json.toString());
  }

  private void injectFault(Random random) {
    String call = FAULTY_CALLS[random.nextInt(FAULTY_CALLS.length)];
    String error = ERRORS[random.nextInt(ERRORS.length)];
    SoftwareDevice.setFault(call + ":" + (1 + random.nextInt(200)) + ":" + error);
    faults.incrementAndGet();
  }

  private void drive(Session session, Known one, Random fate, ExecutorService threads)
      throws Exception {
    boolean lateOne = fate.nextInt(12) == 0;
    GenerateRequest request =
        lateOne
            ? with(one.request, json -> json.put("timeout_ms", 1 + fate.nextInt(30)))
            : one.request;
    Generation generation = session.submit(request);
    try {
      switch (fate.nextInt(8)) {
        case 0 -> {
          Thread.sleep(fate.nextInt(8));
          generation.cancel();
          assertSame(one, generation.await(), "cancelled too late");
        }
        case 1 -> assertListened(one, generation, fate);
        case 2 -> assertSubscribed(one, generation, fate, threads);
        default -> assertSame(one, generation.await(), "in company");
      }
      survived.incrementAndGet();
    } catch (CancellationException e) {
      cancelled.incrementAndGet();
    } catch (DeadlineExceededException e) {
      assertTrue(lateOne, e.getMessage());
      late.incrementAndGet();
    } catch (CudaException e) {
      struck.incrementAndGet();
    } finally {
      assertTrue(generation.isDone());
      ended.incrementAndGet();
    }
  }

  private void assertListened(Known one, Generation generation, Random fate) throws Exception {
    List<Commit> commits = new ArrayList<>();
    boolean slow = fate.nextInt(4) == 0;
    GenerateResult result =
        generation.await(event -> {
          commits.addAll(event.commits());
          if (slow) {
            pause(2);
          }
        });
    assertSame(one, result, "listened to");
    assertEquals(one.alone.trace(), commits);
    watched.incrementAndGet();
  }

  private static void pause(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void assertSubscribed(
      Known one, Generation generation, Random fate, ExecutorService threads) throws Exception {
    var subscriber = new ByOnes();
    Thread.sleep(fate.nextInt(4)); // late, perhaps
    generation.events(threads).subscribe(subscriber);
    GenerateResult result = generation.await();
    assertTrue(subscriber.over.await(60, TimeUnit.SECONDS), "the subscriber hears of the end");
    assertNull(subscriber.failure);
    assertSame(one, result, "subscribed to");
    assertEquals(one.alone.trace(), subscriber.commits);
    watched.incrementAndGet();
  }

  private static final class ByOnes implements Flow.Subscriber<StepEvent> {
    final List<Commit> commits = new ArrayList<>();
    final CountDownLatch over = new CountDownLatch(1);
    volatile Throwable failure;
    private Flow.Subscription subscription;

    @Override
    public void onSubscribe(Flow.Subscription given) {
      subscription = given;
      given.request(1);
    }

    @Override
    public void onNext(StepEvent event) {
      commits.addAll(event.commits());
      subscription.request(1);
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

  private static void assertSame(Known one, GenerateResult result, String when) {
    String what = when + ": " + one.request.toJson();
    assertArrayEquals(one.alone.outputIds(), result.outputIds(), what);
    assertEquals(one.alone.finishReason(), result.finishReason(), what);
    assertEquals(one.alone.forwardPasses(), result.forwardPasses(), what);
    assertEquals(one.alone.trace(), result.trace(), what);
    assertArrayEquals(one.alone.canvasIds().orElse(null), result.canvasIds().orElse(null), what);
  }

  /// Anonymous memory of the process that is not Java's heap or classes, which lie in the first 32
  /// GiB of addresses: what malloc, stacks, and the JIT hold.
  private static long nativeBytes() throws IOException {
    long total = 0;
    boolean counts = false;
    for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
      if (line.matches("^[0-9a-f]+-[0-9a-f]+ .*")) {
        counts = Long.parseUnsignedLong(line.substring(0, line.indexOf('-')), 16) >= JAVA_END;
      } else if (counts && line.startsWith("Anonymous:")) {
        total += Long.parseLong(line.replaceAll("\\D", "")) << 10;
      }
    }
    return total;
  }
}
