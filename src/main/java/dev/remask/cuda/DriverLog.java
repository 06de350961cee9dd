package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/// The driver's error log (CUDA 12.9 and newer, and the software device): why a call was refused.
/// Any thread.
final class DriverLog {
  /// What the driver keeps at most, as `cuda.h` says.
  private static final int MAX_LOG_BYTES = 25_600;

  private static final MemorySegment ITERATOR = Arena.global().allocate(8, 8);
  private static boolean started;

  private DriverLog() {}

  /// Begins to read at the log's present end, so that failures before it are not reported later.
  static synchronized void start() {
    started =
        LogApi.has_cuLogsCurrent()
            && LogApi.has_cuLogsDumpToMemory()
            && LogApi.cuLogsCurrent(ITERATOR.address(), 0) == DriverConstants.CUDA_SUCCESS;
  }

  /// The entries since the last call, without the final newline; empty where there is no log.
  static synchronized String drain() {
    if (!started) {
      return "";
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(MAX_LOG_BYTES);
      MemorySegment size = arena.allocate(JAVA_LONG);
      size.set(JAVA_LONG, 0, MAX_LOG_BYTES);
      int status =
          LogApi.cuLogsDumpToMemory(ITERATOR.address(), buffer.address(), size.address(), 0);
      long bytes = Math.clamp(size.get(JAVA_LONG, 0), 0, MAX_LOG_BYTES);
      if (status != DriverConstants.CUDA_SUCCESS || bytes == 0) {
        return "";
      }
      byte[] text = buffer.asSlice(0, bytes).toArray(JAVA_BYTE);
      return new String(text, StandardCharsets.UTF_8).strip();
    }
  }
}
