package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Ends a denoising step on the device: the surest positions take their token, and every sequence
/// of the pass moves on.
public final class Commit {
  private static final String OPERATION = "commit";
  private static final int THREADS = 256;

  private final Kernel kernel;

  /// What a launch reads and writes, records as [DiffusionState] lays them out. In and out: the
  /// arena canvas i32[], progress by slot. Out: log CommitRecord[] and logHeads i32[], by slot, in
  /// mapped host memory. In: keys `f32[R]` and candidates `i32[R]` of [MaskedSelect], rows `Row[R]`
  /// of [LayRows], sequences by slot, the arenas plan PlanEntry[] and maskPositions i32[], members
  /// Member[members].
  public record Buffers(
      DeviceBuffer canvas,
      DeviceBuffer progress,
      DeviceBuffer log,
      DeviceBuffer logHeads,
      DeviceBuffer keys,
      DeviceBuffer candidates,
      DeviceBuffer rows,
      DeviceBuffer sequences,
      DeviceBuffer plan,
      DeviceBuffer maskPositions,
      DeviceBuffer members) {}

  Commit(Module module) {
    kernel =
        module.kernel(
            "commit_rows",
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.SPECIAL_TOKENS);
  }

  /// Ends the step of each of the `members` members of the pass whose sequence is running.
  ///
  /// The rows that its [CommitRule] takes write their candidate into the canvas and the
  /// unconditional copy; a row without a candidate (key < 0 or NaN) never does. Then progress moves
  /// as `kernels/commit.cu` says: to the next plan entry, the next block, or another status; and
  /// records of what was committed are published: `logHeads` counts only such as are complete. A
  /// block may have any length: the work is linear in it. Enqueues on `stream` and returns. Device
  /// thread only. Throws IllegalArgumentException if a buffer is too small, CudaException if the
  /// launch is refused. Rules: ML-GSAI/LLaDA, NVlabs/Fast-dLLM, HKUNLP/Dream, see [CommitRule].
  public void launch(Stream stream, Buffers buffers, int members, SpecialTokens tokens) {
    Launch.requirePositive(OPERATION, "members", members);
    Launch.requireBuffer(
        OPERATION, "members", buffers.members, 1, members, DiffusionState.MEMBER_BYTES);
    kernel.set(0, buffers.canvas).set(1, buffers.progress).set(2, buffers.log);
    kernel.set(3, buffers.logHeads).set(4, buffers.keys).set(5, buffers.candidates);
    kernel.set(6, buffers.rows).set(7, buffers.sequences).set(8, buffers.plan);
    kernel.set(9, buffers.maskPositions).set(10, buffers.members);
    kernel.setInts(11, tokens.vocabulary(), tokens.mask(), tokens.eos(), tokens.eot());
    kernel.launch(stream, members, 1, 1, THREADS, 0);
  }
}
