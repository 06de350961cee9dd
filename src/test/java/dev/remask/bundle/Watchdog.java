package dev.remask.bundle;

import java.time.Duration;

/// Does something unless it is closed in time.
final class Watchdog implements AutoCloseable {
  private final Thread thread;

  Watchdog(Duration limit, Runnable action) {
    thread =
        Thread.ofPlatform()
            .daemon()
            .name("watchdog")
            .start(() -> {
              try {
                Thread.sleep(limit);
              } catch (InterruptedException e) {
                return; // closed in time
              }
              action.run();
            });
  }

  @Override
  public void close() {
    thread.interrupt();
  }
}
