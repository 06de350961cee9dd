package dev.remask.text;

import dev.remask.support.CacheFolder;
import dev.remask.support.Fingerprint;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/// The tokenizer library's native file, unpacked from its jar into Remask's cache.
///
/// Once: under a name made of the file's size and checksum, which it gets by an atomic rename, so
/// that processes may race.
final class TokenizerNatives {
  private static final String NAME = "libtokenizers";

  private TokenizerNatives() {}

  /// The file, ready to be loaded. Throws [TextException] if there is none for this platform, and
  /// `UncheckedIOException` if the cache cannot be written.
  static Path unpacked() {
    String platform = System.getProperty("os.arch").equals("aarch64") ? "aarch64" : "x86_64";
    String resource = "native/lib/linux-" + platform + "/cpu/" + NAME + ".so";
    URL url = TokenizerNatives.class.getClassLoader().getResource(resource);
    if (url == null) {
      throw new TextException(BytePairLibrary.COORDINATES + " holds no " + resource, null);
    }
    Path folder = CacheFolder.path().resolve("tokenizers");
    try {
      Path file = folder.resolve(NAME + "-" + Fingerprint.of(url) + ".so");
      return Files.isRegularFile(file) ? file : unpack(url, folder, file);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "unpacking the tokenizer library into " + folder + " failed: " + e.getMessage(), e);
    }
  }

  private static Path unpack(URL url, Path folder, Path file) throws IOException {
    Files.createDirectories(folder);
    Path partial = Files.createTempFile(folder, "partial-", ".so");
    try (InputStream in = url.openStream()) {
      Files.copy(in, partial, StandardCopyOption.REPLACE_EXISTING);
      // Replaces what another process was quicker to make: the same bytes.
      return Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(partial);
    }
  }
}
