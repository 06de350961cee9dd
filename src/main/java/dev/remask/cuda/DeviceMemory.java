package dev.remask.cuda;

/// Device memory that one owner holds; what uses it takes a [DeviceBuffer] of it.
///
/// Closing frees it at once: work that uses it must have ended. Use after close throws.
public final class DeviceMemory extends Resource {
  private final long address;
  private final long bytes;
  private final DeviceBuffer whole;

  private DeviceMemory(Context context, long address, long bytes) {
    super(context);
    this.address = address;
    this.bytes = bytes;
    this.whole = new DeviceBuffer(this, 0, bytes);
  }

  static DeviceMemory allocate(Context context, long bytes) {
    if (bytes <= 0) {
      throw new IllegalArgumentException("device memory of " + bytes + " bytes: must be positive");
    }
    Status.check(MemoryApi.cuMemAlloc_v2(context.out(), bytes), "cuMemAlloc_v2", "bytes", bytes);
    var memory = new DeviceMemory(context, context.outLong(), bytes);
    context.addBytesInUse(bytes);
    return memory;
  }

  /// Size in bytes. Any thread.
  public long bytes() {
    return bytes;
  }

  /// All of it. Any thread.
  public DeviceBuffer buffer() {
    return whole;
  }

  /// `bytes` from `offset` on. Any thread.
  ///
  /// @throws IndexOutOfBoundsException if that is not inside the memory
  public DeviceBuffer slice(long offset, long bytes) {
    return whole.slice(offset, bytes);
  }

  @Override
  public String toString() {
    return "DeviceMemory[0x" + Long.toHexString(address) + ", " + bytes + " bytes]";
  }

  long address() {
    checkOpen();
    return address;
  }

  @Override
  void release() {
    Status.check(MemoryApi.cuMemFree_v2(address), "cuMemFree_v2", this);
    context().addBytesInUse(-bytes);
  }
}
