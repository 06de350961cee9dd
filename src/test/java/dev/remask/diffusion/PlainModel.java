package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.model.Batch;
import dev.remask.model.MaskPredictor;
import dev.remask.model.PassSequence;
import dev.remask.model.PassShape;
import dev.remask.testing.DeviceData;
import java.util.Arrays;
import java.util.List;

/// A mask predictor's full logits, one sequence at a time, for references in plain Java. It keeps
/// two sequences' caches: 0 and 1. Any thread.
final class PlainModel implements AutoCloseable {
  private final Context context;
  private final MaskPredictor predictor;
  private final DeviceMemory canvas;
  private final PinnedMemory staging;
  private final int longest;

  PlainModel(Context context, MaskPredictor predictor) {
    this.context = context;
    this.predictor = predictor;
    longest = predictor.config().maxSequenceLength();
    long bytes = (long) longest * Integer.BYTES;
    canvas = context.call(() -> context.allocate(bytes));
    staging = context.call(() -> context.allocatePinned(2 * bytes));
  }

  /// The logits of `positions`, a row each, of a pass that computes [first, end) of `ids`. `cache`
  /// -1: none, and all is computed; else keys and values go through that cache.
  float[][] logits(int[] ids, int first, int end, int[] positions, int cache) {
    int begin = cache < 0 ? PassSequence.UNCACHED : cache * longest;
    PassShape shape =
        PassShape.of(
            List.of(new PassSequence(0, first, end - first, ids.length, begin)), positions.length);
    return context.call(() -> {
      Stream stream = predictor.stream();
      Batch batch = predictor.prepare(shape, canvas.buffer());
      long idBytes = (long) ids.length * Integer.BYTES;
      staging.buffer(0, (int) idBytes).asIntBuffer().put(ids);
      stream.copyToDevice(canvas.buffer(), staging, 0, idBytes);
      // Rows that pad the batch read the first packed query.
      int[] rows = new int[batch.rowCount()];
      for (int i = 0; i < positions.length; i++) {
        rows[i] = shape.queryBegin(0) + positions[i] - first;
      }
      long rowBytes = (long) rows.length * Integer.BYTES;
      staging.buffer(idBytes, (int) rowBytes).asIntBuffer().put(rows);
      stream.copyToDevice(batch.rowIndex(), staging, idBytes, rowBytes);
      batch.forward();
      float[] all = DeviceData.readF32(context, stream, batch.logits());
      int columns = predictor.config().embeddingSize();
      float[][] logits = new float[positions.length][];
      for (int i = 0; i < positions.length; i++) {
        logits[i] = Arrays.copyOfRange(all, i * columns, (i + 1) * columns);
      }
      return logits;
    });
  }

  @Override
  public void close() {
    try (canvas;
        staging) {
      // both, even if one fails
    }
  }
}
