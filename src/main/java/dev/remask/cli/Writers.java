package dev.remask.cli;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;

/// Writers over the process's streams.
final class Writers {
  private Writers() {}

  /// A UTF-8 writer that keeps nothing back, so that it may share a stream with others.
  static PrintWriter flushing(PrintStream stream) {
    return new PrintWriter(stream, true, StandardCharsets.UTF_8);
  }
}
