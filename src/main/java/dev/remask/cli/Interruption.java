package dev.remask.cli;

import java.util.function.Supplier;

/// Ctrl-C, as the commands see it: an interrupt of their thread, except while they wait for a line
/// of input, which no interrupt ends.
final class Interruption {
  private final Thread thread;
  private boolean waiting;

  Interruption(Thread thread) {
    this.thread = thread;
  }

  /// Runs `read`, during which the process may end at once.
  <T> T whileWaiting(Supplier<T> read) {
    setWaiting(true);
    try {
      return read.get();
    } finally {
      setWaiting(false);
    }
  }

  /// Asks the commands' thread to stop; false if there is nothing to wait for.
  synchronized boolean request() {
    if (waiting) {
      return false;
    }
    thread.interrupt();
    return true;
  }

  private synchronized void setWaiting(boolean now) {
    waiting = now;
  }
}
