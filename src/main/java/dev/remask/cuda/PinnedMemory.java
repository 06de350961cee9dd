package dev.remask.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Page-locked host memory: what asynchronous copies read and write.
///
/// The segment may be used on any thread; Java code that touches it after close gets an
/// `IllegalStateException`. A copy that is under way must have ended before the memory is read,
/// changed or closed.
public final class PinnedMemory extends Resource {
  private final long address;
  private final long bytes;

  /// Shared, since worker threads fill staging buffers; made and closed at load only, because
  /// closing a shared arena stops every thread for some 50 microseconds.
  private final Arena arena;

  private final MemorySegment segment;

  private PinnedMemory(Context context, long address, long bytes) {
    super(context);
    this.address = address;
    this.bytes = bytes;
    this.arena = Arena.ofShared();
    this.segment = MemorySegment.ofAddress(address).reinterpret(bytes, arena, null);
  }

  static PinnedMemory allocate(Context context, long bytes) {
    if (bytes <= 0) {
      throw new IllegalArgumentException("pinned memory of " + bytes + " bytes: must be positive");
    }
    Status.check(
        MemoryApi.cuMemHostAlloc(context.out(), bytes, 0), "cuMemHostAlloc", "bytes", bytes);
    return new PinnedMemory(context, context.outLong(), bytes);
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
  void release() {
    // The arena first: from here on Java code cannot reach the memory. Still alive only when an
    // earlier attempt was refused by the driver.
    if (arena.scope().isAlive()) {
      arena.close();
    }
    Status.check(MemoryApi.cuMemFreeHost(address), "cuMemFreeHost", this);
  }
}
