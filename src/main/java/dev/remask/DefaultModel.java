package dev.remask;

import dev.remask.support.CacheFolder;
import dev.remask.support.Fingerprint;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;

/// The model that comes with the library, as a folder.
///
/// On a class path of folders it is used where it lies. From a jar it is unpacked once into the
/// cache, under a key made of every file's size and checksum; the folder appears there complete, by
/// an atomic rename, so processes may race and a killed one leaves no half model.
final class DefaultModel {
  private static final String NAME = "tiny-llada";
  private static final String RESOURCES = "/dev/remask/models/" + NAME + "/";

  /// The files of the folder.
  private static final List<String> FILES =
      List.of(
          "model.safetensors",
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "generation_config.json",
          "config.json");

  private DefaultModel() {}

  static Path unpacked() {
    try {
      URL config = resource("config.json");
      if (config.getProtocol().equals("file")) {
        return Path.of(URI.create(config.toString())).getParent();
      }
      Path folder = CacheFolder.path().resolve("models").resolve(NAME + "-" + key());
      return isComplete(folder) ? folder : unpack(folder);
    } catch (IOException e) {
      throw new UncheckedIOException("unpacking the default model failed: " + e.getMessage(), e);
    }
  }

  private static boolean isComplete(Path folder) {
    return Files.isRegularFile(folder.resolve("config.json"));
  }

  private static Path unpack(Path folder) throws IOException {
    Files.createDirectories(folder.getParent());
    Path partial = Files.createTempDirectory(folder.getParent(), "partial-");
    var written = new ArrayList<Path>();
    try {
      for (String file : FILES) {
        Path target = partial.resolve(file);
        written.add(target);
        try (InputStream in = resource(file).openStream()) {
          Files.copy(in, target);
        }
      }
      Files.move(partial, folder, StandardCopyOption.ATOMIC_MOVE);
      return folder;
    } catch (IOException e) {
      delete(partial, written);
      if (isComplete(folder)) {
        return folder; // another process was first; its copy serves
      }
      throw e;
    }
  }

  private static void delete(Path folder, List<Path> files) throws IOException {
    for (Path file : files) {
      Files.deleteIfExists(file);
    }
    Files.deleteIfExists(folder);
  }

  /// Sizes and checksums stand in the jar's directory: no file is read for them.
  private static String key() throws IOException {
    var all = new StringBuilder();
    for (String file : FILES) {
      all.append(file).append(Fingerprint.of(resource(file)));
    }
    return Fingerprint.key(all.toString());
  }

  private static URL resource(String file) throws IOException {
    URL url = DefaultModel.class.getResource(RESOURCES + file);
    if (url == null) {
      throw new IOException("the library's resource " + RESOURCES + file + " is missing");
    }
    return url;
  }
}
