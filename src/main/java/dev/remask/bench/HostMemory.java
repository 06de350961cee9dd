package dev.remask.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/// What Linux says of memory, in bytes; empty where it says nothing.
public final class HostMemory {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final Path MEMORY = Path.of("/proc/meminfo");
  private static final long KIB = 1024;

  private HostMemory() {}

  /// Memory of this process that is resident now.
  public static OptionalLong residentBytes() {
    return read(STATUS, "VmRSS:");
  }

  /// The most that was resident at any time; mapped files count while their pages are there.
  public static OptionalLong peakResidentBytes() {
    return read(STATUS, "VmHWM:");
  }

  /// What new allocations of the machine may take without swapping.
  public static OptionalLong availableBytes() {
    return read(MEMORY, "MemAvailable:");
  }

  private static OptionalLong read(Path file, String name) {
    try {
      for (String line : Files.readAllLines(file)) {
        if (line.startsWith(name)) {
          String[] words = line.substring(name.length()).strip().split("\\s+");
          return OptionalLong.of(Long.parseLong(words[0]) * KIB);
        }
      }
    } catch (IOException | NumberFormatException e) {
      // Another system: nothing is known.
    }
    return OptionalLong.empty();
  }
}
