package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.kernel.DiffusionState.Sequence;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.ObjIntConsumer;

/// Rows and sequences on the device, for the tests of the selection's kernels.
final class SelectionState {
  /// A sequence of these tests: what the selection reads, and nothing of the rest.
  static final class Slot {
    int canvasBegin;
    int maskCount = 1;
    int flags;
    float guidance = 1;
    float temperature;
    long seed;
    RemaskingRule rule = RemaskingRule.LOW_CONFIDENCE;
    int topK;
    float topP = 1;
    int constraintBegin;
    int constraintCount;

    Sequence sequence() {
      return new Sequence(
          canvasBegin,
          DiffusionState.NO_GUIDANCE,
          maskCount,
          1,
          0,
          flags,
          guidance,
          temperature,
          seed,
          rule,
          CommitRule.QUOTA,
          0,
          0,
          topK,
          topP,
          constraintBegin,
          constraintCount,
          0,
          0,
          0);
    }
  }

  private SelectionState() {}

  static DeviceBuffer rows(KernelBench bench, Row... rows) {
    return records(
        bench,
        DiffusionState.ROW_BYTES,
        rows.length,
        (memory, i) -> DiffusionState.write(memory, i * DiffusionState.ROW_BYTES, rows[i]));
  }

  static DeviceBuffer sequences(KernelBench bench, Slot... slots) {
    return records(
        bench,
        DiffusionState.SEQUENCE_BYTES,
        slots.length,
        (memory, i) ->
            DiffusionState.write(memory, i * DiffusionState.SEQUENCE_BYTES, slots[i].sequence()));
  }

  private static DeviceBuffer records(
      KernelBench bench, int bytes, int count, ObjIntConsumer<ByteBuffer> write) {
    ByteBuffer memory = ByteBuffer.allocateDirect(bytes * count).order(ByteOrder.nativeOrder());
    for (int i = 0; i < count; i++) {
      write.accept(memory, i);
    }
    int[] words = new int[memory.capacity() / Integer.BYTES];
    memory.asIntBuffer().get(words);
    return bench.ints(words).buffer();
  }
}
