package dev.remask.diffusion;

import java.util.List;

/// What an [Engine] needs of the [DeviceLoop], so that its rules can be tested without a device.
/// Device thread only, except [#stop], [#requireFits], [#plannedBytes] and [#close].
interface EngineLoop extends AutoCloseable {
  /// See [DeviceLoop#requireFits].
  void requireFits(SlotRequest request);

  /// See [DeviceLoop#admit].
  Slot admit(SlotRequest request);

  /// See [DeviceLoop#run].
  void run(List<Slot> members, Runnable onPollOrNull);

  /// See [DeviceLoop#continuePass].
  void continuePass(Slot slot);

  /// See [DeviceLoop#extend].
  void extend(Slot slot);

  /// See [DeviceLoop#canvas].
  int[] canvas(Slot slot);

  /// Complete records of the slot's commit log.
  int logged(Slot slot);

  /// One of them.
  Commit commit(Slot slot, int index);

  /// See [DeviceLoop#release].
  void release(Slot slot);

  /// Sets the stop word.
  void stop();

  /// Clears the stop word.
  void clearStop();

  /// See [DeviceLoop#plannedBytes].
  long plannedBytes();

  @Override
  void close();
}
