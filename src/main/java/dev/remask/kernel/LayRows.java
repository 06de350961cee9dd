package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Begins a denoising step on the device: says what each row of logits stands for.
public final class LayRows {
  private static final String OPERATION = "layRows";
  private static final int THREADS = 256;

  private final Kernel kernel;

  /// What a launch reads and writes, all device memory, records as [DiffusionState] lays them out:
  /// out rows `Row[R]`, rowIndex `i32[Rall]` (index of each logits row's packed query); sequences
  /// and progress by slot; the arenas plan PlanEntry[], maskPositions i32[] and canvas i32[];
  /// members Member[members].
  public record Buffers(
      DeviceBuffer rows,
      DeviceBuffer rowIndex,
      DeviceBuffer sequences,
      DeviceBuffer progress,
      DeviceBuffer plan,
      DeviceBuffer maskPositions,
      DeviceBuffer canvas,
      DeviceBuffer members) {}

  LayRows(Module module) {
    kernel =
        module.kernel(
            "lay_rows",
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32);
  }

  /// Writes the block-length rows of each of the `members` members of the pass, and the row indices
  /// of its logits and of its unconditional copy's.
  ///
  /// The rows are the masks of the current block in order: to be chosen where the canvas has the id
  /// `mask`; where it has another, to be reconsidered if the sequence revises and has revisions
  /// left. All other rows, those past the block's end and those of a sequence that is not running
  /// stand for nothing and point at the member's first query. Enqueues on `stream` and returns.
  /// Device thread only. Throws IllegalArgumentException if a buffer is too small, CudaException if
  /// the launch is refused.
  public void launch(Stream stream, Buffers buffers, int members, int mask) {
    Launch.requirePositive(OPERATION, "members", members);
    Launch.requireBuffer(
        OPERATION, "members", buffers.members, 1, members, DiffusionState.MEMBER_BYTES);
    kernel.set(0, buffers.rows).set(1, buffers.rowIndex).set(2, buffers.sequences);
    kernel.set(3, buffers.progress).set(4, buffers.plan).set(5, buffers.maskPositions);
    kernel.set(6, buffers.canvas).set(7, buffers.members).set(8, mask);
    kernel.launch(stream, members, 1, 1, THREADS, 0);
  }
}
