package dev.remask.cuda;

/// A native handle with one owner: who made it closes it, and the context closes what is left.
///
/// The rules that every subclass has: use after close throws `IllegalStateException`, use off the
/// device thread `WrongThreadException`, both naming the resource; `close` may be called from any
/// thread and repeatedly. A close that the driver refuses throws and leaves the resource open, so
/// that it can be repeated, by the owner or by the context's own close.
abstract class Resource implements AutoCloseable {
  private final Context context;

  /// Written on the device thread only; volatile for `close` and `address()` on other threads.
  private volatile boolean open = true;

  Resource(Context context) {
    this.context = context;
  }

  final Context context() {
    return context;
  }

  final boolean isOpen() {
    return open;
  }

  /// Gives the native handle back. Device thread; called once, or again after it threw.
  abstract void release();

  /// Names the resource in messages.
  @Override
  public abstract String toString();

  /// Throws unless this is the device thread and the resource is open.
  final void checkUse() {
    context.checkThread(this);
    checkOpen();
  }

  final void checkOpen() {
    if (!open) {
      throw new IllegalStateException(this + " is closed");
    }
  }

  /// Throws unless `other` belongs to the same context.
  final void checkSameContext(Resource other) {
    if (other.context != context) {
      throw new IllegalArgumentException(
          other + " of " + other.context + " cannot be used with " + this + " of " + context);
    }
  }

  /// Gives the native handle back; closing again does nothing. Any thread; waits for the device
  /// thread. Work that still uses the resource must have ended.
  ///
  /// @throws CudaException if the driver refuses; the resource stays open
  @Override
  public final void close() {
    if (open) {
      context.closeChild(this);
    }
  }

  /// Device thread.
  final void closeNow() {
    if (open) {
      release();
      open = false;
      context.forget(this);
    }
  }
}
