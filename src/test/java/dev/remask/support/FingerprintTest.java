package dev.remask.support;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.JarURLConnection;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FingerprintTest {
  @TempDir private Path folder;

  private URL entry(String name, String content) throws Exception {
    Path jar = folder.resolve("a jar+é.jar");
    try (var out = new JarOutputStream(Files.newOutputStream(jar))) {
      out.putNextEntry(new JarEntry(name));
      out.write(content.getBytes());
    }
    return URI.create("jar:" + jar.toUri() + "!/" + name).toURL();
  }

  @Test
  void jarEntry_isKnownByItsDirectory() throws Exception {
    URL url = entry("in/side.txt", "content");
    String found = Fingerprint.of(url);
    var connection = (JarURLConnection) url.openConnection();
    connection.setUseCaches(false);
    var known = connection.getJarEntry();
    assertEquals(known.getSize() + "-" + Long.toHexString(known.getCrc()), found);
    assertNotEquals(found, Fingerprint.of(entry("in/side.txt", "c0ntent")));
  }

  @Test
  void plainFile_isKnownByItsSizeAndTime() throws Exception {
    Path file = Files.writeString(folder.resolve("plain"), "12345");
    Files.setLastModifiedTime(file, FileTime.fromMillis(86_400_000));
    assertEquals("5-86400000", Fingerprint.of(file.toUri().toURL()));
  }

  @Test
  void keys_areFileNames_andTellTextsApart() {
    String key = Fingerprint.key("libremask-device.so\n1-2\n");
    assertTrue(key.matches("[0-9a-f]{24}"), key);
    assertNotEquals(key, Fingerprint.key("libremask-device.so\n1-3\n"));
    assertNotEquals(key, Fingerprint.key("libremask-device.so\n2-1\n"));
  }
}
