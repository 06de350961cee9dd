package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.kernel.SpecialTokens;
import dev.remask.testing.TestDevices;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Requests that join and leave a batch between steps: each as if it were alone, bit for bit.
class JoinAndLeaveTest {
  private static final int TASKS = Integer.getInteger("remask.joins", 40);

  private static final String LOOP = "remask.loop";

  /// What came of a request; records hold the bits of confidences.
  private record Outcome(int[] canvas, List<Commit> commits, int passes) {}

  private static final Runnable NO_POLL = () -> {};

  @AfterEach
  void anyLoop() {
    System.clearProperty(LOOP);
  }

  @ParameterizedTest
  @CsvSource({"F32, while", "F32, steps", "BF16, while", "BF16, steps"})
  void anyPack_equalsTheSoloRuns(DType dtype, String mode) {
    System.setProperty(LOOP, mode);
    long seed = Long.getLong("remask.joins.seed", System.nanoTime());
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), dtype, GoldenModel.MICRO);
        var loop = DeviceLoop.create(loaded.context, loaded.predictor, loaded.denoiser.tokens())) {
      SpecialTokens tokens = loaded.denoiser.tokens();
      var source = new RandomTasks(seed, loaded.predictor.config(), tokens);
      var requests = new ArrayList<SlotRequest>();
      for (int i = 0; i < TASKS; i++) {
        requests.add(SlotRequest.of(source.next(24), tokens, true));
      }
      loaded.context.run(() -> {
        var solo = new ArrayList<Outcome>();
        for (SlotRequest request : requests) {
          solo.add(alone(loop, request));
        }
        List<Outcome> packed = packed(loop, requests, new Random(seed));
        for (int i = 0; i < TASKS; i++) {
          if (packed.get(i) != null) {
            String message = "seed " + seed + ", request " + i + " " + requests.get(i).options();
            assertEquals(solo.get(i).commits, packed.get(i).commits, message);
            assertArrayEquals(solo.get(i).canvas, packed.get(i).canvas, message);
            assertEquals(solo.get(i).passes, packed.get(i).passes, message);
          }
        }
      });
    }
  }

  private static Outcome alone(DeviceLoop loop, SlotRequest request) {
    Slot slot = loop.admit(request);
    Outcome outcome = null;
    loop.stopWord().clear();
    while (outcome == null) {
      loop.run(List.of(slot), NO_POLL);
      outcome = next(loop, slot);
    }
    return outcome;
  }

  /// What came of it if it has ended, else null and it goes on.
  private static Outcome next(DeviceLoop loop, Slot slot) {
    return switch (slot.progress().status()) {
      case RUNNING -> null;
      case WANTS_PASS -> {
        loop.continuePass(slot);
        yield null;
      }
      case WANTS_LENGTH -> {
        loop.extend(slot);
        yield null;
      }
      case FILLED, STOPPED, STUCK -> {
        CommitLog log = loop.log(slot);
        var commits = new ArrayList<Commit>();
        for (int i = 0; i < log.size(); i++) {
          commits.add(log.get(i));
        }
        var outcome = new Outcome(loop.canvas(slot), commits, slot.progress().passes());
        loop.release(slot);
        yield outcome;
      }
    };
  }

  private static List<Outcome> packed(DeviceLoop loop, List<SlotRequest> requests, Random random) {
    var outcomes = new Outcome[requests.size()];
    var waiting = new ArrayDeque<Integer>();
    for (int i = 0; i < requests.size(); i++) {
      waiting.add(i);
    }
    var running = new ArrayList<Slot>();
    var names = new ArrayList<Integer>();
    int most = 0;
    while (!waiting.isEmpty() || !running.isEmpty()) {
      for (int joins = random.nextInt(3); joins > 0 && !waiting.isEmpty(); joins--) {
        Slot slot = loop.admit(requests.get(waiting.peek()));
        if (slot != null) {
          int at = random.nextInt(running.size() + 1);
          running.add(at, slot);
          names.add(at, waiting.remove());
        }
      }
      if (running.isEmpty()) {
        continue;
      }
      most = Math.max(most, running.size());
      if (random.nextInt(50) == 0) {
        int at = random.nextInt(running.size());
        loop.release(running.remove(at));
        names.remove(at);
        continue;
      }
      // Set before the run it ends that after one step.
      loop.stopWord().clear();
      if (random.nextBoolean()) {
        loop.stopWord().set();
      }
      // Some sit a run out.
      var members = new ArrayList<Slot>();
      for (Slot slot : running) {
        if (members.isEmpty() || random.nextInt(8) > 0) {
          members.add(slot);
        }
      }
      loop.run(members, NO_POLL);
      for (Slot slot : members) {
        Outcome outcome = next(loop, slot);
        if (outcome != null) {
          int at = running.indexOf(slot);
          running.remove(at);
          outcomes[names.remove(at)] = outcome;
        }
      }
    }
    assertTrue(most > 1, "a pack holds several");
    return Arrays.asList(outcomes);
  }
}
