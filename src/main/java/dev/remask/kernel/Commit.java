package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Ends a denoising step on the device: the surest positions take their token, then every sequence
/// moves to its next plan entry.
public final class Commit {
  private static final String OPERATION = "commit";
  private static final int THREADS = 256;

  private final Kernel topK;
  private final Kernel advance;

  /// What a launch reads and writes, all device memory: canvas i32[T] (in and out), traceStep
  /// i32[T] and traceConfidence f32[T] (out, indexed like the canvas), keys f32[R] and candidates
  /// i32[R] of [MaskedSelect], sequences and plan as [DiffusionState] lays them out.
  public record Buffers(
      DeviceBuffer canvas,
      DeviceBuffer traceStep,
      DeviceBuffer traceConfidence,
      DeviceBuffer keys,
      DeviceBuffer candidates,
      DeviceBuffer sequences,
      DeviceBuffer plan) {}

  Commit(Module module) {
    topK =
        module.kernel(
            "commit_topk",
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER);
    advance = module.kernel("advance", Parameter.POINTER, Parameter.POINTER, Parameter.POINTER);
  }

  /// Commits, in each of the `sequences` sequences that is not done, the plan entry's quota of
  /// selectable rows with the smallest keys.
  ///
  /// Ties: lower position wins. A sequence with fewer selectable rows than its quota commits them
  /// all. Writes the token into the canvas (and the unconditional copy), its step and its
  /// confidence 1 / (1 + key) into the trace. A block may have any length: the work is linear in
  /// it. Enqueues on `stream` and returns. Device thread only. Throws IllegalArgumentException if a
  /// buffer is too small, CudaException if the launch is refused. Rule: LLaDA, low-confidence
  /// remasking (ML-GSAI/LLaDA, generate.py).
  public void launch(Stream stream, Buffers buffers, int sequences) {
    requireSequences(buffers.sequences, sequences);
    long canvas = buffers.canvas.bytes() / Integer.BYTES;
    Launch.requireBuffer(OPERATION, "traceStep", buffers.traceStep, Integer.BYTES, canvas, 1);
    Launch.requireBuffer(
        OPERATION, "traceConfidence", buffers.traceConfidence, Float.BYTES, canvas, 1);
    topK.set(0, buffers.canvas).set(1, buffers.traceStep).set(2, buffers.traceConfidence);
    topK.set(3, buffers.keys).set(4, buffers.candidates);
    topK.set(5, buffers.sequences).set(6, buffers.plan);
    topK.launch(stream, sequences, 1, 1, THREADS, 0);
  }

  /// Moves each sequence that is not done to its next plan entry and points its logits rows, and
  /// those of its unconditional copy, at that entry's block.
  ///
  /// sequences and plan as [DiffusionState] lays them out, rowIndex i32[Rall] (out); all device
  /// memory. A sequence whose plan ends keeps its rows. Enqueues on `stream` and returns. Device
  /// thread only. Throws IllegalArgumentException if a buffer is too small, CudaException if the
  /// launch is refused.
  public void advance(
      Stream stream,
      DeviceBuffer sequences,
      DeviceBuffer rowIndex,
      DeviceBuffer plan,
      int sequenceCount) {
    requireSequences(sequences, sequenceCount);
    advance.set(0, sequences).set(1, rowIndex).set(2, plan);
    advance.launch(stream, sequenceCount, 1, 1, THREADS, 0);
  }

  private static void requireSequences(DeviceBuffer buffer, int count) {
    Launch.requirePositive(OPERATION, "sequences", count);
    Launch.requireBuffer(OPERATION, "sequences", buffer, 1, count, DiffusionState.SEQUENCE_BYTES);
  }
}
