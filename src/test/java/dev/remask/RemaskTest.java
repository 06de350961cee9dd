package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.OutputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The default model out of a jar.
class RemaskTest {
  private static final String MODEL = "dev/remask/models/tiny-llada/";
  private static final String CACHE = "remask.cache";

  @TempDir private Path folder;

  private String cacheBefore;

  @BeforeEach
  void useOwnCache() {
    cacheBefore = System.getProperty(CACHE);
    System.setProperty(CACHE, folder.resolve("cache").toString());
  }

  @AfterEach
  void restoreCache() {
    if (cacheBefore == null) {
      System.clearProperty(CACHE);
    } else {
      System.setProperty(CACHE, cacheBefore);
    }
  }

  @Test
  void defaultModel_isUnpackedOnceFromAJar_evenByRacers() throws Exception {
    Path source = Remask.defaultModel();
    URL[] jars = {jar(source).toUri().toURL()};
    try (var loader = new URLClassLoader(jars, ClassLoader.getPlatformClassLoader());
        var pool = Executors.newFixedThreadPool(4)) {
      Callable<Path> unpack =
          () -> (Path) loader.loadClass("dev.remask.Remask").getMethod("defaultModel").invoke(null);
      Path model = null;
      for (var racer : pool.invokeAll(List.of(unpack, unpack, unpack, unpack))) {
        assertEquals(model == null ? racer.get() : model, racer.get());
        model = racer.get();
      }
      try (Stream<Path> files = Files.list(source)) {
        for (Path file : files.toList()) {
          assertArrayEquals(
              Files.readAllBytes(file),
              Files.readAllBytes(model.resolve(file.getFileName().toString())));
        }
      }
      try (Stream<Path> left = Files.list(model.getParent())) {
        assertEquals(List.of(model), left.toList(), "no partial folder stays");
      }
      var modified = Files.getLastModifiedTime(model.resolve("model.safetensors"));
      assertEquals(model, unpack.call());
      assertEquals(modified, Files.getLastModifiedTime(model.resolve("model.safetensors")));
    }
  }

  /// A jar with the library's classes and the model.
  private Path jar(Path model) throws Exception {
    Path jar = folder.resolve("remask.jar");
    Path classes =
        Path.of(Remask.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    try (OutputStream out = Files.newOutputStream(jar);
        var entries = new JarOutputStream(out);
        Stream<Path> library = Files.walk(classes);
        Stream<Path> files = Files.list(model)) {
      for (Path file : library.filter(path -> path.toString().endsWith(".class")).toList()) {
        entries.putNextEntry(new JarEntry(classes.relativize(file).toString()));
        Files.copy(file, entries);
      }
      for (Path file : files.toList()) {
        entries.putNextEntry(new JarEntry(MODEL + file.getFileName()));
        Files.copy(file, entries);
      }
    }
    return jar;
  }
}
