package dev.remask.diffusion;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.RemaskingRule;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.ModelException;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// One batch's state on its way to the device before the loop and back after it, through pinned
/// memory. Device thread only.
final class BatchState {
  private final DenoiserMemory memory;
  private final Packing packing;
  private final StepBuffers buffers;
  private final SpecialTokens tokens;

  /// Where the next upload stands in the staging memory.
  private int staged;

  BatchState(DenoiserMemory memory, Packing packing, StepBuffers buffers, SpecialTokens tokens) {
    this.memory = memory;
    this.packing = packing;
    this.buffers = buffers;
    this.tokens = tokens;
  }

  /// Enqueues the uploads of everything the loop reads.
  void upload(Stream stream) {
    staged = 0;
    // Structs first: their writers want them aligned.
    int sequenceBytes = packing.slots.size() * DiffusionState.SEQUENCE_BYTES;
    writeSequences();
    upload(stream, memory.sequences, sequenceBytes);
    writePlan();
    upload(stream, memory.plan, packing.planEntries * DiffusionState.PLAN_ENTRY_BYTES);
    writeCanvas(ints(packing.tokens));
    upload(stream, buffers.canvas(), packing.tokens * Integer.BYTES);
    writeRowIndex(ints(packing.logitsRows));
    upload(stream, buffers.rowIndex(), packing.logitsRows * Integer.BYTES);
    writeRowSequence(ints(packing.rows));
    upload(stream, memory.rowSequence, packing.rows * Integer.BYTES);
  }

  private IntBuffer ints(int count) {
    return memory.staging.buffer(staged, count * Integer.BYTES).asIntBuffer();
  }

  private void upload(Stream stream, DeviceBuffer target, int bytes) {
    stream.copyToDevice(target, memory.staging, staged, bytes);
    staged += bytes;
  }

  private void writeSequences() {
    for (int s = 0; s < packing.slots.size(); s++) {
      Packing.Slot slot = packing.slots.get(s);
      DiffusionOptions options = slot.options();
      DiffusionState.write(
          memory.staging,
          staged + (long) s * DiffusionState.SEQUENCE_BYTES,
          new DiffusionState.Sequence(
              slot.canvasBegin(),
              slot.unconditionalBegin(),
              slot.rowBegin(),
              slot.unconditionalRowBegin(),
              options.blockLength(),
              slot.planBegin(),
              slot.planEnd(),
              flags(options),
              (float) (options.cfgScale() + 1),
              (float) options.temperature(),
              options.seed(),
              rule(options.remasking())));
    }
  }

  private static int flags(DiffusionOptions options) {
    return (options.suppressEos() ? DiffusionState.SUPPRESS_EOS : 0)
        | (options.deferEos() ? DiffusionState.DEFER_EOS : 0);
  }

  private static RemaskingRule rule(Remasking remasking) {
    return switch (remasking) {
      case LOW_CONFIDENCE -> RemaskingRule.LOW_CONFIDENCE;
      case RANDOM -> RemaskingRule.RANDOM_ORDER;
    };
  }

  private void writePlan() {
    long at = staged;
    for (Packing.Slot slot : packing.slots) {
      DenoisingPlan plan = slot.plan();
      for (int i = 0; i < plan.size(); i++) {
        DiffusionState.write(
            memory.staging,
            at,
            new DiffusionState.PlanEntry(plan.blockBegin(i), plan.quota(i), plan.step(i)));
        at += DiffusionState.PLAN_ENTRY_BYTES;
      }
    }
  }

  private void writeCanvas(IntBuffer ids) {
    for (Packing.Slot slot : packing.slots) {
      ids.put(slot.promptIds());
      fillMask(ids, slot.options().genLength());
    }
    for (Packing.Slot slot : packing.slots) {
      if (slot.guided()) {
        fillMask(ids, slot.length());
      }
    }
  }

  private void fillMask(IntBuffer ids, int count) {
    for (int i = 0; i < count; i++) {
      ids.put(tokens.mask());
    }
  }

  private void writeRowIndex(IntBuffer rows) {
    for (Packing.Slot slot : packing.slots) {
      writeBlock(rows, slot.canvasBegin() + slot.promptIds().length, slot);
    }
    for (Packing.Slot slot : packing.slots) {
      if (slot.guided()) {
        writeBlock(rows, slot.unconditionalBegin() + slot.promptIds().length, slot);
      }
    }
  }

  private static void writeBlock(IntBuffer rows, int begin, Packing.Slot slot) {
    for (int i = 0; i < slot.options().blockLength(); i++) {
      rows.put(begin + i);
    }
  }

  private void writeRowSequence(IntBuffer rows) {
    for (int s = 0; s < packing.slots.size(); s++) {
      for (int i = 0; i < packing.slots.get(s).options().blockLength(); i++) {
        rows.put(s);
      }
    }
  }

  /// Enqueues the download of what [#results] reads; the caller then synchronises.
  void download(Stream stream, boolean trace) {
    long bytes = (long) packing.tokens * Integer.BYTES;
    stream.copyToHost(memory.staging, 0, buffers.canvas(), bytes);
    if (trace) {
      stream.copyToHost(memory.staging, bytes, memory.traceStep, bytes);
      stream.copyToHost(memory.staging, 2 * bytes, memory.traceConfidence, bytes);
    }
  }

  /// The finished answers. Throws ModelException if a position could not be filled.
  List<Denoised> results(boolean trace, long loopNanos) {
    int bytes = packing.tokens * Integer.BYTES;
    IntBuffer canvas = memory.staging.buffer(0, bytes).asIntBuffer();
    var results = new ArrayList<Denoised>(packing.slots.size());
    for (int s = 0; s < packing.slots.size(); s++) {
      Packing.Slot slot = packing.slots.get(s);
      int[] ids = new int[slot.options().genLength()];
      canvas.get(slot.answerBegin(), ids);
      checkComplete(s, ids);
      int steps = slot.plan().size();
      results.add(
          new Denoised(
              ids,
              slot.guided() ? 2 * steps : steps,
              trace ? trace(slot, ids) : List.of(),
              steps,
              loopNanos));
    }
    return results;
  }

  private List<Commit> trace(Packing.Slot slot, int[] ids) {
    int bytes = packing.tokens * Integer.BYTES;
    var steps = memory.staging.buffer(bytes, bytes).asIntBuffer();
    var confidences = memory.staging.buffer(2L * bytes, bytes).asFloatBuffer();
    var trace = new ArrayList<Commit>(ids.length);
    for (int i = 0; i < ids.length; i++) {
      int at = slot.answerBegin() + i;
      trace.add(new Commit(steps.get(at), i, ids[i], confidences.get(at)));
    }
    trace.sort(Comparator.comparingInt(Commit::step).thenComparingInt(Commit::position));
    return List.copyOf(trace);
  }

  /// The sampler never chooses the mask id, so a mask that is left is a row without any choice.
  private void checkComplete(int sequence, int[] ids) {
    for (int i = 0; i < ids.length; i++) {
      if (ids[i] == tokens.mask()) {
        Packing.Slot slot = packing.slots.get(sequence);
        int block = i / slot.options().blockLength();
        throw new ModelException(
            "no token could be chosen for answer position "
                + i
                + (packing.slots.size() > 1 ? " of sequence " + sequence : "")
                + " in block "
                + block
                + ", up to its last step "
                + slot.plan().lastStep(block)
                + ": every logit there is NaN or of an id that must not be chosen; check the"
                + " model's weights, and cfg_scale if it is large");
      }
    }
  }
}
