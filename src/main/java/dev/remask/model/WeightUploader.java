package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Event;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/// Converts host data chunk by chunk into two pinned buffers and copies them to the device: one is
/// filled while the other one travels. Device thread only.
final class WeightUploader implements AutoCloseable {
  private static final int BUFFERS = 2;

  /// Writes the next chunk of `elements`, starting at `first`, to the start of `into`.
  interface Filler {
    void fill(long first, int elements, MemorySegment into);
  }

  /// Hears how many bytes a chunk had.
  interface ChunkListener {
    void onChunk(long bytes);
  }

  private static final class Slot implements AutoCloseable {
    final PinnedMemory memory;
    final Event copied;
    boolean used;

    Slot(Context context, long bytes) {
      memory = context.allocatePinned(bytes);
      boolean success = false;
      try {
        copied = context.newEvent();
        success = true;
      } finally {
        if (!success) {
          memory.close();
        }
      }
    }

    @Override
    public void close() {
      try (memory) {
        copied.close();
      }
    }
  }

  private final Stream stream;
  private final ChunkListener listener;
  private final long chunkBytes;
  private final List<Slot> slots = new ArrayList<>();
  private int next;

  WeightUploader(Context context, Stream stream, long chunkBytes, ChunkListener listener) {
    this.stream = stream;
    this.listener = listener;
    this.chunkBytes = chunkBytes;
    boolean success = false;
    try {
      for (int i = 0; i < BUFFERS; i++) {
        slots.add(new Slot(context, chunkBytes));
      }
      success = true;
    } finally {
      if (!success) {
        slots.forEach(Slot::close);
      }
    }
  }

  /// Copies a tensor to `to`, converted to `dtype`.
  void upload(MemorySegment from, TensorType type, DeviceBuffer to, DType dtype) {
    int fileBytes = type.bits() / Byte.SIZE;
    upload(
        to,
        dtype.bytes(),
        (first, elements, into) ->
            Conversion.convert(from.asSlice(first * fileBytes), type, into, dtype, elements));
  }

  /// Fills `to` with elements of `elementBytes` bytes that `filler` makes.
  void upload(DeviceBuffer to, int elementBytes, Filler filler) {
    long total = to.bytes() / elementBytes;
    long most = chunkBytes / elementBytes;
    for (long first = 0; first < total; first += most) {
      int elements = (int) Math.min(most, total - first);
      long bytes = (long) elements * elementBytes;
      Slot slot = slots.get(next);
      next = (next + 1) % BUFFERS;
      if (slot.used) {
        slot.copied.synchronize();
      }
      filler.fill(first, elements, MemorySegment.ofBuffer(slot.memory.buffer()));
      stream.copyToDevice(to.slice(first * elementBytes, bytes), slot.memory, 0, bytes);
      stream.record(slot.copied);
      slot.used = true;
      listener.onChunk(bytes);
    }
  }

  /// Waits for the copies under way and frees the buffers.
  @Override
  public void close() {
    CudaException failure = null;
    try {
      stream.synchronize();
    } catch (CudaException e) {
      failure = e;
    }
    for (Slot slot : slots) {
      try {
        slot.close();
      } catch (CudaException e) {
        if (failure == null) {
          failure = e;
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}
