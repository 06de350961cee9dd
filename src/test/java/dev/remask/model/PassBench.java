package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.kernel.DType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// A loaded predictor with a canvas arena, for tests of passes.
///
/// Before every pass the workspace is filled with NaN, and the cache once after the load: a number
/// that no kernel wrote, padding's included, must reach no result.
final class PassBench implements AutoCloseable {
  private static final byte NAN = (byte) 0xff;

  final Context context;
  final MaskPredictor predictor;
  private final DeviceMemory canvas;

  PassBench(Context context, Path model, DType dtype, WorkspaceLimits limits, int canvasIds) {
    this(
        context,
        MaskPredictor.load(context, model, dtype, limits, ProgressListener.NONE),
        canvasIds);
  }

  /// With a predictor that is closed with this.
  PassBench(Context context, MaskPredictor predictor, int canvasIds) {
    this.context = context;
    this.predictor = predictor;
    canvas =
        context.call(() -> {
          DeviceMemory ids = context.allocate((long) canvasIds * Integer.BYTES);
          if (predictor.cache() != null) {
            for (KvCache.Layer layer : predictor.cache().layers()) {
              predictor.stream().fill(layer.keys(), NAN);
              predictor.stream().fill(layer.values(), NAN);
            }
          }
          return ids;
        });
  }

  DeviceBuffer canvas() {
    return canvas.buffer();
  }

  /// Puts ids into the canvas arena.
  void put(int at, int... ids) {
    long begin = (long) at * Integer.BYTES;
    DeviceBuffer target = canvas.slice(begin, (long) ids.length * Integer.BYTES);
    context.run(() -> PackedForward.upload(context, predictor, target, ids));
  }

  /// Runs one pass; the logits [queries, E] of every query of each sequence, in the given order.
  List<float[]> run(List<PassSequence> sequences) {
    int queries = sequences.stream().mapToInt(PassSequence::queries).sum();
    PassShape shape = PassShape.of(sequences, queries);
    int[] rows = new int[queries];
    int row = 0;
    for (int i = 0; i < sequences.size(); i++) {
      for (int q = 0; q < sequences.get(i).queries(); q++) {
        rows[row++] = shape.queryBegin(i) + q;
      }
    }
    float[] logits = run(shape, rows);
    var each = new ArrayList<float[]>();
    int begin = 0;
    for (PassSequence sequence : sequences) {
      int count = sequence.queries() * predictor.config().embeddingSize();
      each.add(Arrays.copyOfRange(logits, begin, begin + count));
      begin += count;
    }
    return each;
  }

  /// Runs one pass; the logits [rows, E] of the packed positions `rows`.
  float[] run(PassShape shape, int[] rows) {
    return context.call(() -> {
      Batch batch = prepare(shape, rows);
      batch.forward();
      return PackedForward.logits(context, predictor, batch);
    });
  }

  /// Prepares a pass in a workspace of NaN and uploads its row index. Device thread.
  Batch prepare(PassShape shape, int[] rows) {
    predictor.stream().fill(predictor.workspace().buffer(), NAN);
    Batch batch = predictor.prepare(shape, canvas.buffer());
    PackedForward.upload(context, predictor, batch.rowIndex(), rows);
    return batch;
  }

  /// Runs one pass of one sequence for what it leaves in the cache.
  void store(PassSequence sequence) {
    context.run(() -> prepare(PassShape.of(List.of(sequence), 1), new int[] {0}).forward());
  }

  /// Runs one pass of one sequence.
  float[] run(PassSequence sequence) {
    return run(List.of(sequence)).getFirst();
  }

  @Override
  public void close() {
    context.run(canvas::close);
    predictor.close();
  }
}
