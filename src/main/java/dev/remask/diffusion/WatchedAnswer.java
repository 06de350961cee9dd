package dev.remask.diffusion;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Stream;

/// Copies the answer of a batch's only sequence to the host behind each step in flight. Device
/// thread only.
final class WatchedAnswer {
  private final DenoiserMemory memory;
  private final DeviceBuffer answer;
  private final int length;

  WatchedAnswer(DenoiserMemory memory, Packing packing, DeviceBuffer canvas) {
    this.memory = memory;
    Packing.Slot slot = packing.slots.getFirst();
    length = slot.options().genLength();
    answer = canvas.slice((long) slot.answerBegin() * Integer.BYTES, bytes());
  }

  private long bytes() {
    return (long) length * Integer.BYTES;
  }

  /// Enqueues the copy of the answer as it is after the work enqueued so far.
  void copy(Stream stream, int slot) {
    stream.copyToHost(memory.watched, slot * bytes(), answer, bytes());
  }

  /// The copy in a slot, once its event is done.
  int[] read(int slot) {
    int[] ids = new int[length];
    memory.watched.buffer(slot * bytes(), (int) bytes()).asIntBuffer().get(ids);
    return ids;
  }
}
