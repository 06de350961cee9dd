package dev.remask.cuda;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// A device that a driver offers: an NVIDIA GPU, or the software device's host kernels or emulator.
///
/// Holds no native resource. The first device that is opened fixes the process to its driver, since
/// the bindings are linked once. Immutable; any thread.
public final class Device {
  private static final int SOFTWARE_ORDINAL = 0;
  private static final int EMULATOR_ORDINAL = 1;

  private final DriverQuery query;
  private final DeviceSpec spec;
  private final DriverQuery.Properties properties;
  private final int driverVersion;

  private Device(DriverQuery query, DeviceSpec spec) {
    this.query = query;
    this.spec = spec;
    this.properties = query.properties(driverOrdinal(spec));
    this.driverVersion = query.driverVersion();
  }

  /// Opens the device that `spec` asks for and fixes the process to its driver.
  ///
  /// `auto` takes CUDA device 0 if `libcuda.so.1` loads, initialises and has a device, else the
  /// software device; a process that already uses one driver stays with it.
  ///
  /// @throws CudaException if the driver or the device is missing, or the process already uses
  ///   another driver
  public static Device open(DeviceSpec spec) {
    DeviceSpec resolved = spec.kind() == DeviceSpec.Kind.AUTO ? choose() : spec;
    DriverQuery query = initialized(resolved.kind());
    int count = query.deviceCount();
    if (driverOrdinal(resolved) >= count) {
      throw CudaException.of("", "", absent(resolved, count));
    }
    NativeLibraries.fix(query);
    DriverLog.start();
    return new Device(query, resolved);
  }

  /// The devices of one kind, none where its driver is missing; `AUTO` lists all kinds. Fixes
  /// nothing.
  public static List<Device> list(DeviceSpec.Kind kind) {
    var devices = new ArrayList<Device>();
    if (kind == DeviceSpec.Kind.AUTO) {
      devices.addAll(list(DeviceSpec.Kind.CUDA));
      devices.addAll(list(DeviceSpec.Kind.SOFTWARE));
      devices.addAll(list(DeviceSpec.Kind.EMULATOR));
      return devices;
    }
    try {
      DriverQuery query = initialized(kind);
      int count = query.deviceCount();
      if (kind == DeviceSpec.Kind.CUDA) {
        for (int ordinal = 0; ordinal < count; ordinal++) {
          devices.add(new Device(query, new DeviceSpec(kind, ordinal)));
        }
      } else {
        var spec = new DeviceSpec(kind, 0);
        if (driverOrdinal(spec) < count) {
          devices.add(new Device(query, spec));
        }
      }
    } catch (CudaException e) {
      // No such driver, or it has no device: nothing to list. `open` tells why.
      return List.of();
    }
    return devices;
  }

  /// The device's own name, for example `NVIDIA H200`.
  public String name() {
    return properties.name();
  }

  /// What was opened; never `auto`.
  public DeviceSpec spec() {
    return spec;
  }

  /// Whether kernels run on the CPU.
  public boolean isSoftware() {
    return spec.kind() != DeviceSpec.Kind.CUDA;
  }

  /// Ten times the compute capability: 90 for 9.0, also of the emulator, which models the
  /// instructions of such a card; 0 for the software device with host kernels.
  public int computeCapability() {
    return properties.computeCapability();
  }

  /// Memory of the device in bytes.
  public long totalBytes() {
    return properties.totalBytes();
  }

  /// The newest CUDA version that the driver supports, 1000·major + 10·minor: 13000 for 13.0.
  public int driverVersion() {
    return driverVersion;
  }

  /// Number of multiprocessors.
  public int multiprocessors() {
    return properties.multiprocessors();
  }

  /// The driver library's file.
  public Path libraryPath() {
    return query.library().path();
  }

  /// Name and spec.
  @Override
  public String toString() {
    return name() + " (" + spec + ")";
  }

  /// The driver's handle of the device.
  int handle() {
    return properties.handle();
  }

  private static DeviceSpec choose() {
    try {
      if (!NativeLibraries.isFixedToSoftware()
          && initialized(DeviceSpec.Kind.CUDA).deviceCount() > 0) {
        return new DeviceSpec(DeviceSpec.Kind.CUDA, 0);
      }
    } catch (CudaException e) {
      // Any failure of the driver means the same to `auto`: take the software device. Who wants to
      // know why asks for `cuda`.
    }
    return new DeviceSpec(DeviceSpec.Kind.SOFTWARE, 0);
  }

  private static DriverQuery initialized(DeviceSpec.Kind kind) {
    DriverQuery query =
        kind == DeviceSpec.Kind.CUDA
            ? NativeLibraries.cudaQuery()
            : NativeLibraries.softwareQuery();
    if (kind != DeviceSpec.Kind.CUDA) {
      SoftwareDevice.readEnvironment();
    }
    query.initialize();
    return query;
  }

  private static int driverOrdinal(DeviceSpec spec) {
    return switch (spec.kind()) {
      case SOFTWARE -> SOFTWARE_ORDINAL;
      case EMULATOR -> EMULATOR_ORDINAL;
      default -> spec.ordinal();
    };
  }

  private static String absent(DeviceSpec spec, int count) {
    return spec.kind() == DeviceSpec.Kind.EMULATOR
        ? "the emulator is not there: libremask-emulator.so is missing beside the software device"
            + " (./remask leaves it out; ./mvnw -DskipTests package builds it)"
        : "device " + spec + " does not exist: the driver offers " + count + " device(s)";
  }
}
