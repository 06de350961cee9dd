package dev.remask.cli;

import java.nio.file.Path;
import java.util.Map;

/// Where what can be made again is kept: `REMASK_CACHE`, else `$XDG_CACHE_HOME/remask`, else
/// `~/.cache/remask`.
final class CacheFolder {
  private CacheFolder() {}

  static Path of(Map<String, String> environment) {
    String own = environment.getOrDefault("REMASK_CACHE", "");
    if (!own.isBlank()) {
      return Path.of(own).toAbsolutePath();
    }
    String xdg = environment.getOrDefault("XDG_CACHE_HOME", "");
    String home = environment.getOrDefault("HOME", System.getProperty("user.home"));
    return (xdg.isEmpty() ? Path.of(home, ".cache") : Path.of(xdg))
        .resolve("remask")
        .toAbsolutePath();
  }
}
