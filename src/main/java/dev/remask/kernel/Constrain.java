package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;

/// Edits logits as the requests' constraints say, between the forward pass and the selection.
public final class Constrain {
  /// Ints of an entry of the constraints arena: canvas position that it holds for or −1 for all,
  /// kind, index of its first `int` in the data arena, count.
  public static final int ENTRY_INTS = 4;

  /// Kind of an entry; data: `count` ids, whose logits become −∞.
  public static final int BAN = 0;

  /// Kind of an entry; data: `count` distinct ids, then as many f32 (their bits), which are added
  /// to the ids' logits. The unconditional copy's logits move by the same, so that the guided logit
  /// does.
  public static final int BIAS = 1;

  /// Kind of an entry; data: `count` ids; all other logits become −∞. Several entries leave what
  /// all of them allow.
  public static final int ALLOW_ONLY = 2;

  /// Kind of an entry; data: `count` choices, one after the other, of as many ids as the sequence
  /// has masks (−1: any id). The answer becomes one of them, if no step commits more than one row:
  /// rows of one step do not know of each other, so two could follow different choices.
  public static final int ONE_OF = 3;

  static final StructLayout ENTRY_LAYOUT =
      MemoryLayout.structLayout(
              ValueLayout.JAVA_INT.withName("position"),
              ValueLayout.JAVA_INT.withName("kind"),
              ValueLayout.JAVA_INT.withName("begin"),
              ValueLayout.JAVA_INT.withName("count"))
          .withByteAlignment(16)
          .withName("Constraint");

  private static final String OPERATION = "constrain";
  private static final int THREADS = 256;

  private final Kernel kernel;

  /// What a launch reads and writes, all device memory: logits f32[Rall, columns] (in and out; rows
  /// of the block first, those of unconditional copies after), rows and sequences as
  /// [DiffusionState] lays them out, constraints i32[…] (arena of entries), data i32[…] (arena),
  /// canvas i32[…] and maskPositions i32[…], the arenas that `canvasBegin` of a sequence points
  /// into.
  public record Buffers(
      DeviceBuffer logits,
      DeviceBuffer rows,
      DeviceBuffer sequences,
      DeviceBuffer constraints,
      DeviceBuffer data,
      DeviceBuffer canvas,
      DeviceBuffer maskPositions) {}

  Constrain(Module module) {
    kernel =
        module.kernel(
            "constrain",
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32,
            Parameter.I32);
  }

  /// Applies the entries `constraintBegin` … of each row's sequence, in order, to the logits of its
  /// rows that are to be chosen or reconsidered.
  ///
  /// −∞ goes to the conditional row alone, after which no guidance brings an id back. Of a choice
  /// ([#ONE_OF]) the ids count at masks that are committed in the canvas; a reconsidered row's own
  /// token does not. A row to which nothing is left gets no candidate. Ids outside the columns are
  /// passed over. Costs nothing for sequences without entries.
  ///
  /// Enqueues on `stream` and returns. Device thread only. Throws IllegalArgumentException if a
  /// buffer is too small or a size out of range, CudaException if the launch is refused; what
  /// entries, positions and sequences point at is not checked.
  public void launch(Stream stream, Buffers buffers, int rows, int columns, SpecialTokens tokens) {
    Launch.requireRows(OPERATION, rows, columns, buffers.logits, buffers.rows, buffers.sequences);
    kernel.set(0, buffers.logits).set(1, buffers.rows).set(2, buffers.sequences);
    kernel.set(3, buffers.constraints).set(4, buffers.data);
    kernel.set(5, buffers.canvas).set(6, buffers.maskPositions);
    kernel.set(7, rows).set(8, columns).set(9, tokens.mask());
    kernel.launch(stream, rows, 1, 1, THREADS, 0);
  }
}
