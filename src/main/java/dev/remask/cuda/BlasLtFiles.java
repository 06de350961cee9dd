package dev.remask.cuda;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/// Finds libcublasLt beside an NVIDIA driver.
///
/// In this order: `REMASK_CUBLASLT` (a file or a folder; system property `remask.cublaslt` wins),
/// the loader's path, CUDA's folders under `/usr/local`, and the folders of PyTorch's
/// `nvidia-cublas` packages in the usual Python installations. Version 13 before 12.
final class BlasLtFiles {
  private static final List<String> NAMES = List.of("libcublasLt.so.13", "libcublasLt.so.12");

  private BlasLtFiles() {}

  static Optional<NativeLibrary> locate(Function<String, Optional<NativeLibrary>> load) {
    String setting = SoftwareLibraryFiles.setting("remask.cublaslt", "REMASK_CUBLASLT");
    if (setting != null) {
      return Optional.of(fromSetting(Path.of(setting)));
    }
    for (String name : NAMES) {
      Optional<NativeLibrary> library = load.apply(name);
      if (library.isPresent()) {
        return library;
      }
    }
    for (Path folder : folders()) {
      for (String name : NAMES) {
        Path file = folder.resolve(name);
        if (Files.exists(file)) {
          Optional<NativeLibrary> library = load.apply(file.toString());
          if (library.isPresent()) {
            return library;
          }
        }
      }
    }
    return Optional.empty();
  }

  /// A setting that leads nowhere is an error: whoever set it does not want another library.
  private static NativeLibrary fromSetting(Path path) {
    if (Files.isDirectory(path)) {
      for (String name : NAMES) {
        if (Files.exists(path.resolve(name))) {
          return NativeLibraries.load(path.resolve(name).toAbsolutePath());
        }
      }
      throw CudaException.of(
          "dlopen", path.toString(), "REMASK_CUBLASLT names a folder without " + NAMES);
    }
    return NativeLibraries.load(path.toAbsolutePath());
  }

  private static List<Path> folders() {
    var folders = new ArrayList<Path>();
    folders.add(Path.of("/usr/local/cuda/lib64"));
    folders.addAll(children(Path.of("/usr/local"), "cuda-*", "lib64"));
    var roots = new ArrayList<Path>();
    String environment = System.getenv("VIRTUAL_ENV");
    if (environment != null) {
      roots.add(Path.of(environment, "lib"));
    }
    String conda = System.getenv("CONDA_PREFIX");
    if (conda != null) {
      roots.add(Path.of(conda, "lib"));
    }
    roots.add(Path.of(System.getProperty("user.home"), ".local", "lib"));
    roots.add(Path.of("/usr/local/lib"));
    roots.add(Path.of("/usr/lib"));
    for (Path root : roots) {
      for (String packages : List.of("site-packages", "dist-packages")) {
        for (Path site : children(root, "python3*", packages)) {
          folders.addAll(children(site.resolve("nvidia"), "{cu1*,cublas}", "lib"));
        }
      }
    }
    return folders;
  }

  /// `parent/<glob>/child` for every match.
  private static List<Path> children(Path parent, String glob, String child) {
    var found = new ArrayList<Path>();
    if (Files.isDirectory(parent)) {
      try (DirectoryStream<Path> matches = Files.newDirectoryStream(parent, glob)) {
        matches.forEach(match -> found.add(match.resolve(child)));
      } catch (IOException e) {
        // An unreadable folder is one place fewer to look at.
        return List.of();
      }
    }
    return found;
  }
}
