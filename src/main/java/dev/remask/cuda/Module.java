package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/// The loaded kernels of one operation. Device thread.
///
/// On a GPU the image is the class-path resource `/dev/remask/kernels/<operation>.fatbin`; software
/// devices know their kernels by name.
public final class Module extends Resource {
  private static final String SOFTWARE_HEADER = "REMASK-SOFTWARE-MODULE\n";

  private final long handle;
  private final String operation;

  /// Holds the argument buffers of the kernels. Device thread.
  private final Arena arena = Arena.ofConfined();

  private Module(Context context, String operation, long handle) {
    super(context);
    this.operation = operation;
    this.handle = handle;
  }

  static Module load(Context context, String operation) {
    if (!operation.matches("[a-z0-9_]+")) {
      throw new IllegalArgumentException("operation \"" + operation + "\" is not a kernel file");
    }
    Device device = context.device();
    try (Arena loading = Arena.ofConfined()) {
      byte[] bytes = device.isSoftware() ? softwareImage(operation) : fatbin(device, operation);
      MemorySegment image = loading.allocate(bytes.length, 16);
      MemorySegment.copy(bytes, 0, image, JAVA_BYTE, 0, bytes.length);
      int status = ModuleApi.cuModuleLoadData(context.out(), image.address());
      if (status != DriverConstants.CUDA_SUCCESS) {
        throw Status.failure(
            status,
            "cuModuleLoadData",
            "image of " + operation + ", device " + device + ", " + driver(device));
      }
      return new Module(context, operation, context.outLong());
    }
  }

  /// Finds a kernel and checks `layout`, its parameters in order, against what the driver knows of
  /// it: count, offsets and sizes.
  ///
  /// Each call makes a kernel with argument buffers of its own; it ends with the module.
  ///
  /// @throws CudaException if there is no such kernel
  /// @throws IllegalArgumentException if its parameters differ from `layout`
  public Kernel kernel(String symbol, Kernel.Parameter... layout) {
    checkUse();
    try (Arena naming = Arena.ofConfined()) {
      int status =
          ModuleApi.cuModuleGetFunction(
              context().out(), handle, naming.allocateFrom(symbol).address());
      if (status != DriverConstants.CUDA_SUCCESS) {
        throw Status.failure(
            status, "cuModuleGetFunction", "kernel " + symbol + " of operation " + operation);
      }
    }
    long function = context().outLong();
    if (ModuleApi.has_cuFuncLoad()) {
      // Drivers load kernels lazily; loading one while a stream is captured could break the
      // capture.
      Status.check(ModuleApi.cuFuncLoad(function), "cuFuncLoad", symbol);
    }
    return new Kernel(this, arena, symbol, function, layout);
  }

  @Override
  public String toString() {
    return "Module[" + operation + "]";
  }

  @Override
  void release() {
    Status.check(ModuleApi.cuModuleUnload(handle), "cuModuleUnload", this);
    arena.close();
  }

  private static byte[] softwareImage(String operation) {
    return (SOFTWARE_HEADER + operation + "\n\0").getBytes(StandardCharsets.US_ASCII);
  }

  private static byte[] fatbin(Device device, String operation) {
    String resource = "/dev/remask/kernels/" + operation + ".fatbin";
    try (InputStream in = Module.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw CudaException.of(
            "",
            "",
            "this build holds no GPU image of "
                + operation
                + " ("
                + resource
                + "): it was built without nvcc 12.8 or newer. Device "
                + device
                + ", "
                + driver(device)
                + "; images of nvcc 13 need driver 580 or newer, of nvcc 12.8 driver 570 or newer");
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw CudaException.of("", "", "reading " + resource + " failed: " + e);
    }
  }

  private static String driver(Device device) {
    int version = device.driverVersion();
    return "driver for CUDA " + version / 1000 + "." + version % 1000 / 10;
  }
}
