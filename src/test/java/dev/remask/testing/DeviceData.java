package dev.remask.testing;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import java.lang.foreign.MemorySegment;

/// Moves Java arrays to device memory and back, waiting for each copy. Device thread.
public final class DeviceData {
  private DeviceData() {}

  /// New device memory that holds `values` as f32. The caller closes it.
  public static DeviceMemory f32(Context context, Stream stream, float... values) {
    return upload(context, stream, MemorySegment.ofArray(values));
  }

  /// New device memory that holds `values` rounded to bf16. The caller closes it.
  public static DeviceMemory bf16(Context context, Stream stream, float... values) {
    var bits = new short[values.length];
    for (int i = 0; i < values.length; i++) {
      bits[i] = Bf16.toBits(values[i]);
    }
    return upload(context, stream, MemorySegment.ofArray(bits));
  }

  /// New device memory that holds `values` as i32. The caller closes it.
  public static DeviceMemory i32(Context context, Stream stream, int... values) {
    return upload(context, stream, MemorySegment.ofArray(values));
  }

  /// The f32 values of `buffer`, after all work of `stream`.
  public static float[] readF32(Context context, Stream stream, DeviceBuffer buffer) {
    try (PinnedMemory staging = download(context, stream, buffer)) {
      return MemorySegment.ofBuffer(staging.buffer()).toArray(JAVA_FLOAT);
    }
  }

  /// The bf16 values of `buffer`, after all work of `stream`.
  public static float[] readBf16(Context context, Stream stream, DeviceBuffer buffer) {
    try (PinnedMemory staging = download(context, stream, buffer)) {
      short[] bits = MemorySegment.ofBuffer(staging.buffer()).toArray(JAVA_SHORT);
      var values = new float[bits.length];
      for (int i = 0; i < bits.length; i++) {
        values[i] = Bf16.fromBits(bits[i]);
      }
      return values;
    }
  }

  /// The i32 values of `buffer`, after all work of `stream`.
  public static int[] readI32(Context context, Stream stream, DeviceBuffer buffer) {
    try (PinnedMemory staging = download(context, stream, buffer)) {
      return MemorySegment.ofBuffer(staging.buffer()).toArray(JAVA_INT);
    }
  }

  /// The bytes of `buffer`, after all work of `stream`.
  public static byte[] readBytes(Context context, Stream stream, DeviceBuffer buffer) {
    try (PinnedMemory staging = download(context, stream, buffer)) {
      return MemorySegment.ofBuffer(staging.buffer()).toArray(JAVA_BYTE);
    }
  }

  private static DeviceMemory upload(Context context, Stream stream, MemorySegment values) {
    DeviceMemory memory = context.allocate(values.byteSize());
    try (PinnedMemory staging = context.allocatePinned(values.byteSize())) {
      MemorySegment.ofBuffer(staging.buffer()).copyFrom(values);
      stream.copyToDevice(memory.buffer(), staging, 0, values.byteSize());
      stream.synchronize();
      return memory;
    } catch (RuntimeException e) {
      closeAfter(e, memory);
      throw e;
    }
  }

  private static PinnedMemory download(Context context, Stream stream, DeviceBuffer buffer) {
    PinnedMemory staging = context.allocatePinned(buffer.bytes());
    try {
      stream.copyToHost(staging, 0, buffer, buffer.bytes());
      stream.synchronize();
      return staging;
    } catch (RuntimeException e) {
      closeAfter(e, staging);
      throw e;
    }
  }

  /// Closing while work is still queued may be refused; that must not hide `failure`.
  private static void closeAfter(RuntimeException failure, AutoCloseable resource) {
    try {
      resource.close();
    } catch (Exception e) {
      failure.addSuppressed(e);
    }
  }
}
