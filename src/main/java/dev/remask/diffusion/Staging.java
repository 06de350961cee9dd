package dev.remask.diffusion;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;

/// Uploads through pinned memory, one behind the other, so that none waits for the one before it.
/// Only when the memory is full does the next one wait for the device. Device thread only.
final class Staging {
  /// The structs' writers want them aligned.
  private static final int ALIGNMENT = 16;

  private final PinnedMemory memory;
  private final Stream stream;
  private long used;

  Staging(PinnedMemory memory, Stream stream) {
    this.memory = memory;
    this.stream = stream;
  }

  PinnedMemory memory() {
    return memory;
  }

  /// Room for `bytes`, to be written before [#upload]: an offset in [#memory].
  long take(long bytes) {
    if (used + bytes > memory.bytes()) {
      stream.synchronize();
      used = 0;
    }
    long at = used;
    used = (used + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
  }

  /// Enqueues the copy of what was written at `offset`.
  void upload(DeviceBuffer target, long offset, long bytes) {
    stream.copyToDevice(target, memory, offset, bytes);
  }

  /// The same for ints.
  void upload(DeviceBuffer arena, long element, int[] values) {
    long bytes = (long) values.length * Integer.BYTES;
    if (bytes == 0) {
      return;
    }
    long offset = take(bytes);
    memory.buffer(offset, (int) bytes).asIntBuffer().put(values);
    upload(arena.slice(element * Integer.BYTES, bytes), offset, bytes);
  }

  /// Says that the device has done all copies: their memory is free again.
  void idle() {
    used = 0;
  }
}
