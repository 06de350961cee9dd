package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Page-locked host memory: what asynchronous copies read and write, and, where it is mapped,
/// kernels too.
///
/// The segment may be used on any thread; Java code that touches it after close gets an
/// `IllegalStateException`. A copy that is under way must have ended before the memory is read,
/// changed or closed.
public final class PinnedMemory extends AddressedMemory {
  private static final VarHandle INT = JAVA_INT.varHandle();

  private final long address;
  private final long bytes;

  /// Where kernels find it; null when it is not mapped.
  private final DeviceBuffer mapped;

  private final long deviceAddress;

  /// Shared, since worker threads fill staging buffers; made and closed at load only, because
  /// closing a shared arena stops every thread for some 50 microseconds.
  private final Arena arena;

  private final MemorySegment segment;

  private PinnedMemory(Context context, long address, long bytes, long deviceAddress) {
    super(context);
    this.address = address;
    this.bytes = bytes;
    this.deviceAddress = deviceAddress;
    this.mapped = deviceAddress == 0 ? null : new DeviceBuffer(this, 0, bytes);
    this.arena = Arena.ofShared();
    this.segment = MemorySegment.ofAddress(address).reinterpret(bytes, arena, null);
  }

  static PinnedMemory allocate(Context context, long bytes, boolean mapped) {
    if (bytes <= 0) {
      throw new IllegalArgumentException("pinned memory of " + bytes + " bytes: must be positive");
    }
    int flags = mapped ? DriverConstants.CU_MEMHOSTALLOC_DEVICEMAP : 0;
    Status.check(
        MemoryApi.cuMemHostAlloc(context.out(), bytes, flags), "cuMemHostAlloc", "bytes", bytes);
    long address = context.outLong();
    try {
      return new PinnedMemory(context, address, bytes, mapped ? mapping(context, address) : 0);
    } catch (Throwable thrown) {
      Context.suppressing(
          thrown, () -> Status.check(MemoryApi.cuMemFreeHost(address), "cuMemFreeHost"));
      throw thrown;
    }
  }

  private static long mapping(Context context, long address) {
    context.scratch().set(JAVA_LONG, 0, 0);
    Status.check(
        MemoryApi.cuMemHostGetDevicePointer_v2(context.out(), address, 0),
        "cuMemHostGetDevicePointer_v2");
    return context.outLong();
  }

  /// The memory, for this package: no exported signature shows foreign memory.
  ///
  /// @throws IllegalStateException if it is closed
  MemorySegment segment() {
    checkOpen();
    return segment;
  }

  /// The memory as a direct buffer in native byte order; at most 2 GiB. Any thread.
  ///
  /// @throws IllegalStateException if it is closed; so does the buffer's use after that
  /// @throws UnsupportedOperationException if it is larger than a buffer can be
  public ByteBuffer buffer() {
    return segment().asByteBuffer().order(ByteOrder.nativeOrder());
  }

  /// `bytes` from `offset` on, as a direct buffer in native byte order. Any thread.
  ///
  /// @throws IllegalStateException if it is closed; so does the buffer's use after that
  /// @throws IndexOutOfBoundsException if that is not inside the memory
  public ByteBuffer buffer(long offset, int bytes) {
    return segment().asSlice(offset, bytes).asByteBuffer().order(ByteOrder.nativeOrder());
  }

  /// The memory as kernels and device copies see it. Any thread.
  ///
  /// @throws IllegalStateException if it was not allocated by [Context#allocateMapped]
  public DeviceBuffer deviceBuffer() {
    if (mapped == null) {
      throw new IllegalStateException(this + " is not mapped: use Context.allocateMapped");
    }
    return mapped;
  }

  /// The `int` at a byte offset, a multiple of 4, as a kernel or another thread last wrote it; what
  /// was written before it is seen, too. Any thread.
  ///
  /// @throws IllegalStateException if the memory is closed
  public int loadInt(long offset) {
    return (int) INT.getAcquire(segment(), offset);
  }

  /// Writes the `int` at a byte offset, a multiple of 4, for a kernel that is running or another
  /// thread to see after whatever was written before it. Any thread.
  ///
  /// @throws IllegalStateException if the memory is closed
  public void storeInt(long offset, int value) {
    INT.setRelease(segment(), offset, value);
  }

  /// Size in bytes. Any thread.
  public long bytes() {
    return bytes;
  }

  @Override
  public String toString() {
    return "PinnedMemory[0x" + Long.toHexString(address) + ", " + bytes + " bytes]";
  }

  long address() {
    checkOpen();
    return address;
  }

  @Override
  long deviceAddress() {
    checkOpen();
    return deviceAddress;
  }

  @Override
  void release() {
    // The arena first: from here on Java code cannot reach the memory. Still alive only when an
    // earlier attempt was refused by the driver.
    if (arena.scope().isAlive()) {
      arena.close();
    }
    Status.check(MemoryApi.cuMemFreeHost(address), "cuMemFreeHost", this);
  }
}
