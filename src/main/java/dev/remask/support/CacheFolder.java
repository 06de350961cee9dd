package dev.remask.support;

import java.nio.file.Path;

/// Where natives and the default model are unpacked.
public final class CacheFolder {
  private CacheFolder() {}

  /// `REMASK_CACHE` (or the property `remask.cache`), else `$XDG_CACHE_HOME/remask`, else
  /// `~/.cache/remask`. Any thread.
  public static Path path() {
    String own = System.getProperty("remask.cache", System.getenv("REMASK_CACHE"));
    if (own != null && !own.isBlank()) {
      return Path.of(own).toAbsolutePath();
    }
    String xdg = System.getenv("XDG_CACHE_HOME");
    return xdg != null && !xdg.isEmpty()
        ? Path.of(xdg, "remask").toAbsolutePath()
        : Path.of(System.getProperty("user.home"), ".cache", "remask");
  }
}
