package dev.remask.cli;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.function.Supplier;

/// The settings behind the flags: `REMASK_*` variables, then `remask.properties` of the working
/// folder, then that of the user's configuration folder.
///
/// A setting is named like its flag, with underscores: `--gen-length` is `REMASK_GEN_LENGTH` in the
/// environment and `gen_length` (or `gen-length`) in a file; only `--cache` is `REMASK_CACHE_MODE`.
final class Settings {
  static final String FILE = "remask.properties";

  private final Map<String, String> environment;
  private final Map<String, Setting> fromFiles = new HashMap<>();

  /// A value, and where it stands, for messages.
  record Setting(String value, String origin) {}

  private Settings(Map<String, String> environment) {
    this.environment = environment;
  }

  /// Reads the files. Throws [UsageException] for a file that cannot be read or that has a key
  /// which is not in `known`, which is asked for only if there is a file.
  static Settings read(Surroundings surroundings, Supplier<Set<String>> known) {
    var settings = new Settings(surroundings.environment());
    var files = new LinkedHashSet<Path>();
    files.add(surroundings.folder().resolve(FILE));
    files.add(userFolder(surroundings.environment()).resolve(FILE));
    for (Path file : files) {
      if (Files.isRegularFile(file)) {
        settings.add(file, known.get());
      }
    }
    return settings;
  }

  /// The setting of a key such as `gen_length`, if there is one; an empty variable is none.
  Optional<Setting> find(String key) {
    String variable = variable(key);
    String value = environment.get(variable);
    if (value != null && !value.isEmpty()) {
      return Optional.of(new Setting(value, variable));
    }
    return Optional.ofNullable(fromFiles.get(key));
  }

  /// The environment variable of a key. REMASK_CACHE is the folder of unpacked files, so that of
  /// the option cache has a longer name.
  static String variable(String key) {
    return "REMASK_" + (key.equals("cache") ? "CACHE_MODE" : key.toUpperCase(Locale.ROOT));
  }

  /// The key of a flag such as `--gen-length`.
  static String key(String flag) {
    return flag.replaceFirst("^-+", "").replace('-', '_');
  }

  private static Path userFolder(Map<String, String> environment) {
    String xdg = environment.getOrDefault("XDG_CONFIG_HOME", "");
    String home = environment.getOrDefault("HOME", System.getProperty("user.home"));
    return (xdg.isEmpty() ? Path.of(home, ".config") : Path.of(xdg)).resolve("remask");
  }

  private void add(Path file, Set<String> known) {
    var properties = new Properties();
    try (Reader reader = Files.newBufferedReader(file)) {
      properties.load(reader);
    } catch (IOException | IllegalArgumentException e) {
      throw new UsageException(file + " cannot be read: " + e.getMessage());
    }
    for (String name : properties.stringPropertyNames()) {
      String key = name.replace('-', '_');
      if (!known.contains(key)) {
        throw new UsageException(
            file + ": unknown setting " + name + "; known are " + String.join(", ", known));
      }
      fromFiles.putIfAbsent(
          key, new Setting(properties.getProperty(name).strip(), file.toString()));
    }
  }
}
