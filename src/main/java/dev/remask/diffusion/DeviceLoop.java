package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.Nvtx;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.SequenceStatus;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.Batch;
import dev.remask.model.MaskPredictor;
import dev.remask.support.Flight;
import dev.remask.support.Pending;
import java.util.List;

/// The denoising loop: requests' state in device memory, and the steps that move it.
///
/// Requests are admitted into slots and leave them at any time between two runs. A run denoises its
/// members until one of them is no longer RUNNING. All memory is allocated when the loop is made;
/// admission uploads through pinned memory and does not wait for the device; a step allocates
/// nothing on either side. Device thread only, unless said otherwise.
///
/// How an owner drives it:
///
/// ```
/// stop.clear(); look for arrivals and cancellations; slot = loop.admit(request) …
/// loop.run(runningSlots, onPoll)
/// for each member: switch (slot.progress().status()) {
///   RUNNING: nothing (another member or the stop word ended the run)
///   FILLED, STOPPED: loop.canvas(slot), loop.log(slot), loop.release(slot)
///   WANTS_PASS: loop.continuePass(slot)
///   WANTS_LENGTH: loop.extend(slot)
///   STUCK: the model gives no usable logits: fail it, loop.release(slot)
/// }
/// ```
final class DeviceLoop implements AutoCloseable {
  private static final String RANGE = "run";

  private final Context context;
  private final MaskPredictor predictor;
  private final SpecialTokens tokens;
  private final Stream stream;
  private final LoopMemory memory;
  private final Slots slots;
  private final StopWord stopWord;
  private final StepRunner runner;
  private boolean closed;

  /// The pass that is laid; null when there is none.
  private Layout layout;

  private Batch batch;

  private Layout.Key key;
  private Step step;

  /// Whether a slot's next pass is another one than the pass that is laid has for it.
  private boolean stale;

  private DeviceLoop(Context context, MaskPredictor predictor, SpecialTokens tokens) {
    this.context = context;
    this.predictor = predictor;
    this.tokens = tokens;
    stream = predictor.stream();
    memory = new LoopMemory(context, predictor.limits(), predictor.config().embeddingSize());
    try {
      slots = new Slots(memory, predictor.limits(), tokens, stream);
      stopWord = StopWord.create(context);
      runner =
          new StepRunner(
              context,
              stream,
              new StepRunner.State(memory.progress, memory.readback, memory.members, stopWord),
              predictor.operations().loopWhile());
    } catch (RuntimeException | Error e) {
      // The stop word, if it was made, goes with the context.
      try {
        memory.close();
      } catch (RuntimeException late) {
        e.addSuppressed(late);
      }
      throw e;
    }
  }

  /// Allocates the loop's memory for the limits that `predictor` was loaded with. The caller keeps
  /// context and predictor, and closes them after the loop. Any thread.
  ///
  /// Throws CudaException if the memory is not there; nothing stays allocated then.
  static DeviceLoop create(Context context, MaskPredictor predictor, SpecialTokens tokens) {
    return context.call(() -> new DeviceLoop(context, predictor, tokens));
  }

  /// The word that ends a run after the step under way. Any thread.
  StopWord stopWord() {
    return stopWord;
  }

  /// The ids with a meaning, as the sampler uses them. Any thread.
  SpecialTokens tokens() {
    return tokens;
  }

  /// Bytes of device memory that the loop holds, beside the predictor's. Any thread.
  long plannedBytes() {
    return memory.deviceBytes();
  }

  /// Throws [InvalidOptionException], naming the limit, if the request could not be admitted even
  /// by an empty loop. Any thread.
  void requireFits(SlotRequest request) {
    slots.requireFits(request);
  }

  /// Gives the request a slot and enqueues the upload of its state; or returns null when it does
  /// not fit beside those that are there: tokens of a pass, rows, sequences, cache (of all slots
  /// together, members of a run or not). An empty loop admits whatever [#requireFits] accepts.
  ///
  /// A canvas without masks is admitted FILLED. Throws as [#requireFits] does.
  Slot admit(SlotRequest request) {
    slots.requireFits(request);
    try {
      return slots.admit(request);
    } catch (Throwable failure) {
      settle(failure);
      throw failure;
    }
  }

  /// Runs steps over the members, at least one and all RUNNING, until one of them is not RUNNING
  /// any more or the stop word is set, at least one step; lays the pass anew if members or their
  /// kind of pass changed. When it returns the device is idle and every member's progress is up to
  /// date.
  ///
  /// `onPoll`, which may be null, is called now and then while it waits, every few milliseconds:
  /// logs may be read then. Throws CudaException if the device fails: all slots are lost then.
  void run(List<Slot> members, Runnable onPoll) {
    // Scores are computed between two runs, in the same workspace.
    boolean standing = layout != null && batch.isCurrent();
    if (stale || !standing || !layout.members.equals(members)) {
      lay(members);
    }
    Pending run = Flight.beginRun();
    int passes = members.getFirst().progress().passes();
    Nvtx.push(RANGE, members.size());
    try {
      runner.run(key, step, layout.slots, layout.certainSteps(), onPoll);
    } catch (Throwable failure) {
      layout = null; // nothing is known of what is laid
      settle(failure);
      throw failure;
    } finally {
      Nvtx.pop();
    }
    slots.readProgress(members);
    if (run != null || Flight.isKernelOn()) {
      record(run, members.getFirst().progress().passes() - passes);
    }
  }

  /// All members take part in every step of a run, so that one's passes count them.
  private void record(Pending runOrNull, int steps) {
    int repeated = steps - runner.streamSteps() - runner.graphSteps();
    runner.recordRepeated(repeated);
    if (runOrNull != null) {
      Flight.endRun(
          runOrNull,
          layout.members.size(),
          layout.shape.queries(),
          layout.shape.rows(),
          runner.streamSteps(),
          runner.graphSteps(),
          repeated);
    }
  }

  /// Queued work still uses the slots' memory: it must end before anyone reuses or frees that.
  private void settle(Throwable failure) {
    try {
      stream.synchronize();
    } catch (RuntimeException e) {
      failure.addSuppressed(e);
    }
  }

  private void lay(List<Slot> members) {
    layout = null;
    Layout next = Layout.of(members);
    batch = predictor.prepare(next.shape, memory.canvas);
    slots.uploadMembers(next.entries);
    // Rows that belong to no member choose nothing; their logits are those of the first token.
    stream.fill(memory.rows, (byte) 0);
    stream.fill(batch.rowIndex(), (byte) 0);
    key = next.key(batch.key());
    step = new Step(predictor, batch, memory, key, tokens);
    layout = next;
    stale = false;
  }

  /// After WANTS_PASS: the slot is RUNNING again, its next pass of the other kind (whole or
  /// cached).
  void continuePass(Slot slot) {
    requireStatus(slot, SequenceStatus.WANTS_PASS);
    slots.resume(slot);
    stale = true;
  }

  /// After WANTS_LENGTH: makes the answer longer by a block, or, where it is as long as it may be,
  /// lets it end without an EOS; RUNNING again.
  void extend(Slot slot) {
    requireStatus(slot, SequenceStatus.WANTS_LENGTH);
    slots.extend(slot);
    stale = true;
  }

  private static void requireStatus(Slot slot, SequenceStatus status) {
    if (slot.released || slot.progress().status() != status) {
      throw new IllegalStateException(
          "slot " + slot.index + " has status " + slot.progress().status() + ", not " + status);
    }
  }

  /// The slot's canvas, masks where nothing is committed; with automatic length as long as the
  /// answer has become. Waits for the device.
  int[] canvas(Slot slot) {
    int[] ids = new int[slot.length()];
    long bytes = (long) ids.length * Integer.BYTES;
    long at = memory.canvasOffset();
    PinnedMemory readback = memory.readback;
    stream.copyToHost(
        readback, at, memory.canvas.slice((long) slot.begin * Integer.BYTES, bytes), bytes);
    stream.synchronize();
    readback.buffer(at, (int) bytes).asIntBuffer().get(ids);
    return ids;
  }

  /// The commits so far; only of a request that wanted its log.
  CommitLog log(Slot slot) {
    if (!slot.request.log()) {
      throw new IllegalStateException("slot " + slot.index + " keeps no log");
    }
    return slots.log(slot);
  }

  /// Frees the slot's place for others, in whatever state it is.
  void release(Slot slot) {
    slots.release(slot);
  }

  /// Frees graphs and memory. Any thread.
  @Override
  public void close() {
    context.run(() -> {
      if (closed) {
        return;
      }
      closed = true;
      try (memory;
          stopWord;
          runner) {
        // closed last to first, each even if another fails
      }
    });
  }
}
