package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.PinnedMemory;
import dev.remask.testing.DeviceData;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// Runs one forward pass over packed sequences and fetches the logits.
final class PackedForward {
  private PackedForward() {}

  /// Logits f32[rows, E] of the packed positions `rows`.
  static float[] run(Context context, MaskPredictor predictor, List<int[]> sequences, int[] rows) {
    return context.call(() -> {
      int[] lengths = sequences.stream().mapToInt(ids -> ids.length).toArray();
      Batch batch = predictor.prepare(lengths, rows.length);
      fill(context, predictor, batch, sequences, rows);
      batch.forward();
      return DeviceData.readF32(context, predictor.stream(), batch.logits());
    });
  }

  /// Logits of every position of one sequence.
  static float[] run(Context context, MaskPredictor predictor, int[] ids) {
    return run(context, predictor, List.of(ids), IntStream.range(0, ids.length).toArray());
  }

  /// Uploads a batch's input. Device thread.
  static void fill(
      Context context, MaskPredictor predictor, Batch batch, List<int[]> sequences, int[] rows) {
    int[] tokens = sequences.stream().flatMapToInt(Arrays::stream).toArray();
    long tokenBytes = batch.tokens().bytes();
    long rowBytes = batch.rowIndex().bytes();
    try (PinnedMemory staging = context.allocatePinned(tokenBytes + rowBytes)) {
      MemorySegment.ofBuffer(staging.buffer()).copyFrom(MemorySegment.ofArray(tokens));
      MemorySegment.ofBuffer(staging.buffer())
          .asSlice(tokenBytes)
          .copyFrom(MemorySegment.ofArray(rows));
      predictor.stream().copyToDevice(batch.tokens(), staging, 0, tokenBytes);
      predictor.stream().copyToDevice(batch.rowIndex(), staging, tokenBytes, rowBytes);
      predictor.stream().synchronize();
    }
  }
}
