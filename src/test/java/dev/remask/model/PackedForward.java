package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.PinnedMemory;
import dev.remask.testing.DeviceData;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// Runs one forward pass over packed sequences and fetches the logits.
final class PackedForward {
  private PackedForward() {}

  /// Logits f32[rows, E] of the packed positions `rows`.
  static float[] run(Context context, MaskPredictor predictor, List<int[]> sequences, int[] rows) {
    return context.call(() -> {
      try (DeviceMemory canvas = canvas(context, predictor)) {
        Batch batch = predictor.prepare(shape(sequences, rows.length), canvas.buffer());
        fill(context, predictor, canvas.buffer(), batch, sequences, rows);
        batch.forward();
        return logits(context, predictor, batch);
      }
    });
  }

  /// Logits of every position of one sequence.
  static float[] run(Context context, MaskPredictor predictor, int[] ids) {
    return run(context, predictor, List.of(ids), IntStream.range(0, ids.length).toArray());
  }

  /// A canvas arena for the predictor's largest batch.
  static DeviceMemory canvas(Context context, MaskPredictor predictor) {
    return context.allocate((long) predictor.limits().maxTokens() * Integer.BYTES);
  }

  /// Whole sequences, one behind the other in the canvas.
  static PassShape shape(List<int[]> sequences, int rows) {
    return shape(rows, sequences.stream().mapToInt(ids -> ids.length).toArray());
  }

  /// Whole sequences of these lengths, one behind the other in the canvas.
  static PassShape shape(int rows, int... lengths) {
    var all = new ArrayList<PassSequence>();
    int begin = 0;
    for (int length : lengths) {
      all.add(PassSequence.whole(begin, length));
      begin += length;
    }
    return PassShape.of(all, rows);
  }

  /// Uploads a batch's input: the sequences one behind the other, and the rows. Device thread.
  static void fill(
      Context context,
      MaskPredictor predictor,
      DeviceBuffer canvas,
      Batch batch,
      List<int[]> sequences,
      int[] rows) {
    int[] tokens = sequences.stream().flatMapToInt(Arrays::stream).toArray();
    upload(context, predictor, canvas, tokens);
    upload(context, predictor, batch.rowIndex(), rows);
  }

  /// Uploads ints to the start of a buffer and waits. Device thread.
  static void upload(Context context, MaskPredictor predictor, DeviceBuffer target, int[] values) {
    long bytes = (long) values.length * Integer.BYTES;
    try (PinnedMemory staging = context.allocatePinned(bytes)) {
      MemorySegment.ofBuffer(staging.buffer()).copyFrom(MemorySegment.ofArray(values));
      predictor.stream().copyToDevice(target.slice(0, bytes), staging, 0, bytes);
      predictor.stream().synchronize();
    }
  }

  /// The logits of the rows that were asked for, without padding.
  static float[] logits(Context context, MaskPredictor predictor, Batch batch) {
    float[] padded = DeviceData.readF32(context, predictor.stream(), batch.logits());
    int columns = predictor.config().embeddingSize();
    return Arrays.copyOf(padded, batch.shape().rows() * columns);
  }
}
