package dev.remask.kernel;

import dev.remask.cuda.Device;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/// The families of kernels, from those that run anywhere to those written for one card. Each
/// operation has portable kernels; the others exist where they pay, for bf16 only.
public enum Architecture {
  /// Plain CUDA C++, and the host kernels of the software device.
  PORTABLE("portable"),
  /// Tensor cores by `mma.sync`, `ldmatrix` and `cp.async`: compute capability 8.0 and everything
  /// after it.
  SM80("sm_80"),
  /// `wgmma` and TMA: compute capability 9.0 alone.
  SM90A("sm_90a");

  private static final String VARIABLE = "REMASK_KERNELS";
  private static final String PROPERTY = "remask.kernels";
  private static final int AMPERE = 80;
  private static final int HOPPER = 90;

  private final String label;

  Architecture(String label) {
    this.label = label;
  }

  /// The family to use on a device: the newest that it can run, or what `REMASK_KERNELS` (or the
  /// system property `remask.kernels`) names: `auto`, `portable`, `sm_80` or `sm_90a`.
  ///
  /// @throws IllegalArgumentException if the setting cannot be read or the device cannot run it
  public static Architecture of(Device device) {
    String value = System.getProperty(PROPERTY);
    if (value == null) {
      value = System.getenv(VARIABLE);
    }
    if (value == null || value.isBlank() || value.strip().equalsIgnoreCase("auto")) {
      return newest(device);
    }
    String name = value.strip().toLowerCase(Locale.ROOT);
    Architecture asked =
        Arrays.stream(values())
            .filter(architecture -> architecture.label.equals(name))
            .findAny()
            .orElseThrow(() ->
                new IllegalArgumentException(
                    VARIABLE + " is '" + name + "'; wanted: auto, portable, sm_80 or sm_90a"));
    asked.requireRunsOn(device);
    return asked;
  }

  /// The families that a device can run, portable first.
  public static List<Architecture> runnable(Device device) {
    return Arrays.stream(values()).filter(family -> family.runsOn(device)).toList();
  }

  /// This family where it has variants for the type; portable for f32, whose arithmetic tensor
  /// cores would shorten.
  public Architecture forType(DType dtype) {
    return dtype == DType.BF16 ? this : PORTABLE;
  }

  /// Throws IllegalArgumentException unless the device can run this family.
  void requireRunsOn(Device device) {
    if (!runsOn(device)) {
      throw new IllegalArgumentException(
          device + " cannot run the " + this + " kernels; it can run " + runnable(device));
    }
  }

  private boolean runsOn(Device device) {
    int capability = device.computeCapability();
    return switch (this) {
      case PORTABLE -> true;
      case SM80 -> capability >= AMPERE;
      case SM90A -> capability == HOPPER;
    };
  }

  private static Architecture newest(Device device) {
    return runnable(device).getLast();
  }

  /// The family's name as settings spell it: `portable`, `sm_80`, `sm_90a`.
  @Override
  public String toString() {
    return label;
  }
}
