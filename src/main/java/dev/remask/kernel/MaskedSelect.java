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

  /// The most columns of a slice where [HeadSelect] computes its logits first: they are to stay in
  /// the cache of a core.
  private static final int HEAD_SLICE_WIDTH = 1024;

  /// Slices there are also the grain in which the cores share the work, so a small vocabulary is
  /// cut into as many, unless they become narrower than what a slice costs beside its columns.
  private static final int HEAD_SLICES = 8;

  private static final int HEAD_LEAST_WIDTH = 256;

  /// Logits of a thread's load, and ids that share a draw of the noise.
  private static final int LANES = Launch.VECTOR_BYTES / Float.BYTES;

  private static final int WARP_THREADS = 32;

  private final Kernel slices;
  private final Kernel merge;
  private final boolean forHead;

  /// What a launch reads and writes, all device memory: logits f32[Rall, columns] (rows of the
  /// block first, those of unconditional copies after), rows and sequences as [DiffusionState] lays
  /// them out, floorsOrNull f32[rows] of [RestrictTokens], null if no sequence restricts its
  /// choice; scratch partials of [#partialBytes]; out candidates i32[rows] and keys f32[rows].
  public record Buffers(
      DeviceBuffer logits,
      DeviceBuffer rows,
      DeviceBuffer sequences,
      DeviceBuffer floorsOrNull,
      DeviceBuffer partials,
      DeviceBuffer candidates,
      DeviceBuffer keys) {}

  /// By the slices of [HeadSelect] where the device has that.
  MaskedSelect(Module module, boolean forHead) {
    this.forHead = forHead;
    slices =
        module.kernel(
            "select_slices",
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
            Parameter.I32,
            Parameter.I32,
            Parameter.SPECIAL_TOKENS);
  }

  /// Bytes of scratch memory for `rows` rows of `columns` logits, enough on every device.
  public static long partialBytes(int rows, int columns) {
    return partialBytes(rows, columns, headSliceWidth(columns));
  }

  /// Columns of a slice on this device, a function of the vocabulary alone.
  int sliceWidth(int columns) {
    return forHead ? headSliceWidth(columns) : SLICE_WIDTH;
  }

  private static int headSliceWidth(int columns) {
    int even = Launch.ceilDiv(columns, HEAD_SLICES * Weight.STRIP_ROWS) * Weight.STRIP_ROWS;
    return Math.clamp(even, HEAD_LEAST_WIDTH, HEAD_SLICE_WIDTH);
  }

  private static long partialBytes(int rows, int columns, int sliceWidth) {
    return (long) rows * Launch.ceilDiv(columns, sliceWidth) * DiffusionState.PARTIAL_BYTES;
  }

  /// Writes, for every row of kind CHOOSE, its candidate and its key; rows of another kind, and one
  /// that has no candidate, get candidate −1 and key −1 ([TargetOdds], launched after it, then
  /// gives those of kind RECONSIDER theirs).
  ///
  /// The candidate is the id of the largest logit + temperature · G below the vocabulary's end that
  /// is not the mask, the lowest on ties. G is Gumbel noise, a function of (seed, step, position,
  /// id) alone (`kernels/include/gumbel.h`), so the candidate is a draw from the softmax of the
  /// logits / temperature, whatever the batch, its order, the slices and the threads; with floors,
  /// of those logits that are not below the row's. At temperature 0 there is no noise and no floor
  /// is read. With an unconditional row the logits are un + guidance · (cond − un). The sequence's
  /// flags suppress or defer end tokens. The key is that of the sequence's [RemaskingRule], of the
  /// clean logits, floors or not; ∞ for a candidate that is deferred.
  ///
  /// Enqueues two kernels on `stream` and returns. Device thread only. Throws
  /// IllegalArgumentException if a buffer is too small or a size out of range (at most 65,535
  /// rows), CudaException if a launch is refused. Rule: LLaDA, generate.py (ML-GSAI/LLaDA).
  public void launch(Stream stream, Buffers buffers, int rows, int columns, SpecialTokens tokens) {
    launch(stream, buffers, rows, columns, tokens, sliceWidth(columns));
  }

  /// The same with another slice width, a multiple of 4 up to [#SLICE_WIDTH]: tests of many slices
  /// need no large vocabulary.
  void launch(
      Stream stream, Buffers buffers, int rows, int columns, SpecialTokens tokens, int sliceWidth) {
    Launch.requireGrid(OPERATION, "rows", rows);
    Launch.requireVocabulary(OPERATION, tokens, columns);
    Launch.requireRows(OPERATION, rows, columns, buffers.logits, buffers.rows, buffers.sequences);
    if (sliceWidth < LANES || sliceWidth > SLICE_WIDTH || sliceWidth % LANES != 0) {
      throw new IllegalArgumentException("select: slices of " + sliceWidth + " columns");
    }
    if (buffers.floorsOrNull != null) {
      Launch.requireBuffer(OPERATION, "floors", buffers.floorsOrNull, Float.BYTES, rows, 1);
    }
    requireResults(
        OPERATION, buffers.partials, buffers.candidates, buffers.keys, rows, columns, sliceWidth);

    int count = Launch.ceilDiv(columns, sliceWidth);
    slices.set(0, buffers.partials).set(1, buffers.logits).set(2, buffers.rows);
    slices.set(3, buffers.sequences).set(4, buffers.floorsOrNull);
    slices.set(5, rows).set(6, columns).set(7, sliceWidth);
    set(slices, 8, tokens);
    // A vector of a short slice for each thread, 8 of a full one.
    int threads = Launch.threads(Launch.ceilDiv(Math.min(sliceWidth, columns), LANES));
    slices.launch(stream, count, rows, 1, threads, 0);

    merge(
        stream,
        buffers.candidates,
        buffers.keys,
        buffers.partials,
        buffers.rows,
        buffers.sequences,
        rows,
        count,
        tokens);
  }

  /// Throws IllegalArgumentException if one of what a selection writes is too small.
  static void requireResults(
      String operation,
      DeviceBuffer partials,
      DeviceBuffer candidates,
      DeviceBuffer keys,
      int rows,
      int columns,
      int sliceWidth) {
    long scratch = partialBytes(rows, columns, sliceWidth);
    Launch.requireBuffer(operation, "partials", partials, 1, 1, scratch);
    Launch.requireBuffer(operation, "candidates", candidates, Integer.BYTES, rows, 1);
    Launch.requireBuffer(operation, "keys", keys, Float.BYTES, rows, 1);
  }

  /// Enqueues the second kernel: candidates and keys from the partial results of `count` slices.
  void merge(
      Stream stream,
      DeviceBuffer candidates,
      DeviceBuffer keys,
      DeviceBuffer partials,
      DeviceBuffer rowTable,
      DeviceBuffer sequences,
      int rows,
      int count,
      SpecialTokens tokens) {
    merge.set(0, candidates).set(1, keys).set(2, partials);
    merge.set(3, rowTable).set(4, sequences).set(5, rows).set(6, count);
    set(merge, 7, tokens);
    int warps = Math.min(rows, THREADS / WARP_THREADS); // a row each
    merge.launch(stream, Launch.ceilDiv(rows, warps), 1, 1, warps * WARP_THREADS, 0);
  }

  static void set(Kernel kernel, int index, SpecialTokens tokens) {
    kernel.setInts(index, tokens.vocabulary(), tokens.mask(), tokens.eos(), tokens.eot());
  }
}
