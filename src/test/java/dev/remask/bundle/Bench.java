package dev.remask.bundle;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.Architecture;
import dev.remask.kernel.CommitRule;
import dev.remask.kernel.DType;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.Operations;
import dev.remask.kernel.RemaskingRule;
import dev.remask.testing.Bf16;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Random;
import java.util.function.Consumer;

/// Memory, random data and operations for one benchmark; closing frees them. Device thread.
public final class Bench implements AutoCloseable {
  /// Random values are made once and repeated: power and speed depend on the bits' variety only.
  private static final int RANDOM_BYTES = 1 << 24;

  private static final int TABLE = 1 << 16;

  private final Context context;
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  public final Stream stream;

  /// Makes a stream on the context.
  public Bench(Context context) {
    this.context = context;
    stream = own(context.newStream());
  }

  /// Closes the resource with this.
  public <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  /// Whose memory this has.
  public Context context() {
    return context;
  }

  Operations operations(Architecture architecture) {
    return own(Operations.load(context, DType.BF16, architecture));
  }

  /// Those that a model of the dtype runs with on this device.
  public Operations operations(DType dtype) {
    return own(Operations.load(context, dtype));
  }

  /// Normally distributed values.
  public DeviceBuffer random(DType dtype, long count) {
    return random(count, dtype.bytes());
  }

  /// Memory that is not cleared.
  public DeviceBuffer empty(long bytes) {
    DeviceMemory memory = own(context.allocate(bytes));
    return memory.buffer();
  }

  /// Normally distributed values.
  public DeviceBuffer bf16(long count) {
    return random(count, Short.BYTES);
  }

  /// Normally distributed values.
  public DeviceBuffer f32(long count) {
    return random(count, Float.BYTES);
  }

  /// The values on the device.
  public DeviceBuffer ints(int... values) {
    return upload(MemorySegment.ofArray(values));
  }

  DeviceBuffer upload(MemorySegment values) {
    DeviceBuffer buffer = empty(values.byteSize());
    try (PinnedMemory staging = context.allocatePinned(values.byteSize())) {
      MemorySegment.ofBuffer(staging.buffer()).copyFrom(values);
      stream.copyToDevice(buffer, staging, 0, values.byteSize());
      stream.synchronize();
    }
    return buffer;
  }

  /// A row table as the device has it.
  public DeviceBuffer rows(DiffusionState.Row... rows) {
    int bytes = DiffusionState.ROW_BYTES;
    return written(
        rows.length * bytes,
        memory -> {
          for (int i = 0; i < rows.length; i++) {
            DiffusionState.write(memory, (long) i * bytes, rows[i]);
          }
        });
  }

  /// A sequence of default options as the device has it.
  public DeviceBuffer sequence() {
    var sequence =
        new DiffusionState.Sequence(
            0,
            DiffusionState.NO_GUIDANCE,
            1,
            1,
            1,
            0,
            1,
            0,
            0,
            RemaskingRule.LOW_CONFIDENCE,
            CommitRule.QUOTA,
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            0);
    return written(
        DiffusionState.SEQUENCE_BYTES, memory -> DiffusionState.write(memory, 0, sequence));
  }

  private DeviceBuffer written(int bytes, Consumer<PinnedMemory> write) {
    DeviceBuffer buffer = empty(bytes);
    try (PinnedMemory staging = context.allocatePinned(bytes)) {
      write.accept(staging);
      stream.copyToDevice(buffer, staging, 0, bytes);
      stream.synchronize();
    }
    return buffer;
  }

  private DeviceBuffer random(long count, int elementBytes) {
    long bytes = count * elementBytes;
    DeviceBuffer buffer = empty(bytes);
    int chunk = (int) Math.min(bytes, RANDOM_BYTES);
    try (PinnedMemory staging = context.allocatePinned(chunk)) {
      fill(MemorySegment.ofBuffer(staging.buffer()), elementBytes);
      for (long at = 0; at < bytes; at += chunk) {
        long length = Math.min(chunk, bytes - at);
        stream.copyToDevice(buffer.slice(at, length), staging, 0, length);
      }
      stream.synchronize();
    }
    return buffer;
  }

  private static void fill(MemorySegment segment, int elementBytes) {
    var random = new Random(7);
    var table = new float[TABLE];
    for (int i = 0; i < TABLE; i++) {
      table[i] = (float) random.nextGaussian();
    }
    long state = 1;
    long count = segment.byteSize() / elementBytes;
    for (long i = 0; i < count; i++) {
      state = state * 6364136223846793005L + 1442695040888963407L;
      float value = table[(int) (state >>> 48)];
      if (elementBytes == Short.BYTES) {
        segment.setAtIndex(ValueLayout.JAVA_SHORT, i, Bf16.toBits(value));
      } else {
        segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
      }
    }
  }

  @Override
  public void close() {
    stream.synchronize();
    while (!owned.isEmpty()) {
      try {
        owned.pop().close();
      } catch (RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new AssertionError(e);
      }
    }
  }
}
