package dev.remask.cuda;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// Finds and loads the native libraries, and holds the process to one driver.
///
/// The bindings' method handles are `static final`, so a process uses either NVIDIA's driver or the
/// software device: the first device that is opened decides. Any thread.
final class NativeLibraries {
  static final String SOFTWARE_LIBRARY = "libremask-device.so";

  private static final String CUDA_LIBRARY = "libcuda.so.1";

  /// Where drivers put their library when the loader's own path does not lead there; `wsl` is
  /// Windows' driver under WSL 2.
  private static final List<String> CUDA_FOLDERS =
      List.of(
          "/usr/lib/x86_64-linux-gnu",
          "/usr/lib64",
          "/usr/lib/aarch64-linux-gnu",
          "/usr/lib/wsl/lib",
          "/usr/local/nvidia/lib64");

  private static DriverQuery cuda;
  private static volatile DriverQuery software;

  /// Written once; volatile because the bindings' initialisers read it on any thread.
  private static volatile DriverQuery fixed;

  private static Optional<NativeLibrary> blasLt;

  private NativeLibraries() {}

  /// NVIDIA's driver, loaded and linked for queries; throws where it is missing.
  static synchronized DriverQuery cudaQuery() {
    if (cuda == null) {
      cuda = new DriverQuery(loadCuda());
    }
    return cuda;
  }

  /// The software device's library, loaded and linked for queries; throws where it is missing.
  static synchronized DriverQuery softwareQuery() {
    if (software == null) {
      requireLinuxX64();
      software = new DriverQuery(load(SoftwareLibraryFiles.locate()));
    }
    return software;
  }

  static NativeLibrary software() {
    return softwareQuery().library();
  }

  /// Fixes the process to `query`'s library, or throws because it has been fixed to another.
  static synchronized void fix(DriverQuery query) {
    if (fixed == null) {
      fixed = query;
    } else if (fixed != query) {
      throw CudaException.of(
          "",
          "",
          "this process already uses "
              + describe(fixed)
              + "; it cannot also open "
              + describe(query)
              + ". Use a second process for the other kind of device");
    }
  }

  static boolean isFixedTo(NativeLibrary library) {
    DriverQuery query = fixed;
    return query != null && query.library() == library;
  }

  static boolean isFixedToSoftware() {
    DriverQuery query = fixed;
    return query != null && query == software;
  }

  /// The library that the first opened device fixed.
  static NativeLibrary driver() {
    return driverQuery().library();
  }

  static DriverQuery driverQuery() {
    DriverQuery query = fixed;
    if (query == null) {
      throw new IllegalStateException("no device has been opened in this process");
    }
    return query;
  }

  /// Whether a cuBLASLt is there; looks for it once.
  static synchronized Optional<NativeLibrary> findBlasLt() {
    if (blasLt == null) {
      blasLt =
          fixed == software ? Optional.of(driver()) : BlasLtFiles.locate(NativeLibraries::tryLoad);
    }
    return blasLt;
  }

  static NativeLibrary blasLt() {
    return findBlasLt()
        .orElseThrow(() -> CudaException.of("", "", "libcublasLt.so.13 or .12 was not found"));
  }

  /// Loads a file, or throws with the loader's own words.
  static NativeLibrary load(Path file) {
    try {
      return new NativeLibrary(file, SymbolLookup.libraryLookup(file, Arena.global()));
    } catch (IllegalArgumentException e) {
      throw CudaException.of("dlopen", file.toString(), loaderReason(file, e.getMessage()));
    }
  }

  /// Loads a name by the loader's path, or a file; empty where that fails.
  static Optional<NativeLibrary> tryLoad(String nameOrFile) {
    try {
      if (nameOrFile.indexOf('/') >= 0) {
        Path file = Path.of(nameOrFile);
        return Optional.of(
            new NativeLibrary(file, SymbolLookup.libraryLookup(file, Arena.global())));
      }
      SymbolLookup symbols = SymbolLookup.libraryLookup(nameOrFile, Arena.global());
      return Optional.of(new NativeLibrary(loadedPath(nameOrFile), symbols));
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
  }

  private static NativeLibrary loadCuda() {
    Optional<NativeLibrary> byName = tryLoad(CUDA_LIBRARY);
    if (byName.isPresent()) {
      return byName.get();
    }
    for (String folder : CUDA_FOLDERS) {
      Path file = Path.of(folder, CUDA_LIBRARY);
      if (Files.exists(file)) {
        return load(file);
      }
    }
    throw CudaException.of(
        "dlopen",
        CUDA_LIBRARY,
        "no NVIDIA driver is installed here; the software device needs none");
  }

  /// `libraryLookup` hides why it failed, even when only a dependency is missing; `System.load`
  /// tells.
  private static String loaderReason(Path file, String otherwise) {
    try {
      System.load(file.toAbsolutePath().toString());
      return otherwise;
    } catch (UnsatisfiedLinkError e) {
      return "cannot load: " + e.getMessage();
    }
  }

  private static Path loadedPath(String name) {
    try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
      // libcuda.so.1 is a link to libcuda.so.<driver version>, which is what maps names.
      String stem = "/" + name.replaceFirst("\\.so.*", ".so");
      return maps.map(line -> line.replaceFirst("^[^/]*", ""))
          .filter(path -> path.contains(stem))
          .findFirst()
          .map(Path::of)
          .orElse(Path.of(name));
    } catch (IOException e) {
      return Path.of(name);
    }
  }

  private static void requireLinuxX64() {
    String system = System.getProperty("os.name") + " " + System.getProperty("os.arch");
    if (!system.equals("Linux amd64")) {
      throw CudaException.of(
          "", "", "the software device is built for Linux on x86-64; this is " + system);
    }
  }

  private static String describe(DriverQuery query) {
    return (query == software ? "the software device (" : "the NVIDIA driver (")
        + query.library().path()
        + ")";
  }
}
