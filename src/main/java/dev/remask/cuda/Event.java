package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

/// A point in a stream's work that can be waited for, asked about and timed. Device thread.
public final class Event extends Resource {
  private final long handle;

  private Event(Context context, long handle) {
    super(context);
    this.handle = handle;
  }

  static Event create(Context context) {
    Status.check(
        StreamApi.cuEventCreate(context.out(), DriverConstants.CU_EVENT_DEFAULT), "cuEventCreate");
    return new Event(context, context.outLong());
  }

  /// Whether the work before the last recording has ended; true for an event never recorded.
  ///
  /// @throws CudaException if that work failed
  public boolean isDone() {
    checkUse();
    int status = StreamApi.cuEventQuery(handle);
    if (status == DriverConstants.CUDA_ERROR_NOT_READY) {
      return false;
    }
    Status.check(status, "cuEventQuery", this);
    return true;
  }

  /// Waits until the work before the last recording has ended.
  ///
  /// @throws CudaException if that work failed
  public void synchronize() {
    checkUse();
    Status.check(StreamApi.cuEventSynchronize(handle), "cuEventSynchronize", this);
  }

  /// Device time in milliseconds from `earlier` to this event; both recorded and done.
  public float millisecondsSince(Event earlier) {
    checkUse();
    earlier.checkUse();
    checkSameContext(earlier);
    Status.check(
        StreamApi.cuEventElapsedTime(context().out(), earlier.handle, handle),
        "cuEventElapsedTime",
        earlier,
        this);
    return context().scratch().get(JAVA_FLOAT, 0);
  }

  @Override
  public String toString() {
    return "Event[0x" + Long.toHexString(handle) + "]";
  }

  long handle() {
    return handle;
  }

  @Override
  void release() {
    Status.check(StreamApi.cuEventDestroy_v2(handle), "cuEventDestroy_v2", this);
  }
}
