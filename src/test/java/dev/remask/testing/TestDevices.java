package dev.remask.testing;

import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;

/// The devices that tests run on, and one shared context for each.
///
/// A process uses one driver, so a run of the tests is for one kind: `REMASK_DEVICE=cuda` (or
/// `cuda:n`) in the environment makes it a run of the GPU tests, in which the tests of software
/// devices are skipped; otherwise GPU tests are. Shared contexts live as long as the process; a
/// test that counts memory or closes contexts opens its own.
public final class TestDevices {
  private static final Map<DeviceSpec, Context> CONTEXTS = new HashMap<>();

  private TestDevices() {}

  /// The software device with host kernels.
  public static DeviceSpec software() {
    return new DeviceSpec(DeviceSpec.Kind.SOFTWARE, 0);
  }

  /// The emulator.
  public static DeviceSpec emulator() {
    return new DeviceSpec(DeviceSpec.Kind.EMULATOR, 0);
  }

  /// The GPU of a GPU run: what `REMASK_DEVICE` names, `cuda` otherwise.
  public static DeviceSpec gpu() {
    return isGpuRun()
        ? DeviceSpec.parse(System.getenv("REMASK_DEVICE"))
        : new DeviceSpec(DeviceSpec.Kind.CUDA, 0);
  }

  /// The source of [OnSoftwareDevices].
  public static Stream<DeviceSpec> softwareDevices() {
    return Stream.of(software(), emulator());
  }

  /// The shared context of `spec`, opened on first use; never close it. Skips the calling test
  /// where this run is for the other kind of device.
  public static Context context(DeviceSpec spec) {
    assumeRunIsFor(spec);
    synchronized (CONTEXTS) {
      return CONTEXTS.computeIfAbsent(spec, TestDevices::newContext);
    }
  }

  /// A context of the test's own, which the test closes.
  public static Context newContext(DeviceSpec spec) {
    assumeRunIsFor(spec);
    return Context.open(Device.open(spec));
  }

  static boolean isGpuRun() {
    String device = System.getenv("REMASK_DEVICE");
    return device != null && device.strip().toLowerCase(java.util.Locale.ROOT).startsWith("cuda");
  }

  private static void assumeRunIsFor(DeviceSpec spec) {
    boolean isGpu = spec.kind() == DeviceSpec.Kind.CUDA;
    Assumptions.assumeTrue(
        isGpu == isGpuRun(),
        () ->
            isGpu
                ? "a GPU test; this run is for software devices (REMASK_DEVICE is not cuda)"
                : "a test of software devices; this run is for the GPU (REMASK_DEVICE=cuda)");
  }
}
