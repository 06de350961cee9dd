package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.Scheduler.Demand;
import dev.remask.testing.Seed;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Which requests run together, by simulation: time is a counter, a request is a number.
class SchedulerTest {
  private static final Demand LIMITS = new Demand(1024, 256, 16, 2048);
  private static final int LONGEST = 40;

  /// A request of the simulation: when it comes, what it takes, how many passes it runs, and the
  /// pass after its arrival in which its caller gives up (0: never).
  private record Job(int arrival, Demand demand, int passes, int givesUpAfter) {}

  private static final class Simulation {
    final List<Job> jobs;
    final Scheduler<Integer> scheduler = new Scheduler<>(LIMITS);
    final Map<Integer, Integer> passesLeft = new HashMap<>();
    final List<Integer> admitted = new ArrayList<>();
    final int[] overtakenBy;
    final int[] admittedAt;
    final int[] endedAt;
    final boolean[] gaveUp;
    int now;

    /// Places that the device refuses although the numbers fit, as a fragmented arena would.
    final SplittableRandom refusals;

    Simulation(List<Job> jobs, SplittableRandom refusals) {
      this.jobs = jobs;
      this.refusals = refusals;
      overtakenBy = new int[jobs.size()];
      admittedAt = new int[jobs.size()];
      endedAt = new int[jobs.size()];
      gaveUp = new boolean[jobs.size()];
      java.util.Arrays.fill(admittedAt, -1);
      java.util.Arrays.fill(endedAt, -1);
    }

    void run() {
      int next = 0;
      int ended = 0;
      while (ended < jobs.size()) {
        while (next < jobs.size() && jobs.get(next).arrival() <= now) {
          scheduler.submit(next, jobs.get(next).demand());
          next++;
        }
        ended += giveUp();
        int before = scheduler.waitingCount();
        scheduler.admit(this::place);
        checkLimits();
        checkHeadWaitsOnlyForRoom(before);
        ended += pass();
        now++;
        assertTrue(now < 10_000_000, "every request ends");
      }
    }

    private boolean place(int job) {
      boolean somethingRuns = !passesLeft.isEmpty();
      if (refusals != null && somethingRuns && refusals.nextInt(4) == 0) {
        return false;
      }
      for (int waiting : scheduler.waiting()) {
        if (waiting < job) {
          overtakenBy[waiting]++;
        }
      }
      admitted.add(job);
      admittedAt[job] = now;
      passesLeft.put(job, jobs.get(job).passes());
      return true;
    }

    private int giveUp() {
      int ended = 0;
      for (int job = 0; job < jobs.size() && jobs.get(job).arrival() <= now; job++) {
        int after = jobs.get(job).givesUpAfter();
        if (endedAt[job] < 0 && after > 0 && now - jobs.get(job).arrival() >= after) {
          if (passesLeft.remove(job) != null) {
            scheduler.finish(job);
          } else {
            assertTrue(scheduler.withdraw(job));
          }
          gaveUp[job] = true;
          endedAt[job] = now;
          ended++;
        }
      }
      return ended;
    }

    private int pass() {
      int ended = 0;
      for (int job : List.copyOf(passesLeft.keySet())) {
        if (passesLeft.merge(job, -1, Integer::sum) == 0) {
          passesLeft.remove(job);
          scheduler.finish(job);
          endedAt[job] = now;
          ended++;
        }
      }
      return ended;
    }

    private Demand used() {
      var used = new Demand(0, 0, 0, 0);
      for (int job : passesLeft.keySet()) {
        used = used.plus(jobs.get(job).demand());
      }
      return used;
    }

    private void checkLimits() {
      Demand used = used();
      assertTrue(used.fits(LIMITS), () -> "limits hold at " + now);
      assertEquals(passesLeft.size(), scheduler.runningCount());
    }

    private void checkHeadWaitsOnlyForRoom(int before) {
      if (before > 0 && scheduler.waitingCount() > 0 && refusals == null) {
        int head = scheduler.waiting().getFirst();
        Demand free = LIMITS.minus(used()); // what was given back included
        assertFalse(jobs.get(head).demand().fits(free), "the first one had room");
      }
    }
  }

  private static List<Job> jobs(SplittableRandom random, int count, int spread) {
    List<Job> jobs = new ArrayList<>();
    int arrival = 0;
    for (int i = 0; i < count; i++) {
      arrival += random.nextInt(spread + 1);
      boolean large = random.nextInt(10) == 0;
      int tokens = large ? 500 + random.nextInt(525) : 1 + random.nextInt(120);
      int rows = large ? 64 + random.nextInt(193) : 1 + random.nextInt(64);
      int sequences = 1 + random.nextInt(2);
      int cache = random.nextInt(3) == 0 ? tokens : 0;
      int givesUp = random.nextInt(8) == 0 ? 1 + random.nextInt(3 * LONGEST) : 0;
      jobs.add(
          new Job(
              arrival,
              new Demand(tokens, rows, sequences, cache),
              1 + random.nextInt(LONGEST),
              givesUp));
    }
    return jobs;
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 2, 8, 30})
  void thousandsOfArrivals_keepLimitsOrderAndEnds(int spread) {
    Seed seed = Seed.fresh();
    List<Job> jobs = jobs(seed.random(), 5_000, spread);
    var simulation = new Simulation(jobs, null);
    simulation.run();
    check(simulation, seed);
    var again = new Simulation(jobs, null);
    again.run();
    assertEquals(simulation.admitted, again.admitted, "the same arrivals, the same admissions");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 8})
  void placesThatAreRefused_keepTheSameBounds(int spread) {
    Seed seed = Seed.fresh();
    List<Job> jobs = jobs(seed.random(), 3_000, spread);
    var simulation = new Simulation(jobs, seed.random().split());
    simulation.run();
    check(simulation, seed);
  }

  private static void check(Simulation simulation, Seed seed) {
    var all = new ArrayList<Integer>();
    simulation.scheduler.submit(-1, LIMITS);
    simulation.scheduler.admit(all::add);
    assertEquals(List.of(-1), all, "all places are free at the end");
    for (int job = 0; job < simulation.jobs.size(); job++) {
      assertTrue(simulation.endedAt[job] >= 0, seed::toString);
      assertTrue(
          simulation.gaveUp[job] || simulation.admittedAt[job] >= simulation.jobs.get(job).arrival);
      assertTrue(
          simulation.overtakenBy[job] <= Scheduler.PATIENCE,
          () -> "nobody is overtaken more often than the rule says; " + seed);
    }
  }

  @Test
  void largeRequest_isNotStarvedBySmallOnesThatKeepComing() {
    var scheduler = new Scheduler<Integer>(new Demand(100, 100, 100, 0));
    var small = new Demand(10, 10, 1, 0);
    List<Integer> running = new ArrayList<>();
    int next = 1;
    for (; next <= 10; next++) {
      scheduler.submit(next, small);
    }
    scheduler.admit(running::add);
    assertEquals(10, running.size());
    int large = 0;
    scheduler.submit(large, new Demand(100, 100, 1, 0));
    int admittedMeanwhile = 0;
    int turns = 0;
    while (!running.contains(large)) {
      scheduler.submit(next++, small);
      scheduler.finish(running.removeFirst());
      int before = running.size();
      scheduler.admit(running::add);
      admittedMeanwhile += running.size() - before;
      assertTrue(++turns < 100, "the large one gets its turn");
    }
    assertEquals(Scheduler.PATIENCE + 1, admittedMeanwhile, "gap fillers, then the large one");
    assertEquals(List.of(large), running, "it had everything to itself");
  }

  @Test
  void orderIsKept_whereEverybodyFitsAlone() {
    var scheduler = new Scheduler<Integer>(new Demand(10, 10, 1, 0));
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      scheduler.submit(i, new Demand(10, 10, 1, 0));
    }
    for (int i = 0; i < 50; i++) {
      scheduler.admit(order::add);
      assertEquals(i + 1, order.size());
      scheduler.finish(i);
    }
    assertEquals(order.stream().sorted().toList(), order);
  }

  @Test
  void whatCannotEverFit_isRefusedAtOnce() {
    var scheduler = new Scheduler<String>(LIMITS);
    for (Demand tooMuch :
        List.of(
            new Demand(1025, 1, 1, 0),
            new Demand(1, 257, 1, 0),
            new Demand(1, 1, 17, 0),
            new Demand(1, 1, 1, 2049))) {
      assertFalse(scheduler.canEverFit(tooMuch));
      assertThrows(IllegalArgumentException.class, () -> scheduler.submit("a", tooMuch));
    }
    scheduler.submit("a", LIMITS);
    assertThrows(IllegalArgumentException.class, () -> scheduler.submit("a", LIMITS));
    assertThrows(IllegalArgumentException.class, () -> scheduler.finish("a"));
    assertTrue(scheduler.withdraw("a"));
    assertFalse(scheduler.withdraw("a"));
  }

  @Test
  void anAdmission_looksPastAWindowOnly() {
    var scheduler = new Scheduler<Integer>(new Demand(10, 10, 10, 0));
    scheduler.submit(-1, new Demand(5, 5, 1, 0));
    scheduler.admit(r -> true);
    for (int i = 0; i < Scheduler.WINDOW; i++) {
      scheduler.submit(i, new Demand(6, 6, 1, 0));
    }
    scheduler.submit(1000, new Demand(1, 1, 1, 0));
    scheduler.admit(r -> {
      throw new AssertionError("beyond the window: " + r);
    });
    scheduler.withdraw(0);
    List<Integer> admitted = new ArrayList<>();
    scheduler.admit(admitted::add);
    assertEquals(List.of(1000), admitted);
  }
}
