package dev.remask;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/// Submits many requests to a model, which answers them together: each joins the packed batch as
/// soon as there is room, between two steps of the others, and leaves it when it is done. An answer
/// does not depend on its company.
///
/// Requests are taken first come, first served; a small one may go before a large one that waits
/// for room, but no more than sixteen times. Sessions share their model with each other and with
/// [Model#generate(GenerateRequest)]; a session only remembers what was submitted to it, so that
/// closing it can end that. It has no thread. Any thread may use it.
///
/// ```java
/// try (Session session = model.session()) {
///   List<Generation> generations = requests.stream().map(session::submit).toList();
///   for (Generation generation : generations) {
///     System.out.println(generation.await().text().orElseThrow());
///   }
/// }
/// ```
public final class Session implements AutoCloseable {
  /// Those that are over are forgotten now and then, which costs a look at all of them.
  private static final int FORGET_EVERY = 1024;

  private final Model model;
  private final AtomicLong submissions = new AtomicLong();
  private final Set<Generation> submitted = ConcurrentHashMap.newKeySet();
  private volatile boolean closed;

  Session(Model model) {
    this.model = model;
  }

  /// Hands a request in and returns without waiting.
  ///
  /// Throws [RequestException] for a bad request, or one that exceeds what the model was loaded
  /// for, and IllegalStateException once the session or the model is closed.
  ///
  /// @param request what is asked
  /// @return the generation, to be awaited or cancelled
  public Generation submit(GenerateRequest request) {
    requireOpen();
    Generation generation = model.submit(request, true);
    remember(generation);
    return generation;
  }

  /// Hands requests in such that they join in the same step, as far as there is room, and returns
  /// without waiting for any. Waits for the step in progress.
  ///
  /// Throws what [#submit(GenerateRequest)] throws if one of them is refused; none is answered
  /// then.
  ///
  /// @param requests what is asked
  /// @return the generations, in the order of the requests
  public List<Generation> submit(List<GenerateRequest> requests) {
    requireOpen();
    List<Generation> generations = model.submitTogether(requests, true);
    generations.forEach(this::remember);
    return generations;
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the session is closed");
    }
  }

  private void remember(Generation generation) {
    submitted.add(generation);
    if (submissions.incrementAndGet() % FORGET_EVERY == 0) {
      submitted.removeIf(Generation::isDone);
    }
    if (closed) { // meanwhile, and without this one
      generation.cancel();
    }
  }

  /// {@return generations of this session that are not over}
  public int inFlight() {
    submitted.removeIf(Generation::isDone);
    return submitted.size();
  }

  /// Cancels what is not over, and waits for its end, a step at most.
  @Override
  public void close() {
    closed = true;
    submitted.forEach(Generation::cancel);
    submitted.forEach(Generation::awaitEnd);
  }
}
