package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.remask.testing.ChildJvm;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What a process does once, each in a JVM of its own: loading libraries, and choosing between the
/// drivers.
class ProcessTest {
  @TempDir Path folder;

  @Test
  void missingFolder_isNamed() {
    var result = open("software").environment("REMASK_NATIVE", folder.toString()).run();
    assertEquals("refused", result.word());
    assertTrue(result.output().contains("REMASK_NATIVE=" + folder), result.output());
    assertTrue(result.output().contains("libremask-device.so"), result.output());
  }

  @Test
  void missingDependency_isNamed() throws IOException {
    // The device library alone, without oneDNN beside it.
    Path library = Device.open(TestDevices.software()).libraryPath();
    Files.copy(library, folder.resolve("libremask-device.so"));
    var result = open("software").environment("REMASK_NATIVE", folder.toString()).run();
    assertEquals("refused", result.word());
    assertTrue(result.output().contains("libdnnl.so.3"), result.output());
  }

  @Test
  void faultsOfTheEnvironment_areInjectedOrRefused() {
    var injected = open("software").environment("REMASK_FAULT", "cuInit:1:NO_DEVICE").run();
    assertEquals("refused", injected.word(), injected.output());
    assertTrue(injected.output().contains("CUDA_ERROR_NO_DEVICE"), injected.output());
    for (String unreadable : List.of("rubbish", "cuInit:0:NO_DEVICE", "cuInit:1:NO_SUCH_ERROR")) {
      var refused = open("software").environment("REMASK_FAULT", unreadable).run();
      assertEquals("refused", refused.word(), refused.output());
      assertTrue(refused.output().contains("REMASK_FAULT=" + unreadable), refused.output());
    }
  }

  @Test
  void settingsThatCannotBeRead_areRefusedByName() {
    for (String setting :
        List.of("REMASK_THREADS=x", "REMASK_THREADS=0", "REMASK_DEVICE_MEMORY=lots")) {
      String[] nameAndValue = setting.split("=");
      var refused = open("software").environment(nameAndValue[0], nameAndValue[1]).run();
      assertEquals("refused", refused.word(), refused.output());
      assertTrue(refused.output().contains(setting), refused.output());
    }
    assertEquals(
        "software", open("software").environment("REMASK_DEVICE_MEMORY", "1g").run().word());
  }

  @Test
  void hostKernels_areTheOnesNamedOrRefusedWithThoseThatRun() {
    assertEquals(
        "software", open("software").environment("REMASK_HOST_KERNELS", "baseline").run().word());
    var refused = open("software").environment("REMASK_HOST_KERNELS", "sse9").run();
    assertEquals("refused", refused.word(), refused.output());
    assertTrue(refused.output().contains("REMASK_HOST_KERNELS=sse9"), refused.output());
    assertTrue(refused.output().contains("this processor runs baseline"), refused.output());
    // Another client of the driver API is told as well.
    var cuda =
        open("cuda")
            .environment("LD_LIBRARY_PATH", shim().getParent().toString())
            .environment("REMASK_HOST_KERNELS", "sse9")
            .run();
    assertEquals("refused", cuda.word(), cuda.output());
  }

  @Test
  void missingDriver_isAnErrorForCudaAndTheSoftwareDeviceForAuto() {
    assumeTrue(Device.list(DeviceSpec.Kind.CUDA).isEmpty(), "there is a driver here");
    var cuda = open("cuda").run();
    assertEquals("refused", cuda.word(), cuda.output());
    assertTrue(cuda.output().contains("no NVIDIA driver"), cuda.output());
    assertEquals("software", open("auto").run().word());
  }

  @Test
  void libcudaShim_isADriverLikeAnotherAndExcludesTheSoftwareDevice() {
    Path shim = shim();
    var cuda = open("cuda").environment("LD_LIBRARY_PATH", shim.getParent().toString());
    assertEquals("cuda", cuda.run().word());
    var auto = open("auto").environment("LD_LIBRARY_PATH", shim.getParent().toString());
    assertEquals("cuda", auto.run().word());
    var both = open("cuda", "software");
    both.environment("LD_LIBRARY_PATH", shim.getParent().toString());
    var result = both.run();
    assertEquals("refused", result.word());
    assertTrue(
        result.output().contains("this process already uses the NVIDIA driver"), result.output());
    var reverse = open("software", "cuda");
    reverse.environment("LD_LIBRARY_PATH", shim.getParent().toString());
    assertTrue(
        reverse.run().output().contains("this process already uses the software device"),
        result.output());
  }

  @Test
  void missingOrForeignImage_isNamedTogetherWithTheDriver() throws IOException {
    Path kernels = folder.resolve("dev/remask/kernels");
    Files.createDirectories(kernels);
    Files.writeString(kernels.resolve("not_an_image.fatbin"), "not an image");
    for (String operation : List.of("no_such_operation", "not_an_image")) {
      var result =
          new ChildJvm()
              .before(folder)
              .environment("LD_LIBRARY_PATH", shim().getParent().toString())
              .run(LoadOnCuda.class, operation);
      assertTrue(result.output().startsWith("refused"), result.output());
      assertTrue(result.output().contains(operation), result.output());
      assertTrue(result.output().contains("driver for CUDA 13.0"), result.output());
      assertTrue(result.output().contains("nvcc 13 need driver 580"), result.output());
    }
  }

  @Test
  void missingFunction_isNamedWhenItIsCalled() {
    var library = new NativeLibrary(Path.of("/old/libcuda.so.1"), name -> Optional.empty());
    var status = library.required(Linking.status(JAVA_LONG), "cuCtxSetCurrent");
    var error = assertThrows(CudaException.class, () -> status.invoke(1L));
    assertEquals("cuCtxSetCurrent", error.function());
    assertTrue(error.getMessage().contains("/old/libcuda.so.1"), error.getMessage());
    assertTrue(error.getMessage().contains("CUDA 12.4"), error.getMessage());
    var size = library.required(FunctionDescriptor.of(JAVA_LONG), "cublasLtGetVersion");
    assertThrows(CudaException.class, () -> size.invoke());
  }

  @Test
  void deviceAddress_touchedByTheCpuFaults() {
    var result = new ChildJvm().run(TouchDeviceMemory.class);
    assertNotEquals(0, result.status(), result.output());
    assertTrue(result.output().contains("about to touch"), result.output());
    assertFalse(result.output().contains("touched"), result.output());
    assertTrue(result.output().contains("SIGSEGV"), result.output());
  }

  @Test
  void resources_areUnpackedOnceIntoTheCache() throws IOException {
    Path cache = folder.resolve("cache");
    Path classes = folder.resolve("classes");
    Path platform = classes.resolve("dev/remask/native/linux-x86_64");
    Files.createDirectories(platform);
    Files.writeString(platform.resolve("libremask-device.so"), "first");
    Path first = locate(classes, cache);
    assertEquals("first", Files.readString(first));
    assertTrue(first.startsWith(cache.toRealPath()), first.toString());
    var time = Files.getLastModifiedTime(first);
    assertEquals(first, locate(classes, cache));
    assertEquals(time, Files.getLastModifiedTime(first), "the second start unpacks nothing");
    Files.writeString(platform.resolve("libremask-device.so"), "second version");
    Path second = locate(classes, cache);
    assertNotEquals(first, second);
    assertEquals("second version", Files.readString(second));
    try (Stream<Path> left = Files.list(cache.resolve("native"))) {
      assertEquals(2, left.count(), "nothing partial is left");
    }
  }

  private Path locate(Path classes, Path cache) {
    var result =
        new ChildJvm()
            .before(classes)
            .environment("REMASK_NATIVE", null)
            .environment("REMASK_CACHE", cache.toString())
            .run(Locate.class);
    assertEquals(0, result.status(), result.output());
    return Path.of(result.output().strip());
  }

  /// The forwarding libcuda.so.1, in its folder beside the device library.
  private static Path shim() {
    Path library = Device.open(TestDevices.software()).libraryPath();
    return library.resolveSibling("libcuda").resolve("libcuda.so.1");
  }

  private static Opening open(String... specs) {
    return new Opening(new ChildJvm(), specs);
  }

  private record Opening(ChildJvm child, String... specs) {
    record Result(String word, String output) {}

    Opening environment(String name, String value) {
      child.environment(name, value);
      return this;
    }

    Result run() {
      String output = child.run(OpenDevices.class, specs).output().strip();
      return new Result(output.lines().findFirst().orElse("").split(" ")[0], output);
    }
  }

  /// Opens the devices of its arguments, each with a context; prints the last one's kind, or
  /// `refused` and the message.
  static final class OpenDevices {
    public static void main(String[] specs) {
      Device device = null;
      try {
        for (String spec : specs) {
          device = Device.open(DeviceSpec.parse(spec));
          Context.open(device).close();
        }
        System.out.println(device.spec() + " " + device);
      } catch (CudaException e) {
        System.out.println("refused " + e.getMessage());
      }
    }
  }

  /// Loads a module on CUDA device 0; prints `refused` and the message.
  static final class LoadOnCuda {
    public static void main(String[] operation) {
      try (Context context = Context.open(Device.open(DeviceSpec.parse("cuda")))) {
        context.run(() -> context.loadModule(operation[0]));
        System.out.println("loaded");
      } catch (CudaException e) {
        System.out.println("refused " + e.getMessage());
      }
    }
  }

  /// Prints where the software device's library is.
  static final class Locate {
    public static void main(String[] none) {
      System.out.println(SoftwareLibraryFiles.locate());
    }
  }

  /// Reads a device address as if it were the CPU's.
  static final class TouchDeviceMemory {
    public static void main(String[] none) {
      try (Context context = Context.open(Device.open(TestDevices.software()))) {
        long address = context.call(() -> context.allocate(4096)).buffer().address();
        System.out.println("about to touch");
        MemorySegment.ofAddress(address).reinterpret(8).get(ValueLayout.JAVA_LONG, 0);
        System.out.println("touched");
      }
    }
  }
}
