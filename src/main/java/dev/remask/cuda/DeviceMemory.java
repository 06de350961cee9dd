package dev.remask.cuda;

/// Device memory that one owner holds; what uses it takes a [DeviceBuffer] of it.
///
/// Closing frees it at once: work that uses it must have ended. Use after close throws. Memory that
/// was adopted ([Context#adopt]) stays its owner's: closing only ends its use here.
public final class DeviceMemory extends AddressedMemory {
  private final long address;
  private final long bytes;
  private final boolean adopted;
  private final DeviceBuffer whole;

  private DeviceMemory(Context context, long address, long bytes, boolean adopted) {
    super(context);
    this.address = address;
    this.bytes = bytes;
    this.adopted = adopted;
    this.whole = new DeviceBuffer(this, 0, bytes);
  }

  static DeviceMemory allocate(Context context, long bytes) {
    if (bytes <= 0) {
      throw new IllegalArgumentException("device memory of " + bytes + " bytes: must be positive");
    }
    Status.check(MemoryApi.cuMemAlloc_v2(context.out(), bytes), "cuMemAlloc_v2", "bytes", bytes);
    var memory = new DeviceMemory(context, context.outLong(), bytes, false);
    context.addBytesInUse(bytes);
    return memory;
  }

  static DeviceMemory adopt(Context context, long address, long bytes) {
    if (address == 0 || bytes <= 0) {
      throw new IllegalArgumentException(
          "adopting "
              + bytes
              + " bytes at 0x"
              + Long.toHexString(address)
              + ": the address must not be null and the size must be positive");
    }
    return new DeviceMemory(context, address, bytes, true);
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

  @Override
  long deviceAddress() {
    checkOpen();
    return address;
  }

  @Override
  void release() {
    if (adopted) {
      return;
    }
    Status.check(MemoryApi.cuMemFree_v2(address), "cuMemFree_v2", this);
    context().addBytesInUse(-bytes);
  }
}
