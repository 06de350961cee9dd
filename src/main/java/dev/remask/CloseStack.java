package dev.remask;

import java.util.ArrayDeque;

/// Closes what was opened, last first, each even if another's close fails.
final class CloseStack {
  private final ArrayDeque<AutoCloseable> opened = new ArrayDeque<>();

  /// Takes charge of `resource` and returns it.
  <T extends AutoCloseable> T push(T resource) {
    opened.push(resource);
    return resource;
  }

  /// Closes all; throws the first failure, the others suppressed in it.
  void close() {
    RuntimeException first = null;
    while (!opened.isEmpty()) {
      try {
        opened.pop().close();
      } catch (Exception e) {
        if (first == null) {
          first = e instanceof RuntimeException r ? r : new IllegalStateException(e);
        } else {
          first.addSuppressed(e);
        }
      }
    }
    if (first != null) {
      throw first;
    }
  }

  /// Closes all because of `failure`; failures of a close are suppressed in it.
  void closeAfter(Throwable failure) {
    try {
      close();
    } catch (RuntimeException e) {
      failure.addSuppressed(e);
    }
  }
}
