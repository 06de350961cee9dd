package dev.remask.cuda;

/// Memory that has a device address, so that a [DeviceBuffer] can be a view of it: device memory,
/// mapped pinned memory, and memory that somebody else owns.
abstract class AddressedMemory extends Resource {
  AddressedMemory(Context context) {
    super(context);
  }

  /// The device address of its first byte. Any thread.
  ///
  /// @throws IllegalStateException if it is closed
  abstract long deviceAddress();
}
