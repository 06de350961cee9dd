package dev.remask.support;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/// Tells versions of resources apart without reading them. Any thread.
public final class Fingerprint {
  private static final String JAR = "jar";
  private static final String FILE = "file:";
  private static final String INSIDE = "!/";

  private Fingerprint() {}

  /// `<bytes>-<checksum>` of an entry of a jar, as the jar's directory has it; `<bytes>-<time>` of
  /// a plain file and of anything else.
  public static String of(URL resource) throws IOException {
    String path = resource.getPath();
    int inside = path.lastIndexOf(INSIDE);
    // The directory is read directly: a JarURLConnection would start logging, the network and the
    // calendar first.
    if (resource.getProtocol().equals(JAR) && path.startsWith(FILE) && inside > 0) {
      String entryName = path.substring(inside + INSIDE.length());
      try (ZipFile jar = new ZipFile(new File(URI.create(path.substring(0, inside))))) {
        ZipEntry entry = jar.getEntry(entryName);
        if (entry != null && entry.getSize() >= 0 && entry.getCrc() >= 0) {
          return entry.getSize() + "-" + Long.toHexString(entry.getCrc());
        }
      }
    }
    if (resource.getProtocol().equals("file")) {
      Path file = Path.of(URI.create(resource.toString()));
      return Files.size(file) + "-" + Files.getLastModifiedTime(file).toMillis();
    }
    URLConnection connection = resource.openConnection();
    return connection.getContentLengthLong() + "-" + connection.getLastModified();
  }

  /// A short name for so many fingerprinted files: the checksums of `text` from both ends.
  ///
  /// Not a digest against forgers: whoever may write the cache needs no collision. It spares the
  /// start of the security providers.
  public static String key(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    var forward = new CRC32();
    forward.update(bytes);
    long mixed = 0;
    for (byte b : bytes) {
      mixed = Long.rotateLeft(mixed ^ b & 0xff, 17) * 0x9e3779b97f4a7c15L;
    }
    var hex = HexFormat.of();
    return hex.toHexDigits((int) forward.getValue()) + hex.toHexDigits(mixed);
  }
}
