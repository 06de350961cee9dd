package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.CudaException;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.diffusion.DeadlineExceededException;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.StepEvent;
import dev.remask.testing.TestDevices;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Many requests at once, as an embedder sees it.
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class SessionTest {
  private long allocations;

  @BeforeEach
  void countAllocations() {
    allocations = SoftwareDevice.liveAllocations();
  }

  @AfterEach
  void nothingLeaks() {
    SoftwareDevice.setFault(null);
    assertEquals(allocations, SoftwareDevice.liveAllocations());
  }

  private static Model tiny() {
    return Remask.load(
        Remask.defaultModel(), LoadOptions.defaults().withDevice(TestDevices.software()));
  }

  private static Path micro() throws Exception {
    return Path.of(SessionTest.class.getResource("/golden/micro/config.json").toURI()).getParent();
  }

  private static GenerateRequest request(int length, int... prompt) {
    return GenerateRequest.builder()
        .promptIds(prompt)
        .options(DiffusionOptions.builder().genLength(length).build())
        .build();
  }

  @Test
  void answersTogether_areThoseOfEachAlone() throws Exception {
    try (Model model = tiny();
        Session session = model.session()) {
      List<GenerateRequest> requests = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        requests.add(request(4 + i * 3, 260, i, 220));
      }
      List<Generation> generations = requests.stream().map(session::submit).toList();
      for (int i = 11; i >= 0; i--) {
        GenerateResult together = generations.get(i).await();
        assertArrayEquals(model.generate(requests.get(i)).outputIds(), together.outputIds());
        assertArrayEquals(together.outputIds(), generations.get(i).await().outputIds(), "again");
        assertTrue(together.trace().isEmpty(), "not asked for");
        assertEquals(requests.get(i), generations.get(i).request());
      }
      assertEquals(0, session.inFlight());
    }
  }

  @Test
  void events_comeWhileItRuns_andCancelEndsItWithinAStep() throws Exception {
    try (Model model = tiny();
        Session session = model.session();
        var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Generation other = session.submit(request(40, 5, 6));
      Generation generation = session.submit(request(240, 1, 2, 3));
      assertEquals(240, generation.initialIds().length);
      assertEquals(GenerateRequest.MASK, generation.initialIds()[7]);
      var first = new CountDownLatch(1);
      var failed = new CountDownLatch(1);
      var running = new AtomicBoolean();
      generation
          .events(threads)
          .subscribe(
              new Flow.Subscriber<StepEvent>() {
                @Override
                public void onSubscribe(Flow.Subscription subscription) {
                  subscription.request(Long.MAX_VALUE);
                }

                @Override
                public void onNext(StepEvent event) {
                  if (event.pass() == 1) {
                    running.set(!generation.isDone());
                    first.countDown();
                  }
                }

                @Override
                public void onError(Throwable thrown) {
                  failed.countDown();
                }

                @Override
                public void onComplete() {}
              });
      assertTrue(first.await(60, TimeUnit.SECONDS));
      assertTrue(running.get(), "the first event came before the end");
      generation.cancel();
      assertThrows(CancellationException.class, generation::await);
      assertTrue(failed.await(60, TimeUnit.SECONDS));
      assertEquals(40, other.await().outputIds().length);
    }
  }

  @Test
  void timeout_endsOneRequest() throws Exception {
    try (Model model = tiny();
        Session session = model.session()) {
      GenerateRequest slow =
          GenerateRequest.builder()
              .promptIds(1)
              .options(DiffusionOptions.builder().genLength(250).build())
              .timeoutMs(5)
              .build();
      Generation late = session.submit(slow);
      Generation fine = session.submit(request(12, 4));
      assertThrows(DeadlineExceededException.class, late::await);
      assertThrows(DeadlineExceededException.class, () -> model.generate(slow));
      assertEquals(12, fine.await().outputIds().length);
    }
  }

  @Test
  void closing_endsWhatIsInFlight() throws Exception {
    Model model = tiny();
    Session session = model.session();
    Session other = model.session();
    Generation ended = session.submit(request(240, 1));
    Generation stays = other.submit(request(240, 2));
    session.close();
    session.close();
    assertTrue(ended.isDone());
    assertThrows(CancellationException.class, ended::await);
    assertFalse(stays.isDone());
    assertThrows(IllegalStateException.class, () -> session.submit(request(1, 1)));
    model.close();
    var e = assertThrows(CancellationException.class, stays::await);
    assertEquals("the model was closed", e.getMessage());
    assertThrows(IllegalStateException.class, () -> other.submit(request(1, 1)));
    assertThrows(IllegalStateException.class, model::session);
    other.close();
  }

  @Test
  void deviceError_failsThoseInFlight_andTheModelCanBeReloaded() throws Exception {
    var options = LoadOptions.defaults().withDevice(TestDevices.software());
    int[] answer;
    try (Model model = Remask.load(micro(), options);
        Session session = model.session()) {
      answer = model.generate(request(20, 1, 2)).outputIds();
      List<Generation> generations = new ArrayList<>();
      SoftwareDevice.setFault("cuMemcpyHtoDAsync:40:ILLEGAL_ADDRESS");
      for (int i = 0; i < 8; i++) {
        generations.add(session.submit(request(60, i)));
      }
      int struck = 0;
      for (Generation generation : generations) {
        try {
          generation.await();
        } catch (CudaException e) {
          struck++;
          assertTrue(e.getMessage().contains("ILLEGAL_ADDRESS"), e.getMessage());
        }
      }
      assertTrue(struck > 0, "somebody was struck");
      SoftwareDevice.setFault(null);
      assertArrayEquals(answer, model.generate(request(20, 1, 2)).outputIds());
    }
    try (Model again = Remask.load(micro(), options)) {
      assertArrayEquals(answer, again.generate(request(20, 1, 2)).outputIds());
    }
  }

  @Test
  void whatCannotFit_isRefusedByName_beforeAnythingRuns() throws Exception {
    var small =
        LoadOptions.defaults()
            .withDevice(TestDevices.software())
            .withMaxTokens(60)
            .withMaxRows(20)
            .withMaxSequences(2);
    try (Model model = Remask.load(micro(), small);
        Session session = model.session()) {
      var tokens = assertThrows(RequestException.class, () -> session.submit(request(61)));
      assertEquals("maxTokens", tokens.field());
      var rows = assertThrows(RequestException.class, () -> session.submit(request(21)));
      assertEquals("maxRows", rows.field());
      assertEquals(0, session.inFlight());
      List<Generation> inTurn = new ArrayList<>();
      for (int i = 0; i < 10; i++) {
        inTurn.add(session.submit(request(20, i)));
      }
      for (Generation generation : inTurn) {
        assertEquals(20, generation.await().outputIds().length);
      }
    }
  }

  @Test
  void session_startsNoThread() throws Exception {
    try (Model model =
        Remask.load(micro(), LoadOptions.defaults().withDevice(TestDevices.software()))) {
      model.generate(request(8, 1));
      Set<String> before = threads();
      try (Session session = model.session()) {
        Generation generation = session.submit(request(30, 1));
        var seen = new TreeSet<String>();
        generation.await(event -> seen.addAll(threads()));
        seen.removeAll(before);
        assertEquals(Set.of(), seen);
      }
      assertEquals(before, threads());
    }
  }

  private static Set<String> threads() {
    return Thread.getAllStackTraces().keySet().stream()
        .map(Thread::getName)
        .collect(Collectors.toCollection(TreeSet::new));
  }
}
