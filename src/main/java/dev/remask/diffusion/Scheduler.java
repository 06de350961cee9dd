package dev.remask.diffusion;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/// Decides which requests run together: first come, first served, within the limits of one pass.
///
/// The rule. Requests are looked at in the order in which they came, and each one that fits into
/// what is free is admitted. One that does not fit waits, and later ones that do fit may fill the
/// gap, but only so many: after [#PATIENCE] of them have overtaken a waiting request, nobody behind
/// it is admitted before it is. So a large request is never starved by small ones: from then on
/// every place that is given back is kept for it. At most [#WINDOW] waiting requests are looked
/// past at a time, which bounds the work of an admission whatever the length of the queue.
///
/// Pure: no clock, no thread, no device, no randomness; the same calls give the same admissions.
/// Not thread-safe.
///
/// @param <R> a request; told apart by `equals`
final class Scheduler<R> {
  /// How many later requests may overtake a waiting one. Enough to keep a device busy while a large
  /// request waits for its place, few enough that its wait stays in the order of one generation.
  static final int PATIENCE = 16;

  /// How many waiting requests may be looked past in one admission.
  static final int WINDOW = 64;

  /// What a request takes, or what there is, of everything that is limited.
  ///
  /// @param tokens of a pass, the unconditional copy included
  /// @param rows of logits, the copy's included
  /// @param sequences of a pass, the copy counted
  /// @param cacheTokens of the K/V cache
  record Demand(int tokens, int rows, int sequences, int cacheTokens) {
    boolean fits(Demand free) {
      return tokens <= free.tokens
          && rows <= free.rows
          && sequences <= free.sequences
          && cacheTokens <= free.cacheTokens;
    }

    Demand plus(Demand other) {
      return new Demand(
          tokens + other.tokens,
          rows + other.rows,
          sequences + other.sequences,
          cacheTokens + other.cacheTokens);
    }

    Demand minus(Demand other) {
      return new Demand(
          tokens - other.tokens,
          rows - other.rows,
          sequences - other.sequences,
          cacheTokens - other.cacheTokens);
    }
  }

  private static final class Waiting {
    final Demand demand;
    int overtaken;

    Waiting(Demand demand) {
      this.demand = demand;
    }
  }

  private final Demand limits;
  private final LinkedHashMap<R, Waiting> waiting = new LinkedHashMap<>();
  private final Map<R, Demand> running = new HashMap<>();
  private Demand free;

  Scheduler(Demand limits) {
    this.limits = limits;
    free = limits;
  }

  /// Whether a request could ever run.
  boolean canEverFit(Demand demand) {
    return demand.fits(limits);
  }

  /// A request arrives. Throws IllegalArgumentException if it could never run: it would hold up all
  /// behind it for ever.
  void submit(R request, Demand demand) {
    if (!canEverFit(demand)) {
      throw new IllegalArgumentException(demand + " exceeds the limits " + limits);
    }
    if (running.containsKey(request) || waiting.putIfAbsent(request, new Waiting(demand)) != null) {
      throw new IllegalArgumentException("submitted twice: " + request);
    }
  }

  /// Admits what the rule admits, in order. `place` is asked for each request that fits by the
  /// numbers and says whether its place was really found; one without counts as not fitting now.
  void admit(Predicate<R> place) {
    List<Waiting> passedOver = new ArrayList<>();
    Iterator<Map.Entry<R, Waiting>> inOrder = waiting.entrySet().iterator();
    boolean mayOvertake = true;
    while (mayOvertake && inOrder.hasNext() && passedOver.size() < WINDOW) {
      Map.Entry<R, Waiting> next = inOrder.next();
      Waiting entry = next.getValue();
      if (entry.demand.fits(free) && place.test(next.getKey())) {
        inOrder.remove();
        running.put(next.getKey(), entry.demand);
        free = free.minus(entry.demand);
        for (Waiting overtaken : passedOver) {
          overtaken.overtaken++;
          mayOvertake &= overtaken.overtaken < PATIENCE;
        }
      } else {
        passedOver.add(entry);
        mayOvertake = entry.overtaken < PATIENCE;
      }
    }
  }

  /// A running request ended, however it did: its place is free at once.
  void finish(R request) {
    Demand demand = running.remove(request);
    if (demand == null) {
      throw new IllegalArgumentException("not running: " + request);
    }
    free = free.plus(demand);
  }

  /// Takes a request out that waits; false if it does not wait.
  boolean withdraw(R request) {
    return waiting.remove(request) != null;
  }

  /// Those who wait, in order.
  List<R> waiting() {
    return List.copyOf(waiting.keySet());
  }

  int waitingCount() {
    return waiting.size();
  }

  int runningCount() {
    return running.size();
  }
}
