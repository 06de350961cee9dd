package dev.remask.bundle;

import java.time.Duration;
import tools.jackson.databind.node.ObjectNode;

/// One resumable piece of a part: a test class, a benchmark, a set of probes.
interface Task {
  /// Unique in its part; filters look into it.
  String name();

  /// How many tests, figures or dumps it stands for.
  int size();

  /// How long it may take before it counts as hung.
  default Duration limit() {
    return Duration.ofSeconds(100);
  }

  /// Runs it and returns what came out, with `status` `passed` or `failed` and, where it failed,
  /// `error`; it should end within `left`. What it throws is a failure.
  ObjectNode run(Duration left) throws Exception;
}
