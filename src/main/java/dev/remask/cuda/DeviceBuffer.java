package dev.remask.cuda;

import java.util.Objects;

/// A view of a range of memory that kernels reach by its device address: device memory, or mapped
/// pinned memory ([PinnedMemory#deviceBuffer]). It owns nothing and ends with the memory. Any
/// thread.
public final class DeviceBuffer {
  private final AddressedMemory memory;
  private final long offset;
  private final long bytes;

  DeviceBuffer(AddressedMemory memory, long offset, long bytes) {
    this.memory = memory;
    this.offset = offset;
    this.bytes = bytes;
  }

  /// The device address of the first byte; meaningless to the CPU.
  ///
  /// @throws IllegalStateException if the memory is closed
  public long address() {
    return memory.deviceAddress() + offset;
  }

  /// Size in bytes.
  public long bytes() {
    return bytes;
  }

  /// `bytes` from `offset` on, within this view.
  ///
  /// @throws IndexOutOfBoundsException if that is not inside this view
  public DeviceBuffer slice(long offset, long bytes) {
    Objects.checkFromIndexSize(offset, bytes, this.bytes);
    return new DeviceBuffer(memory, this.offset + offset, bytes);
  }

  /// Offset, size and memory.
  @Override
  public String toString() {
    return "DeviceBuffer[" + bytes + " bytes at " + offset + " of " + memory + "]";
  }

  AddressedMemory memory() {
    return memory;
  }
}
