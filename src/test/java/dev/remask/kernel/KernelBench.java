package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.testing.Bf16;
import dev.remask.testing.TestDevices;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/// One device's operations, a stream and memory, for the length of a test body.
///
/// Every array on the device is surrounded by guard bytes, NaN to a float kernel: reading past an
/// input poisons the result, writing past an output is found when the output is read.
final class KernelBench implements AutoCloseable {
  private static final int GUARD_BYTES = 256;
  private static final byte GUARD = (byte) 0xff;

  private final Context context;
  private final Deque<AutoCloseable> owned = new ArrayDeque<>();
  final Stream stream;
  final DType dtype;

  /// The family of kernels that [#operations] takes variants from.
  final Architecture architecture;

  final Operations operations;

  private KernelBench(Context context, DType dtype, Architecture architecture) {
    this.context = context;
    this.dtype = dtype;
    this.architecture = architecture;
    operations = own(Operations.load(context, dtype, architecture));
    stream = own(context.newStream());
  }

  /// Runs `body` on the device thread of `device`'s shared context, once for each family of kernels
  /// that the device can run and that has variants for the dtype.
  static void on(DeviceSpec device, DType dtype, Consumer<KernelBench> body) {
    architectures(device, dtype).forEach(family -> on(device, dtype, family, body));
  }

  /// Runs `body` once, with one family of kernels.
  static void on(
      DeviceSpec device, DType dtype, Architecture architecture, Consumer<KernelBench> body) {
    Context context = TestDevices.context(device);
    context.run(() -> {
      try (var bench = new KernelBench(context, dtype, architecture)) {
        body.accept(bench);
      } catch (AssertionError | RuntimeException e) {
        e.addSuppressed(new AssertionError("with the " + architecture + " kernels, " + dtype));
        throw e;
      }
    });
  }

  /// The families of kernels to test on `device` with `dtype`.
  static Set<Architecture> architectures(DeviceSpec device, DType dtype) {
    return Architecture.runnable(TestDevices.context(device).device()).stream()
        .map(family -> family.forType(dtype))
        .collect(Collectors.toCollection(TreeSet::new));
  }

  /// Runs `body` for each dtype and family of kernels.
  static void onBoth(DeviceSpec device, Consumer<KernelBench> body) {
    for (DType dtype : DType.values()) {
      on(device, dtype, body);
    }
  }

  private <T extends AutoCloseable> T own(T resource) {
    owned.push(resource);
    return resource;
  }

  /// The largest relative error of storing a value as `type`.
  static double unitRoundoff(DType type) {
    return type == DType.BF16 ? Bf16.UNIT_ROUNDOFF : 0x1p-24;
  }

  /// The values as `type` holds them.
  static float[] rounded(DType type, float[] values) {
    return type == DType.BF16 ? Bf16.round(values) : values;
  }

  /// An array of floats on the device.
  final class Floats {
    private final DType type;
    private final Guarded memory;

    private Floats(DType type, int count, int skew) {
      this.type = type;
      memory = new Guarded((long) count * type.bytes(), skew * type.bytes());
    }

    DeviceBuffer buffer() {
      return memory.buffer();
    }

    /// The values after all work queued so far; fails if a guard was overwritten.
    float[] read() {
      MemorySegment bytes = memory.read();
      int count = (int) (bytes.byteSize() / type.bytes());
      var values = new float[count];
      for (int i = 0; i < count; i++) {
        values[i] =
            type == DType.BF16
                ? Bf16.fromBits(bytes.getAtIndex(ValueLayout.JAVA_SHORT, i))
                : bytes.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      }
      return values;
    }
  }

  /// An array of ints on the device.
  final class Ints {
    private final Guarded memory;

    private Ints(int count) {
      memory = new Guarded((long) count * Integer.BYTES, 0);
    }

    DeviceBuffer buffer() {
      return memory.buffer();
    }

    /// The values after all work queued so far; fails if a guard was overwritten.
    int[] read() {
      return memory.read().toArray(ValueLayout.JAVA_INT);
    }

    /// Replaces the values, as many as there are.
    void write(int... values) {
      memory.write(segment -> segment.copyFrom(MemorySegment.ofArray(values)));
    }
  }

  /// An array of bytes on the device.
  final class Bytes {
    private final Guarded memory;

    private Bytes(int count, int skew) {
      memory = new Guarded(count, skew);
    }

    DeviceBuffer buffer() {
      return memory.buffer();
    }

    /// The values after all work queued so far; fails if a guard was overwritten.
    byte[] read() {
      return memory.read().toArray(ValueLayout.JAVA_BYTE);
    }
  }

  private final class Guarded {
    private final DeviceMemory memory;
    private final long begin;
    private final long bytes;

    Guarded(long bytes, long skewBytes) {
      this.bytes = bytes;
      begin = GUARD_BYTES + skewBytes;
      memory = own(context.allocate(begin + bytes + GUARD_BYTES));
      stream.fill(memory.buffer(), GUARD);
    }

    DeviceBuffer buffer() {
      return memory.slice(begin, bytes);
    }

    void write(Consumer<MemorySegment> fill) {
      try (PinnedMemory staging = context.allocatePinned(Math.max(bytes, 1))) {
        fill.accept(MemorySegment.ofBuffer(staging.buffer()));
        stream.copyToDevice(buffer(), staging, 0, bytes);
        stream.synchronize();
      }
    }

    MemorySegment read() {
      try (PinnedMemory staging = context.allocatePinned(memory.bytes())) {
        stream.copyToHost(staging, 0, memory.buffer(), memory.bytes());
        stream.synchronize();
        byte[] all = MemorySegment.ofBuffer(staging.buffer()).toArray(ValueLayout.JAVA_BYTE);
        for (int i = 0; i < all.length; i++) {
          if (i < begin || i >= begin + bytes) {
            assertEquals(GUARD, all[i], "guard byte " + (i - begin) + " of " + bytes);
          }
        }
        // Back into native memory: arrays of bytes give no aligned access to wider elements.
        MemorySegment copy = Arena.ofAuto().allocate(Math.max(bytes, 1), 16);
        MemorySegment.copy(MemorySegment.ofBuffer(staging.buffer()), begin, copy, 0, bytes);
        return copy.asSlice(0, bytes);
      }
    }
  }

  /// `values`, rounded to `type`, on the device.
  Floats floats(DType type, float[] values) {
    return floats(type, values, 0);
  }

  /// The same, `skew` elements off the alignment that vector accesses need.
  Floats floats(DType type, float[] values, int skew) {
    var floats = new Floats(type, values.length, skew);
    floats.memory.write(segment -> {
      for (int i = 0; i < values.length; i++) {
        if (type == DType.BF16) {
          segment.setAtIndex(ValueLayout.JAVA_SHORT, i, Bf16.toBits(values[i]));
        } else {
          segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, values[i]);
        }
      }
    });
    return floats;
  }

  /// `count` elements of NaN on the device.
  Floats poison(DType type, int count) {
    return new Floats(type, count, 0);
  }

  /// The same, `skew` elements off the alignment that vector accesses need.
  Floats poison(DType type, int count, int skew) {
    return new Floats(type, count, skew);
  }

  /// `values` on the device, `skew` bytes off the alignment that vector accesses need.
  Bytes bytes(byte[] values, int skew) {
    var bytes = new Bytes(values.length, skew);
    bytes.memory.write(segment -> segment.copyFrom(MemorySegment.ofArray(values)));
    return bytes;
  }

  /// `count` bytes of -1 on the device.
  Bytes poisonBytes(int count, int skew) {
    return new Bytes(count, skew);
  }

  /// `values` on the device.
  Ints ints(int... values) {
    var ints = new Ints(values.length);
    ints.memory.write(segment -> segment.copyFrom(MemorySegment.ofArray(values)));
    return ints;
  }

  @Override
  public void close() {
    stream.synchronize(); // a body may end while fills are still queued
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
