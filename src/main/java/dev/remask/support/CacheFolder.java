package dev.remask.support;

import java.nio.file.Path;
import java.util.Map;

/// Where what can be made again is kept: natives, the default model, models of random weights.
public final class CacheFolder {
  private CacheFolder() {}

  /// That of this process; the property `remask.cache` goes before the environment. Any thread.
  public static Path path() {
    String own = System.getProperty("remask.cache", "");
    return own.isBlank() ? of(System.getenv()) : Path.of(own).toAbsolutePath();
  }

  /// `REMASK_CACHE`, else `$XDG_CACHE_HOME/remask`, else `~/.cache/remask`. Any thread.
  public static Path of(Map<String, String> environment) {
    String own = environment.getOrDefault("REMASK_CACHE", "");
    if (!own.isBlank()) {
      return Path.of(own).toAbsolutePath();
    }
    String xdg = environment.getOrDefault("XDG_CACHE_HOME", "");
    return xdg.isEmpty()
        ? Path.of(System.getProperty("user.home"), ".cache", "remask")
        : Path.of(xdg, "remask").toAbsolutePath();
  }
}
