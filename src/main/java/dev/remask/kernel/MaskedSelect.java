package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Chooses a token for every masked position of the current blocks and says how sure that is.
public final class MaskedSelect {
  private static final String OPERATION = "select";
  private static final int THREADS = 256;

  /// Columns of the vocabulary that one CTA folds. Fixed, so that sums are added in one order
  /// whatever the batch; 16 slices of LLaDA's 126,464 columns.
  static final int SLICE_WIDTH = 8192;

  /// Logits of a thread's load, and ids that share a draw of the noise.
  private static final int LANES = Launch.VECTOR_BYTES / Float.BYTES;

  private static final int WARP_THREADS = 32;

  private final Kernel slices;
  private final Kernel merge;

  /// What a launch reads and writes, all device memory: logits f32[Rall, columns] (rows of the
  /// block first, those of unconditional copies after), sequences and plan as [DiffusionState] lays
  /// them out, rowSequence i32[rows] (each row's sequence), canvas i32[T]; scratch partials of
  /// [#partialBytes]; out candidates i32[rows] and keys f32[rows].
  public record Buffers(
      DeviceBuffer logits,
      DeviceBuffer sequences,
      DeviceBuffer plan,
      DeviceBuffer rowSequence,
      DeviceBuffer canvas,
      DeviceBuffer partials,
      DeviceBuffer candidates,
      DeviceBuffer keys) {}

  MaskedSelect(Module module) {
    slices =
        module.kernel(
            "select_slices",
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32,
            Parameter.I32,
            Parameter.SPECIAL_TOKENS);
    merge =
        module.kernel(
            "select_merge",
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32,
            Parameter.SPECIAL_TOKENS);
  }

  /// Bytes of scratch memory for `rows` rows of `columns` logits.
  public static long partialBytes(int rows, int columns) {
    return partialBytes(rows, columns, SLICE_WIDTH);
  }

  private static long partialBytes(int rows, int columns, int sliceWidth) {
    return (long) rows * Launch.ceilDiv(columns, sliceWidth) * DiffusionState.PARTIAL_BYTES;
  }

  /// Writes, for every selectable row, its candidate and its key. A row is selectable while its
  /// sequence is not done and its position is still masked; others get candidate −1 and key −1, and
  /// so does a row that has no candidate.
  ///
  /// The candidate is the id of the largest logit + temperature · G below the vocabulary's end that
  /// is not the mask, the lowest on ties. G is Gumbel noise, a function of (seed, step, position,
  /// id) alone (`kernels/include/gumbel.h`), so the candidate is a draw from the softmax of the
  /// logits / temperature; at temperature 0 there is no noise. With guidance the logits are un +
  /// guidance · (cond − un). The sequence's flags suppress or defer end tokens. The key is that of
  /// the sequence's [RemaskingRule], of the clean logits; ∞ for a candidate that is deferred.
  ///
  /// Enqueues two kernels on `stream` and returns. Device thread only. Throws
  /// IllegalArgumentException if a buffer is too small or a size out of range (at most 65,535
  /// rows), CudaException if a launch is refused. Rule: LLaDA, generate.py (ML-GSAI/LLaDA).
  public void launch(Stream stream, Buffers buffers, int rows, int columns, SpecialTokens tokens) {
    launch(stream, buffers, rows, columns, tokens, SLICE_WIDTH);
  }

  /// The same with another slice width, a multiple of 4 up to [#SLICE_WIDTH]: tests of many slices
  /// need no large vocabulary.
  void launch(
      Stream stream, Buffers buffers, int rows, int columns, SpecialTokens tokens, int sliceWidth) {
    Launch.requirePositive(OPERATION, "rows", rows);
    Launch.requirePositive(OPERATION, "columns", columns);
    Launch.requireGrid(OPERATION, "rows", rows);
    if (tokens.vocabulary() < 1 || tokens.vocabulary() > columns) {
      throw new IllegalArgumentException(
          "select: a vocabulary of %d ids in rows of %d logits"
              .formatted(tokens.vocabulary(), columns));
    }
    if (sliceWidth < LANES || sliceWidth > SLICE_WIDTH || sliceWidth % LANES != 0) {
      throw new IllegalArgumentException("select: slices of " + sliceWidth + " columns");
    }
    Launch.requireBuffer(OPERATION, "logits", buffers.logits, Float.BYTES, rows, columns);
    Launch.requireBuffer(
        OPERATION, "sequences", buffers.sequences, 1, 1, DiffusionState.SEQUENCE_BYTES);
    Launch.requireBuffer(OPERATION, "rowSequence", buffers.rowSequence, Integer.BYTES, rows, 1);
    long scratch = partialBytes(rows, columns, sliceWidth);
    Launch.requireBuffer(OPERATION, "partials", buffers.partials, 1, 1, scratch);
    Launch.requireBuffer(OPERATION, "candidates", buffers.candidates, Integer.BYTES, rows, 1);
    Launch.requireBuffer(OPERATION, "keys", buffers.keys, Float.BYTES, rows, 1);

    int count = Launch.ceilDiv(columns, sliceWidth);
    slices.set(0, buffers.partials).set(1, buffers.logits).set(2, buffers.sequences);
    slices.set(3, buffers.plan).set(4, buffers.rowSequence).set(5, buffers.canvas);
    slices.set(6, rows).set(7, columns).set(8, sliceWidth);
    set(slices, 9, tokens);
    // A vector of a short slice for each thread, 8 of a full one.
    int threads = Launch.threads(Launch.ceilDiv(Math.min(sliceWidth, columns), LANES));
    slices.launch(stream, count, rows, 1, threads, 0);

    merge.set(0, buffers.candidates).set(1, buffers.keys).set(2, buffers.partials);
    merge.set(3, buffers.sequences).set(4, buffers.plan).set(5, buffers.rowSequence);
    merge.set(6, buffers.canvas).set(7, rows).set(8, count);
    set(merge, 9, tokens);
    int warps = Math.min(rows, THREADS / WARP_THREADS); // a row each
    merge.launch(stream, Launch.ceilDiv(rows, warps), 1, 1, warps * WARP_THREADS, 0);
  }

  private static void set(Kernel kernel, int index, SpecialTokens tokens) {
    kernel.setInts(index, tokens.vocabulary(), tokens.mask(), tokens.eos(), tokens.eot());
  }
}
