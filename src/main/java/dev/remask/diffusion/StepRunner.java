package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Event;
import dev.remask.cuda.Graph;
import dev.remask.cuda.GraphBuilder;
import dev.remask.cuda.Nvtx;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.LoopWhile;
import dev.remask.support.Flight;
import dev.remask.support.Pending;
import java.nio.ByteBuffer;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/// Repeats a denoising step until a member of the pass is not RUNNING any more or the stop word is
/// set. Where the driver has conditional nodes all of that is one graph launch, whose WHILE node
/// asks after each step whether to go on; elsewhere, and with `REMASK_LOOP=steps`, each step is one
/// graph launch. No launch has a host argument.
///
/// Graphs are kept by what fixes a step's launches, and the least recently used goes when there are
/// too many; while the stream is observed each step is enqueued launch by launch, and none is made.
/// The first step of a new kind is enqueued so in any case, which loads every kernel, cuBLASLt's
/// too (a driver may refuse that inside a capture); the second is captured. A step allocates
/// nothing on either side. Device thread only.
final class StepRunner implements AutoCloseable {
  /// Graphs of LLaDA-8B's size hold some 320 nodes, well under a megabyte: the bound is there so
  /// that ever new shapes cannot grow memory without end.
  static final int MAX_GRAPHS = 32;

  /// Steps that may be queued while it is certain that they are wanted: the next one hides the
  /// host, and a wish to stop waits for no more than these.
  private static final int IN_FLIGHT = 2;

  /// How long the host sleeps between two looks at whether a loop has ended, where someone wants to
  /// be called meanwhile: a part of what the loop has taken so far, within these bounds, so that
  /// short loops are not made longer by it and long ones not looked at often.
  private static final long LEAST_SLEEP_NANOS = 20_000;

  private static final long MOST_SLEEP_NANOS = 2_000_000;
  private static final int SLEEPS_PER_LOOP = 16;

  /// Looks between two questions to the driver, which knows of failures.
  private static final int LOOKS_PER_QUERY = 100;

  /// What the copy of a Progress begins with until the device has written it.
  private static final int NOT_COPIED = -1;

  /// The host's part of a step, in a profiler; its number in the run goes with it.
  private static final String STEP_RANGE = "step";

  /// CUDA_ERROR_NOT_SUPPORTED.
  private static final int NOT_SUPPORTED = 801;

  /// What all runs of a loop share.
  ///
  /// @param progress every slot's Progress, on the device
  /// @param progressCopy at least as many bytes of pinned memory, where each run leaves what
  ///   `progress` came to
  /// @param members where the caller writes the pass's Member table before a run, on the device
  /// @param stop ends a run
  record State(
      DeviceBuffer progress, PinnedMemory progressCopy, DeviceBuffer members, StopWord stop) {}

  /// What is kept of a kind of step.
  private static final class Kind {
    /// Whether all its kernels are loaded.
    boolean loaded;

    Graph graph;

    /// Whether the driver refused it inside a WHILE node, so that each step is a launch.
    boolean stepsOnly;
  }

  /// What fixes the launches of a graph: the members' number is an argument of loop_while.
  private record KindKey(Object step, int members) {}

  private final Stream stream;
  private final State state;

  /// A view of `state.progressCopy()`.
  private final ByteBuffer progress;

  /// Null: each step is a launch.
  private final LoopWhile loopWhile;

  private final LoopWhile.Buffers loopBuffers;
  private final Event[] inFlight = new Event[IN_FLIGHT];

  /// Of the steps in flight, where they are recorded.
  private final Pending[] recorded = new Pending[IN_FLIGHT];

  private final String[] launchedBy = new String[IN_FLIGHT];

  /// Of the last run: steps launched kernel by kernel, and as graphs; the graph that repeated the
  /// others, or null.
  private int streamSteps;

  private int graphSteps;
  private Graph repeated;
  private final Map<KindKey, Kind> kinds = new LinkedHashMap<>(16, 0.75f, true);

  /// Runs enqueue on `stream`; the caller keeps what `state` names and closes it after this.
  ///
  /// Throws IllegalStateException if `REMASK_LOOP` asks for WHILE nodes and `loopWhile` is empty,
  /// IllegalArgumentException if it cannot be read.
  StepRunner(Context context, Stream stream, State state, Optional<LoopWhile> loopWhile) {
    this.stream = stream;
    this.state = state;
    progress = state.progressCopy().buffer();
    LoopMode mode = LoopMode.configured();
    if (mode == LoopMode.WHILE && loopWhile.isEmpty()) {
      throw new IllegalStateException(
          "REMASK_LOOP=while, but the driver of "
              + context.device()
              + " has no WHILE nodes (CUDA 12.4) or cannot load their kernel");
    }
    this.loopWhile = mode == LoopMode.STEPS ? null : loopWhile.orElse(null);
    loopBuffers = new LoopWhile.Buffers(state.progress(), state.members(), state.stop().buffer());
    try {
      for (int i = 0; i < inFlight.length; i++) {
        inFlight[i] = context.newEvent();
      }
    } catch (Throwable failure) {
      try {
        close();
      } catch (RuntimeException e) {
        failure.addSuppressed(e);
      }
      throw failure;
    }
  }

  /// Runs steps over a pass whose members are all RUNNING: at least one step, until one of them is
  /// not RUNNING or the stop word is set. When it returns the stream is idle and
  /// `state.progressCopy()` holds every slot's Progress.
  ///
  /// `key` fixes the launches of `enqueueStep` (shape key, bracketed kernels; equal keys share a
  /// graph); the step is enqueued on the stream it is given and ends with commit_rows. `slots` are
  /// the members' slots. `certainSteps` says how many steps every member surely has before its
  /// status can change (0 or 1: unknown). `onPollOrNull` is called now and then while the device
  /// works, and once after it.
  ///
  /// Throws CudaException if the device fails; work may then still be queued.
  void run(
      Object key,
      Consumer<Stream> enqueueStep,
      int[] slots,
      int certainSteps,
      Runnable onPollOrNull) {
    streamSteps = 0;
    graphSteps = 0;
    repeated = null;
    Kind kind = kind(new KindKey(key, slots.length));
    if (loopWhile == null || kind.stepsOnly || stream.isObserved()) {
      runSteps(kind, enqueueStep, slots, certainSteps, onPollOrNull);
      return;
    }
    if (!kind.loaded) {
      launchStep(kind, enqueueStep, 0);
      await(0, slots.length, onPollOrNull);
      if (state.stop().isSet() || !allRun(slots)) {
        return;
      }
    }
    if (kind.graph == null && !build(kind, enqueueStep, slots.length)) {
      runSteps(kind, enqueueStep, slots, certainSteps, onPollOrNull);
    } else {
      runLoop(kind, slots, onPollOrNull);
    }
  }

  /// Steps of the last run that were enqueued kernel by kernel.
  int streamSteps() {
    return streamSteps;
  }

  /// Steps of the last run that were a graph launch each.
  int graphSteps() {
    return graphSteps;
  }

  /// Tells a recorder how many steps of the last run the device repeated by itself.
  void recordRepeated(int steps) {
    if (repeated != null) {
      repeated.recordBodies(steps);
    }
  }

  /// Captures the loop; false if the driver does not take such a step into a WHILE node (a
  /// library's kernel may be of a sort that it refuses there) and steps will do.
  private boolean build(Kind kind, Consumer<Stream> enqueueStep, int members) {
    try {
      kind.graph = stream.build(graph -> buildLoop(graph, enqueueStep, members));
    } catch (CudaException e) {
      if (e.code() != NOT_SUPPORTED || LoopMode.configured() == LoopMode.WHILE) {
        throw e;
      }
      kind.stepsOnly = true;
    }
    return !kind.stepsOnly;
  }

  private void runLoop(Kind kind, int[] slots, Runnable onPollOrNull) {
    state.progressCopy().storeInt(progressOf(slots[0]), NOT_COPIED);
    repeated = kind.graph;
    kind.graph.launch(stream);
    if (onPollOrNull != null) {
      stream.record(inFlight[0]);
      pollUntilCopied(slots[0], onPollOrNull);
    }
    stream.synchronize();
    if (onPollOrNull != null) {
      onPollOrNull.run();
    }
  }

  /// The condition begins as 1: a run makes at least one step, as its members are RUNNING.
  private void buildLoop(GraphBuilder graph, Consumer<Stream> enqueueStep, int members) {
    GraphBuilder.Condition goesOn = graph.condition(1);
    graph.repeatWhile(
        goesOn,
        body ->
            body.capture(() -> {
              enqueueStep.accept(stream);
              loopWhile.launch(stream, goesOn, loopBuffers, members);
            }));
    graph.capture(this::copyProgress);
  }

  /// Looks at what the graph's last node copies, so that waiting costs no driver calls; the driver
  /// is asked now and then all the same, since after a failure nothing is copied.
  private void pollUntilCopied(int slot, Runnable onPoll) {
    long begin = System.nanoTime();
    for (int looks = 1; state.progressCopy().loadInt(progressOf(slot)) == NOT_COPIED; looks++) {
      if (looks % LOOKS_PER_QUERY == 0 && inFlight[0].isDone()) {
        return;
      }
      onPoll.run();
      long sleep = (System.nanoTime() - begin) / SLEEPS_PER_LOOP;
      LockSupport.parkNanos(Math.clamp(sleep, LEAST_SLEEP_NANOS, MOST_SLEEP_NANOS));
    }
  }

  private void runSteps(
      Kind kind,
      Consumer<Stream> enqueueStep,
      int[] slots,
      int certainSteps,
      Runnable onPollOrNull) {
    int launched = 0;
    int done = 0;
    do {
      // What follows the certain steps is launched when the one before it has said that it is
      // wanted.
      int wanted = Math.max(launched + 1, certainSteps);
      while (launched < wanted && (launched == 0 || !state.stop().isSet())) {
        if (launched - done == IN_FLIGHT) {
          await(done++ % IN_FLIGHT, slots.length, onPollOrNull);
        }
        launchStep(kind, enqueueStep, launched++ % IN_FLIGHT);
      }
      while (done < launched) {
        await(done++ % IN_FLIGHT, slots.length, onPollOrNull);
      }
    } while (!state.stop().isSet() && allRun(slots));
  }

  /// Launches a step, the end of which `inFlight[place]` tells.
  private void launchStep(Kind kind, Consumer<Stream> enqueueStep, int place) {
    recorded[place] = Flight.beginStep();
    Nvtx.push(STEP_RANGE, streamSteps + graphSteps);
    try {
      launch(kind, enqueueStep, place);
    } finally {
      Nvtx.pop();
    }
    stream.record(inFlight[place]);
  }

  private void launch(Kind kind, Consumer<Stream> enqueueStep, int place) {
    // Who observes the launches wants to see each of them, in every step.
    if (kind.loaded && !stream.isObserved()) {
      if (kind.graph == null) {
        kind.graph = stream.capture(() -> enqueue(enqueueStep));
      }
      kind.graph.launch(stream);
      launchedBy[place] = Flight.BY_GRAPH;
      graphSteps++;
    } else {
      enqueue(enqueueStep);
      kind.loaded = true;
      launchedBy[place] = Flight.BY_STREAM;
      streamSteps++;
    }
  }

  private void enqueue(Consumer<Stream> enqueueStep) {
    enqueueStep.accept(stream);
    copyProgress();
  }

  private void copyProgress() {
    stream.copyToHost(state.progressCopy(), 0, state.progress(), state.progress().bytes());
  }

  private void await(int place, int members, Runnable onPollOrNull) {
    inFlight[place].synchronize();
    Pending step = recorded[place];
    if (step != null) {
      recorded[place] = null;
      Flight.endStep(step, launchedBy[place], members);
    }
    if (onPollOrNull != null) {
      onPollOrNull.run();
    }
  }

  private boolean allRun(int[] slots) {
    for (int slot : slots) {
      if (!DiffusionState.isRunning(progress, slot * DiffusionState.PROGRESS_BYTES)) {
        return false;
      }
    }
    return true;
  }

  /// Its first word is the cursor, which is never negative.
  private static long progressOf(int slot) {
    return (long) slot * DiffusionState.PROGRESS_BYTES;
  }

  private Kind kind(KindKey key) {
    Kind kind = kinds.get(key);
    if (kind == null) {
      if (kinds.size() == MAX_GRAPHS) {
        Iterator<Kind> oldest = kinds.values().iterator();
        Kind evicted = oldest.next();
        oldest.remove();
        close(evicted);
      }
      kind = new Kind();
      kinds.put(key, kind);
    }
    return kind;
  }

  private static void close(Kind kind) {
    if (kind.graph != null) {
      kind.graph.close();
    }
  }

  /// Frees graphs and events; the stream must be idle.
  @Override
  public void close() {
    kinds.values().forEach(StepRunner::close);
    kinds.clear();
    for (Event event : inFlight) {
      if (event != null) {
        event.close();
      }
    }
  }
}
