package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.MaskPredictor;
import dev.remask.model.ModelConfig;
import dev.remask.model.WorkspaceLimits;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;

/// Answers many requests at once, on the device loop: requests join and leave between steps.
///
/// It has no thread. Its work is done in *turns* on the context's device thread, each handed in
/// behind what others have handed in meanwhile. A turn looks for errands ([#between]), arrivals,
/// cancellations and deadlines, admits what the [Scheduler] admits, and runs steps until a member
/// of the pass needs the host (it is finished, or wants another kind of pass) or somebody sets the
/// stop word: who submits into free room, cancels, or has an errand. A wish is put into its queue
/// before the stop word is set, and a turn clears the word before it looks into the queues, so that
/// no wish is lost and each takes effect within one step. While nothing is to be done there is no
/// turn.
///
/// A request's answer does not depend on its company. A device error fails all requests that run,
/// with the cause; those that wait are tried, and fail by themselves if the device is lost. Where a
/// turn cannot be done at all (a thread or CUDA context of the caller's is gone) everything in
/// flight fails with the cause, and the next wish tries again.
///
/// Any thread, virtual ones included, unless said otherwise.
public final class Engine implements AutoCloseable {
  private final Context context;
  private final EngineLoop loop;
  private final ModelConfig config;
  private final SpecialTokens tokens;
  private final Answers answers;

  private final ConcurrentLinkedQueue<Ticket> arrivals = new ConcurrentLinkedQueue<>();
  private final ConcurrentLinkedQueue<Ticket> cancellations = new ConcurrentLinkedQueue<>();
  private final ConcurrentLinkedQueue<Errand> errands = new ConcurrentLinkedQueue<>();

  /// All that are not over, wherever they are.
  private final Set<Ticket> open = ConcurrentHashMap.newKeySet();

  /// Whether a turn is under way or handed in.
  private final AtomicBoolean awake = new AtomicBoolean();

  /// Whether an arrival might be admitted at once, so that it may end a run: not while others wait.
  private volatile boolean welcoming = true;

  private volatile boolean closed;

  // Device thread.
  private boolean inStep;
  private final Scheduler<Ticket> scheduler;
  private final Map<Ticket, Slot> running = new LinkedHashMap<>();

  /// Those of the run under way.
  private Ticket[] inPass = NONE;

  private static final Ticket[] NONE = {};

  private final PriorityQueue<Ticket> deadlines =
      new PriorityQueue<>(Comparator.comparingLong(t -> t.deadlineNanos() - EPOCH_NANOS));

  /// `System.nanoTime()` may overflow; differences do not.
  private static final long EPOCH_NANOS = System.nanoTime();

  private final Runnable poll = this::poll;

  /// `limits` are the loop's; it is used until [#close].
  Engine(
      Context context,
      EngineLoop loop,
      Scheduler.Demand limits,
      ModelConfig config,
      SpecialTokens tokens) {
    this.context = context;
    this.loop = loop;
    this.config = config;
    this.tokens = tokens;
    answers = new Answers(tokens);
    scheduler = new Scheduler<>(limits);
  }

  /// An engine on a device loop of its own, with the limits that `predictor` was loaded with. The
  /// caller keeps context and predictor, and closes them after the engine. `tokens` are the model's
  /// ids with a meaning, -1 for one it does not have.
  ///
  /// Throws CudaException if the memory is not there; nothing stays allocated then.
  public static Engine create(Context context, MaskPredictor predictor, SpecialTokens tokens) {
    DeviceLoop loop = DeviceLoop.create(context, predictor, tokens);
    WorkspaceLimits limits = predictor.limits();
    var all =
        new Scheduler.Demand(
            limits.maxTokens(), limits.maxRows(), limits.maxSequences(), limits.maxCacheTokens());
    return new Engine(context, new DeviceEngineLoop(loop), all, predictor.config(), tokens);
  }

  /// The ids with a meaning, as the sampler uses them.
  public SpecialTokens tokens() {
    return tokens;
  }

  /// Bytes of device memory that engine and likelihood of such a model take for such limits, beside
  /// the predictor's.
  public static long requiredBytes(ModelConfig config, WorkspaceLimits limits) {
    return LoopMemory.deviceBytes(limits, config.embeddingSize()) + ScoreMemory.deviceBytes(limits);
  }

  /// Bytes of device memory that it holds, beside the predictor's.
  public long plannedBytes() {
    return loop.plannedBytes();
  }

  /// Hands a task in and returns at once. `log`: its commits are wanted, as a trace or by a watcher
  /// (see [Ticket#await(StepListener)]). `timeoutMillis` 0: no deadline.
  ///
  /// Throws [InvalidOptionException] if it is invalid or, naming the limit, exceeds what the model
  /// was loaded for, and IllegalStateException once the engine is closed.
  public Ticket submit(DenoisingTask task, boolean log, long timeoutMillis) {
    task.validate(config, tokens);
    return submit(SlotRequest.of(task, tokens, log), timeoutMillis);
  }

  /// Hands a valid request in. `timeoutMillis` 0: no deadline.
  ///
  /// Throws [InvalidOptionException], naming the limit, if it exceeds what the model was loaded
  /// for, and IllegalStateException once the engine is closed.
  Ticket submit(SlotRequest request, long timeoutMillis) {
    loop.requireFits(request);
    var ticket = new Ticket(this, request, timeoutMillis);
    open.add(ticket);
    arrivals.add(ticket);
    if (closed) { // it may have come after the last look
      arrivals.remove(ticket);
      ticket.fail(new CancellationException("the model was closed"));
      throw new IllegalStateException("the engine is closed");
    }
    wake(welcoming || ticket.hasDeadline());
    return ticket;
  }

  /// Runs `work` on the device thread between two steps, and returns when it is done.
  ///
  /// Throws what `work` throws, and IllegalStateException once the context is closed or inside a
  /// step ([#requireOutsideStep]).
  public void between(Runnable work) {
    requireOutsideStep();
    if (context.isDeviceThread()) {
      context.run(work);
      return;
    }
    var errand = new Errand(work, new CompletableFuture<>());
    errands.add(errand);
    wake(true);
    try {
      errand.done.join();
    } catch (CompletionException e) {
      throw switch (e.getCause()) {
        case RuntimeException exception -> exception;
        case Error error -> throw error;
        default -> e;
      };
    }
  }

  /// Work that somebody waits for.
  private record Errand(Runnable work, CompletableFuture<Void> done) {
    void run() {
      try {
        work.run();
        done.complete(null);
      } catch (Throwable thrown) {
        done.completeExceptionally(thrown);
      }
    }
  }

  /// Throws IllegalStateException on the device thread inside a step, where only a subscriber can
  /// be that is called in place: nothing that the step uses may change under it, nor can it be
  /// waited for.
  public void requireOutsideStep() {
    if (context.isDeviceThread() && inStep) {
      throw new IllegalStateException(
          "called on the device thread inside a step, which this would have to wait for");
    }
  }

  /// Somebody begins to watch a ticket.
  void watched() {
    if (awake.get()) {
      loop.stop();
    }
  }

  void cancelled(Ticket ticket) {
    cancellations.add(ticket);
    wake(true);
  }

  /// On the device thread, where nobody else could do it: does turns until `ticket` is over. Does
  /// nothing, and returns false, on other threads.
  boolean help(Ticket ticket) {
    if (!context.isDeviceThread()) {
      return false;
    }
    context.run(() -> {
      while (!ticket.isDone()) {
        turn();
      }
    });
    return true;
  }

  /// A ticket is about to be over.
  void ended(Ticket ticket) {
    open.remove(ticket);
  }

  /// Cancels what is in flight, takes nothing more, and frees the loop's memory.
  ///
  /// Throws IllegalStateException inside a step ([#requireOutsideStep]), and what the device
  /// throws; nothing is in flight any more even then.
  @Override
  public void close() {
    requireOutsideStep();
    if (closed) {
      return;
    }
    closed = true;
    try (loop) {
      between(this::shut);
    } finally {
      failAll(new CancellationException("the model was closed"));
    }
  }

  private void wake(boolean now) {
    if (awake.compareAndSet(false, true)) {
      handIn();
    } else if (now && !(context.isDeviceThread() && !inStep)) {
      // On the device thread outside a step nothing runs that could be stopped, and the turn looks
      // into the queues before it runs anything.
      loop.stop();
    }
  }

  private void handIn() {
    try {
      context.enqueue(this::turns, this::lost);
    } catch (RuntimeException | Error refused) {
      lost(refused);
    }
  }

  /// The turn that was handed in is not done. Any thread.
  private void lost(Throwable cause) {
    // First: a wish that comes later hands in a turn of its own, an earlier one is found here.
    awake.set(false);
    failAll(cause);
  }

  /// Ends all that anybody waits for. What still has a place leaves it with the next turn. Any
  /// thread.
  private void failAll(Throwable cause) {
    for (Errand errand = errands.poll(); errand != null; errand = errands.poll()) {
      errand.done.completeExceptionally(cause);
    }
    for (Ticket ticket : open) {
      if (!arrivals.remove(ticket)) {
        cancellations.add(ticket);
      }
      ticket.fail(cause);
    }
  }

  /// A turn, and the next one handed in if there is more to do. Device thread.
  private void turns() {
    turn();
    boolean more = !running.isEmpty() || scheduler.waitingCount() > 0;
    if (!more) {
      awake.set(false);
      // Whoever came before that has not handed a turn in.
      more = isWished() && awake.compareAndSet(false, true);
    }
    if (more) {
      handIn();
    }
  }

  private boolean isWished() {
    return !(arrivals.isEmpty() && cancellations.isEmpty() && errands.isEmpty());
  }

  private void turn() {
    requireOutsideStep();
    try {
      if (!closed) { // else the stop word may be gone
        loop.clearStop();
      }
      runErrands();
      if (closed) {
        shut();
        return;
      }
      inStep = true;
      takeTurn();
    } catch (Throwable unexpected) {
      failAll(unexpected);
    } finally {
      inStep = false;
    }
  }

  /// Those that are there: others come after the next step, lest they hold all steps up.
  private void runErrands() {
    for (int left = errands.size(); left > 0; left--) {
      Errand errand = errands.poll();
      if (errand != null) {
        errand.run();
      }
    }
  }

  /// Ends everything in flight, because the engine is closed.
  private void shut() {
    arrivals.clear();
    takeCancellations();
    var reason = new CancellationException("the model was closed");
    for (Ticket ticket : open) {
      end(ticket, reason);
    }
  }

  private void takeTurn() {
    takeArrivals();
    takeCancellations();
    expire();
    do {
      scheduler.admit(this::place);
    } while (settle() && scheduler.waitingCount() > 0);
    boolean opened = !welcoming && scheduler.waitingCount() == 0;
    welcoming = scheduler.waitingCount() == 0;
    if (running.isEmpty()) {
      failStrandedHead();
      return;
    }
    if (opened && !arrivals.isEmpty()) {
      return; // who came while the door looked shut set no stop word
    }
    try {
      inPass = running.keySet().toArray(Ticket[]::new);
      loop.run(List.copyOf(running.values()), mustPoll() ? poll : null);
      settle();
    } catch (RuntimeException | Error failure) {
      failRunning(failure);
    } finally {
      inPass = NONE;
    }
  }

  private void takeArrivals() {
    for (Ticket ticket = arrivals.poll(); ticket != null; ticket = arrivals.poll()) {
      try {
        SlotRequest request = ticket.request();
        var demand =
            new Scheduler.Demand(
                request.tokens(), request.rows(), request.sequences(), request.cacheTokens());
        scheduler.submit(ticket, demand);
        if (ticket.hasDeadline()) {
          deadlines.add(ticket);
        }
      } catch (RuntimeException | Error failure) {
        end(ticket, failure);
      }
    }
  }

  private void takeCancellations() {
    for (Ticket ticket = cancellations.poll(); ticket != null; ticket = cancellations.poll()) {
      drainQuietly(ticket);
      end(ticket, new CancellationException("the generation was cancelled"));
    }
  }

  private void expire() {
    long now = System.nanoTime();
    while (!deadlines.isEmpty() && deadlines.peek().deadlineNanos() - now <= 0) {
      Ticket ticket = deadlines.poll();
      drainQuietly(ticket);
      end(ticket, ticket.deadlineExceeded());
    }
  }

  /// Takes a ticket out, wherever it is, and ends it; if it is over already, that stands.
  private void end(Ticket ticket, Throwable cause) {
    try {
      leave(ticket);
    } catch (RuntimeException | Error late) {
      if (late != cause) {
        cause.addSuppressed(late);
      }
    } finally {
      ticket.fail(cause);
    }
  }

  /// Takes a ticket out, wherever it is; whoever calls ends it, whatever is thrown here.
  private void leave(Ticket ticket) {
    if (ticket.hasDeadline()) {
      deadlines.remove(ticket);
    }
    Slot slot = running.remove(ticket);
    if (slot == null) {
      scheduler.withdraw(ticket);
      return;
    }
    ticket.left();
    try {
      scheduler.finish(ticket);
    } finally {
      loop.release(slot);
    }
  }

  /// Finds the place of a ticket in the loop, if it has one.
  private boolean place(Ticket ticket) {
    Slot slot;
    try {
      slot = loop.admit(ticket.request());
    } catch (RuntimeException | Error failure) {
      // Counts as placed; the ticket leaves at once, with its cause.
      failed.add(new Failed(ticket, failure));
      return true;
    }
    if (slot == null) {
      return false;
    }
    ticket.admitted(slot, System.nanoTime());
    running.put(ticket, slot);
    return true;
  }

  private record Failed(Ticket ticket, Throwable cause) {}

  /// Admissions that failed, until they are settled.
  private final ArrayDeque<Failed> failed = new ArrayDeque<>();

  /// Does what the members' status asks for; true if one of them left its place.
  private boolean settle() {
    boolean left = false;
    for (Failed failure = failed.poll(); failure != null; failure = failed.poll()) {
      scheduler.finish(failure.ticket);
      end(failure.ticket, failure.cause);
      left = true;
    }
    try {
      for (Ticket ticket : new ArrayList<>(running.keySet())) {
        left |= settle(ticket, running.get(ticket));
      }
    } catch (RuntimeException | Error failure) {
      failRunning(failure);
      left = true;
    }
    return left;
  }

  private boolean settle(Ticket ticket, Slot slot) {
    return switch (slot.progress().status()) {
      case RUNNING -> false;
      case WANTS_PASS -> {
        loop.continuePass(slot);
        yield false;
      }
      case WANTS_LENGTH -> {
        loop.extend(slot);
        yield false;
      }
      case FILLED, STOPPED -> {
        drain(ticket);
        int[] canvas = loop.canvas(slot);
        long nanos = System.nanoTime() - ticket.admittedNanos();
        Denoised answer = answers.of(slot, ticket.events(), canvas, nanos);
        try {
          leave(ticket);
        } finally {
          ticket.complete(answer);
        }
        yield true;
      }
      case STUCK -> {
        end(ticket, Answers.stuck(slot));
        yield true;
      }
    };
  }

  /// Whether anything must be looked at while steps run; if not, the device thread sleeps through
  /// them. Who begins to watch later ends the run.
  private boolean mustPoll() {
    boolean must = !deadlines.isEmpty();
    for (Ticket ticket : inPass) {
      must |= ticket.isWatched();
    }
    return must;
  }

  /// Called on the device thread while steps run; makes no garbage unless somebody watches.
  private void poll() {
    for (Ticket ticket : inPass) {
      if (ticket.isWatched()) {
        drain(ticket);
      }
    }
    Ticket next = deadlines.peek();
    if (next != null && next.deadlineNanos() - System.nanoTime() <= 0) {
      loop.stop();
    }
  }

  private void drain(Ticket ticket) {
    if (ticket.request().log()) {
      ticket.drain(loop);
    }
  }

  /// What was committed before a generation was ended is still told, unless the device is lost.
  private void drainQuietly(Ticket ticket) {
    try {
      if (ticket.slot() != null) {
        drain(ticket);
      }
    } catch (RuntimeException | Error e) {
      // The ticket fails with the reason for which it leaves.
    }
  }

  private void failRunning(Throwable cause) {
    for (Ticket ticket : new ArrayList<>(running.keySet())) {
      end(ticket, cause);
    }
  }

  /// An empty loop takes whatever was not refused at submission; if it does not, its owner must
  /// hear of it, or he would wait for ever.
  private void failStrandedHead() {
    if (scheduler.waitingCount() > 0 && scheduler.runningCount() == 0) {
      Ticket head = scheduler.waiting().getFirst();
      end(head, new IllegalStateException("an idle device loop found no place for a request"));
    }
  }
}
