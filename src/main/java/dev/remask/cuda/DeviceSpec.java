package dev.remask.cuda;

import java.util.Locale;
import java.util.Objects;

/// Which device is asked for: `auto`, `cuda`, `cuda:n`, `software` or `emulator`.
///
/// `ordinal` is the driver's device number for CUDA and 0 for every other kind. Immutable.
///
/// @param kind what sort of device
/// @param ordinal which of that sort
public record DeviceSpec(Kind kind, int ordinal) {
  /// The sorts of device.
  public enum Kind {
    /// CUDA where an NVIDIA driver with a device is found, else the software device.
    AUTO,
    /// An NVIDIA GPU, through the driver's `libcuda.so.1`.
    CUDA,
    /// The software CUDA device with kernels tuned for the CPU.
    SOFTWARE,
    /// The software CUDA device that runs the CUDA sources of the kernels; slow, for tests.
    EMULATOR
  }

  /// Checks the ordinal: not negative, and 0 for every kind but CUDA.
  public DeviceSpec {
    Objects.requireNonNull(kind, "kind");
    if (ordinal < 0 || (ordinal > 0 && kind != Kind.CUDA)) {
      throw new IllegalArgumentException(
          "device ordinal " + ordinal + " of " + name(kind) + ": only cuda has devices beyond 0");
    }
  }

  /// The device `auto`.
  public static DeviceSpec auto() {
    return new DeviceSpec(Kind.AUTO, 0);
  }

  /// Reads `auto`, `cuda`, `cuda:n`, `software` or `emulator`; letter case does not matter.
  ///
  /// @throws IllegalArgumentException naming the text and what is allowed
  public static DeviceSpec parse(String text) {
    String lower = text.strip().toLowerCase(Locale.ROOT);
    if (lower.startsWith("cuda:")) {
      String digits = lower.substring("cuda:".length());
      if (digits.matches("[0-9]{1,4}")) {
        return new DeviceSpec(Kind.CUDA, Integer.parseInt(digits));
      }
    } else {
      for (Kind kind : Kind.values()) {
        if (lower.equals(name(kind))) {
          return new DeviceSpec(kind, 0);
        }
      }
    }
    throw new IllegalArgumentException(
        "device \"" + text + "\" is unknown: use auto, cuda, cuda:<n>, software or emulator");
  }

  /// The text that [#parse] reads; `cuda:0` is written `cuda`.
  @Override
  public String toString() {
    return ordinal == 0 ? name(kind) : name(kind) + ":" + ordinal;
  }

  private static String name(Kind kind) {
    return kind.name().toLowerCase(Locale.ROOT);
  }
}
