package dev.remask.kernel;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;

/// The product with the LM head and [MaskedSelect] in one: logits of a slice of the vocabulary are
/// chosen from where they were computed, in the cache, and never come to memory. Rows that are not
/// to be chosen for are not computed at all. The software device's host kernels have it.
public final class HeadSelect {
  private static final String OPERATION = "head_select";

  /// CUDA_ERROR_NOT_FOUND.
  private static final int NOT_FOUND = 500;

  private final DType dtype;
  private final Kernel kernel;
  private final MaskedSelect select;

  /// What a launch reads and writes, all device memory: hidden X[Rall, K], the normalised rows that
  /// the head is applied to (those of the blocks first, those of unconditional copies after), head
  /// X[columns, K], packed; the others as [MaskedSelect.Buffers] has them.
  public record Buffers(
      DeviceBuffer hidden,
      Weight head,
      DeviceBuffer rows,
      DeviceBuffer sequences,
      DeviceBuffer partials,
      DeviceBuffer candidates,
      DeviceBuffer keys) {}

  HeadSelect(DType dtype, Kernel kernel, MaskedSelect select) {
    this.dtype = dtype;
    this.kernel = kernel;
    this.select = select;
  }

  /// The kernel; empty on a device that has none.
  static Optional<Kernel> kernel(Context context, DType dtype, Function<String, Module> modules) {
    if (!context.device().isSoftware()) {
      return Optional.empty();
    }
    try {
      Kernel kernel =
          modules
              .apply(OPERATION)
              .kernel(
                  OPERATION + "_" + dtype.name().toLowerCase(Locale.ROOT),
                  Parameter.POINTER,
                  Parameter.POINTER,
                  Parameter.POINTER,
                  Parameter.POINTER,
                  Parameter.POINTER,
                  Parameter.I32,
                  Parameter.I32,
                  Parameter.I32,
                  Parameter.I32,
                  Parameter.SPECIAL_TOKENS);
      return Optional.of(kernel);
    } catch (CudaException e) {
      if (e.code() == NOT_FOUND) {
        return Optional.empty(); // the emulator
      }
      throw e;
    }
  }

  /// Whether the head lies as the kernel reads it.
  public boolean takes(Weight head) {
    return head.layout() == Weight.Layout.PACKED;
  }

  /// Writes what `hidden · headᵀ`, by [Gemm] with the same weights, and [MaskedSelect#launch]
  /// without floors write: the same bits.
  ///
  /// Enqueues two kernels on `stream` and returns. Device thread only. Throws
  /// IllegalArgumentException if a buffer is too small, a size out of range or the head not packed,
  /// CudaException if a launch is refused.
  public void launch(Stream stream, Buffers buffers, int rows, SpecialTokens tokens) {
    launch(stream, buffers, rows, tokens, select.sliceWidth(buffers.head.n()));
  }

  /// The same with another slice width, a multiple of 16.
  void launch(Stream stream, Buffers buffers, int rows, SpecialTokens tokens, int sliceWidth) {
    Weight head = buffers.head;
    if (!takes(head)) {
      throw new IllegalArgumentException("head_select: the head's layout is " + head.layout());
    }
    int columns = head.n();
    Launch.requirePositive(OPERATION, "rows", rows);
    Launch.requireVocabulary(OPERATION, tokens, columns);
    Launch.requireBuffer(OPERATION, "hidden", buffers.hidden, dtype.bytes(), rows, head.k());
    Launch.requireBuffer(OPERATION, "head", head.values(), dtype.bytes(), columns, head.k());
    Launch.requireBuffer(OPERATION, "rows", buffers.rows, DiffusionState.ROW_BYTES, rows, 1);
    Launch.requireBuffer(
        OPERATION, "sequences", buffers.sequences, DiffusionState.SEQUENCE_BYTES, 1, 1);
    if (sliceWidth < Weight.STRIP_ROWS || sliceWidth % Weight.STRIP_ROWS != 0) {
      throw new IllegalArgumentException("head_select: slices of " + sliceWidth + " columns");
    }
    MaskedSelect.requireResults(
        OPERATION, buffers.partials, buffers.candidates, buffers.keys, rows, columns, sliceWidth);

    kernel.set(0, buffers.partials).set(1, buffers.hidden).set(2, head.values());
    kernel.set(3, buffers.rows).set(4, buffers.sequences).set(5, rows).set(6, columns);
    kernel.set(7, head.k()).set(8, sliceWidth);
    MaskedSelect.set(kernel, 9, tokens);
    kernel.launch(stream, 1, 1, 1, 1, 0);
    select.merge(
        stream,
        buffers.candidates,
        buffers.keys,
        buffers.partials,
        buffers.rows,
        buffers.sequences,
        rows,
        Launch.ceilDiv(columns, sliceWidth),
        tokens);
  }
}
