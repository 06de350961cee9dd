package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Event;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import dev.remask.kernel.QuantizeRows;
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

  /// Enqueues what is to be done with the next chunk of `elements`, starting at `first`, which
  /// stands at the start of `from`.
  interface Taker {
    void take(long first, int elements, PinnedMemory from);
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

  /// Copies a tensor of a mapped file to `to`, converted to `dtype`.
  void upload(MemorySegment from, TensorType type, DeviceBuffer to, DType dtype) {
    upload(to, dtype.bytes(), converter(from, type, dtype));
  }

  /// The same, `columns` elements a row, into 8-bit integers and a scale for each row. A chunk goes
  /// through `staging`, device memory of this uploader's chunk size: never is there a whole tensor.
  void quantize(
      MemorySegment from,
      TensorType type,
      DType dtype,
      int columns,
      QuantizeRows quantizer,
      DeviceBuffer staging,
      DeviceBuffer to,
      DeviceBuffer scales) {
    int bytes = dtype.bytes();
    upload(
        to.bytes(),
        chunkBytes / bytes / columns * columns,
        bytes,
        converter(from, type, dtype),
        (first, elements, chunk) -> {
          stream.copyToDevice(
              staging.slice(0, (long) elements * bytes), chunk, 0, (long) elements * bytes);
          int rows = elements / columns;
          long row = first / columns;
          quantizer.launch(
              stream,
              to.slice(first, elements),
              scales.slice(row * Float.BYTES, (long) rows * Float.BYTES),
              staging,
              rows,
              columns);
        });
  }

  /// What has been read leaves this process's memory at once: on the software device the weights
  /// would otherwise stand there twice.
  private static Filler converter(MemorySegment from, TensorType type, DType dtype) {
    int fileBytes = type.bits() / Byte.SIZE;
    return (first, elements, into) -> {
      MemorySegment chunk = from.asSlice(first * fileBytes, (long) elements * fileBytes);
      Conversion.convert(chunk, type, into, dtype, elements);
      chunk.unload();
    };
  }

  /// Fills `to` with elements of `elementBytes` bytes that `filler` makes.
  void upload(DeviceBuffer to, int elementBytes, Filler filler) {
    upload(
        to.bytes() / elementBytes,
        chunkBytes / elementBytes,
        elementBytes,
        filler,
        (first, elements, chunk) -> {
          long bytes = (long) elements * elementBytes;
          stream.copyToDevice(to.slice(first * elementBytes, bytes), chunk, 0, bytes);
        });
  }

  private void upload(long total, long most, int elementBytes, Filler filler, Taker taker) {
    for (long first = 0; first < total; first += most) {
      int elements = (int) Math.min(most, total - first);
      Slot slot = slots.get(next);
      next = (next + 1) % BUFFERS;
      if (slot.used) {
        slot.copied.synchronize();
      }
      filler.fill(first, elements, MemorySegment.ofBuffer(slot.memory.buffer()));
      taker.take(first, elements, slot.memory);
      stream.record(slot.copied);
      slot.used = true;
      listener.onChunk((long) elements * elementBytes);
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
