package dev.remask.cuda;

import dev.remask.support.CacheFolder;
import dev.remask.support.Fingerprint;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/// Finds the software device's library and the libraries that it needs.
///
/// First in the folder that `REMASK_NATIVE` (environment) or `remask.native` (system property,
/// which wins) names. Otherwise the files are class-path resources, which the loader cannot read:
/// they are unpacked once into a private cache folder (`REMASK_CACHE`, by default
/// `$XDG_CACHE_HOME/remask` or `~/.cache/remask`), under a key made of every file's size and
/// checksum. A folder appears there complete, by an atomic rename, so processes may race.
final class SoftwareLibraryFiles {
  private static final String PLATFORM = "linux-x86_64/";
  private static final String OWN = "dev/remask/native/" + PLATFORM;
  private static final String DNNL = "org/bytedeco/dnnl/" + PLATFORM;
  private static final String OPENCL = "org/bytedeco/opencl/" + PLATFORM;

  /// Folder and file of each: only what libremask-device.so needs at run time (the rest of those
  /// jars is JNI glue), and the libcuda.so.1 that other clients of the driver API may load.
  /// libremask-emulator-checked.so is not among them: it proves kernels in the build tree, and the
  /// emulator gives the same results without it.
  private static final List<Resource> RESOURCES =
      List.of(
          new Resource(OWN, NativeLibraries.SOFTWARE_LIBRARY),
          new Resource(OWN, "libremask-emulator.so"),
          new Resource(OWN, "libcuda/libcuda.so.1"),
          new Resource(DNNL, "libdnnl.so.3"),
          new Resource(DNNL, "libgomp.so.1"),
          new Resource(OPENCL, "libOpenCL.so.1"));

  private record Resource(String folder, String file) {}

  private record Entry(String file, URL url, String fingerprint) {}

  private SoftwareLibraryFiles() {}

  /// The file to load; throws with every place that was looked at.
  static Path locate() {
    String folder = setting("remask.native", "REMASK_NATIVE");
    if (folder != null) {
      Path file = Path.of(folder, NativeLibraries.SOFTWARE_LIBRARY);
      if (Files.isRegularFile(file)) {
        return file.toAbsolutePath();
      }
      throw missing("REMASK_NATIVE=" + folder + " holds no such file");
    }
    List<Entry> entries = entries();
    if (entries.isEmpty() || !entries.getFirst().file.equals(NativeLibraries.SOFTWARE_LIBRARY)) {
      throw missing(
          "REMASK_NATIVE is not set and the class path holds no "
              + OWN
              + NativeLibraries.SOFTWARE_LIBRARY);
    }
    try {
      return unpack(entries).resolve(NativeLibraries.SOFTWARE_LIBRARY);
    } catch (IOException e) {
      throw missing("unpacking it into " + CacheFolder.path() + " failed: " + e);
    }
  }

  private static CudaException missing(String why) {
    return CudaException.of("dlopen", NativeLibraries.SOFTWARE_LIBRARY, why);
  }

  private static List<Entry> entries() {
    ClassLoader loader = SoftwareLibraryFiles.class.getClassLoader();
    var entries = new ArrayList<Entry>();
    for (Resource resource : RESOURCES) {
      // By the class loader, not the class: the libraries of other jars are in other modules.
      URL url = loader.getResource(resource.folder + resource.file);
      if (url != null) {
        entries.add(new Entry(resource.file, url, fingerprint(url)));
      }
    }
    return entries;
  }

  /// Reading 90 MB at every start would cost more than the model.
  private static String fingerprint(URL url) {
    try {
      return Fingerprint.of(url);
    } catch (IOException e) {
      throw missing("reading " + url + " failed: " + e);
    }
  }

  private static Path unpack(List<Entry> entries) throws IOException {
    Path parent = CacheFolder.path().resolve("native");
    Path folder = parent.resolve(key(entries));
    if (Files.isRegularFile(folder.resolve(NativeLibraries.SOFTWARE_LIBRARY))) {
      return folder;
    }
    Files.createDirectories(parent);
    Path partial = Files.createTempDirectory(parent, "partial-");
    try {
      for (Entry entry : entries) {
        Path file = partial.resolve(entry.file);
        Files.createDirectories(file.getParent());
        try (InputStream in = entry.url.openStream()) {
          Files.copy(in, file);
        }
      }
      try {
        Files.move(partial, folder, StandardCopyOption.ATOMIC_MOVE);
      } catch (IOException e) {
        // Another process unpacked the same files first; its copy serves. An atomic move onto a
        // folder reports that as a plain FileSystemException.
        if (!Files.isRegularFile(folder.resolve(NativeLibraries.SOFTWARE_LIBRARY))) {
          throw e;
        }
        delete(partial);
      }
    } catch (IOException e) {
      delete(partial);
      throw e;
    }
    return folder;
  }

  private static String key(List<Entry> entries) {
    var all = new StringBuilder();
    for (Entry entry : entries) {
      all.append(entry.file).append('\n').append(entry.fingerprint).append('\n');
    }
    return Fingerprint.key(all.toString());
  }

  static String setting(String property, String variable) {
    String value = System.getProperty(property, System.getenv(variable));
    return value == null || value.isBlank() ? null : value;
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }
}
