package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.PinnedMemory;

/// A word that the device reads after every step: set, it ends a run after the step under way, with
/// every slot as that step left it.
///
/// One for each loop, in mapped pinned memory. Who sets it wants the device thread's attention (a
/// request joins, one is cancelled); the device thread clears it *before* it looks for what is
/// wanted, so that no wish is lost: a wish that comes later sets it again.
final class StopWord implements AutoCloseable {
  private final PinnedMemory word;

  /// Guards the word's end: who sets it may be late.
  private final Object lock = new Object();

  private boolean closed;

  private StopWord(PinnedMemory word) {
    this.word = word;
  }

  /// Makes a clear one. Device thread.
  static StopWord create(Context context) {
    var stop = new StopWord(context.allocateMapped(Integer.BYTES));
    stop.clear();
    return stop;
  }

  /// Any thread; after the loop is closed it does nothing.
  void set() {
    synchronized (lock) {
      if (!closed) {
        word.storeInt(0, 1);
      }
    }
  }

  /// Device thread, between runs.
  void clear() {
    word.storeInt(0, 0);
  }

  /// Any thread; true after the loop is closed.
  boolean isSet() {
    synchronized (lock) {
      return closed || word.loadInt(0) != 0;
    }
  }

  /// i32[1], for kernels to read.
  DeviceBuffer buffer() {
    return word.deviceBuffer();
  }

  /// Frees the word; no work that reads it may be queued. Device thread.
  @Override
  public void close() {
    synchronized (lock) {
      closed = true;
    }
    word.close();
  }
}
