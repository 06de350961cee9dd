package dev.remask.diffusion;

import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.kernel.SequenceStatus;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;

/// A device loop without a device: every step commits one token of each member, and a test may let
/// steps happen one by one.
final class FakeLoop implements EngineLoop {
  static final int MASK = 99;

  private static final class State {
    final List<Commit> log = new ArrayList<>();
    int[] canvas;
    int next;
  }

  private final Map<Slot, State> states = new HashMap<>();
  private final int tokens;
  private volatile boolean stop;

  /// When there is one, each step takes a permit.
  volatile Semaphore gate;

  /// Thrown by the next step that has this number (0: none).
  volatile int failAtStep;

  volatile RuntimeException failure = new IllegalStateException("device lost");

  /// Thrown by the next admission.
  volatile RuntimeException admissionFailure;

  /// Thrown by the next release, which is done all the same.
  volatile RuntimeException releaseFailure;

  /// Run once, before the stop word is cleared.
  volatile Runnable beforeClear;

  /// Every so many tokens a slot wants a pass of the other kind (0: never).
  volatile int passEvery;

  volatile int steps;
  volatile int runs;
  volatile int maxMembers;
  volatile int continued;
  volatile boolean closed;

  FakeLoop(int tokens) {
    this.tokens = tokens;
  }

  /// What the fake answers at an offset behind the prompt.
  static int token(int[] prompt, int offset) {
    return (Arrays.hashCode(prompt) & 0xffff) % 37 + offset % 50;
  }

  @Override
  public void requireFits(SlotRequest request) {
    if (request.tokens() > tokens) {
      throw new InvalidOptionException("maxTokens", "is too small, got " + request.tokens());
    }
  }

  @Override
  public Slot admit(SlotRequest request) {
    if (admissionFailure != null) {
      RuntimeException thrown = admissionFailure;
      admissionFailure = null;
      throw thrown;
    }
    int used = states.keySet().stream().mapToInt(slot -> slot.request.tokens()).sum();
    if (used + request.tokens() > tokens) {
      throw new AssertionError("the scheduler admitted too much");
    }
    var slot = new Slot(states.size(), request, new int[0], 0, 0, 0, 0, 0);
    slot.progress(Progress.start(0, 0, request.initialMasks()));
    var state = new State();
    state.canvas = request.canvas().clone();
    state.next = request.answerBegin();
    states.put(slot, state);
    return slot;
  }

  @Override
  public void run(List<Slot> members, Runnable onPoll) {
    runs++;
    maxMembers = Math.max(maxMembers, members.size());
    boolean allRun = true;
    do {
      if (gate != null) {
        gate.acquireUninterruptibly();
      }
      steps++;
      if (failAtStep == steps) {
        throw failure;
      }
      for (Slot slot : members) {
        if (slot.progress().status() != SequenceStatus.RUNNING || slot.released) {
          throw new AssertionError("ran a slot that is not running");
        }
        allRun &= step(slot);
      }
      if (onPoll != null) {
        onPoll.run();
      }
    } while (allRun && !stop);
  }

  private boolean step(Slot slot) {
    State state = states.get(slot);
    int begin = slot.request.answerBegin();
    int offset = state.next - begin;
    int token = token(Arrays.copyOf(slot.request.canvas(), begin), offset);
    state.canvas[state.next] = token;
    state.log.add(new Commit(offset, state.next, token, 0.5f));
    state.next++;
    var status = SequenceStatus.RUNNING;
    if (state.next == state.canvas.length) {
      status = SequenceStatus.FILLED;
    } else if (passEvery > 0 && (offset + 1) % passEvery == 0) {
      status = SequenceStatus.WANTS_PASS;
    }
    Progress old = slot.progress();
    slot.progress(
        new Progress(
            old.cursor() + 1,
            0,
            old.passes() + 1,
            status,
            0,
            state.log.size(),
            -1,
            old.masksLeft() - 1));
    return status == SequenceStatus.RUNNING;
  }

  @Override
  public void continuePass(Slot slot) {
    continued++;
    slot.progress(slot.progress().with(SequenceStatus.RUNNING));
  }

  @Override
  public void extend(Slot slot) {
    throw new AssertionError("no slot of this loop wants length");
  }

  @Override
  public int[] canvas(Slot slot) {
    return states.get(slot).canvas.clone();
  }

  @Override
  public int logged(Slot slot) {
    return states.get(slot).log.size();
  }

  @Override
  public Commit commit(Slot slot, int index) {
    return states.get(slot).log.get(index);
  }

  @Override
  public void release(Slot slot) {
    if (states.remove(slot) == null) {
      throw new AssertionError("released twice");
    }
    if (releaseFailure != null) {
      RuntimeException thrown = releaseFailure;
      releaseFailure = null;
      throw thrown;
    }
  }

  @Override
  public void stop() {
    stop = true;
  }

  boolean isStopped() {
    return stop;
  }

  @Override
  public void clearStop() {
    Runnable first = beforeClear;
    beforeClear = null;
    if (first != null) {
      first.run();
    }
    stop = false;
  }

  @Override
  public long plannedBytes() {
    return 0;
  }

  @Override
  public void close() {
    if (!states.isEmpty()) {
      throw new AssertionError("closed with slots in use");
    }
    closed = true;
  }
}
