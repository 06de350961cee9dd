package dev.remask.cuda;

import java.util.function.Consumer;

/// A queue of device work, done in order and apart from other streams. Device thread.
///
/// Copies, fills and launches are only enqueued: the caller keeps buffers open and pinned memory
/// unchanged until the stream, or an event after the work, has been synchronised. None of the
/// enqueuing methods allocates.
public final class Stream extends Resource {
  private final long handle;
  private final boolean owned;

  /// Null: nobody observes.
  private LaunchObserver observer;

  /// Where launches are noted while Remask captures this stream; null otherwise.
  private LaunchList captured;

  private Stream(Context context, long handle, boolean owned) {
    super(context);
    this.handle = handle;
    this.owned = owned;
  }

  static Stream create(Context context) {
    Status.check(
        StreamApi.cuStreamCreate(context.out(), DriverConstants.CU_STREAM_NON_BLOCKING),
        "cuStreamCreate");
    return new Stream(context, context.outLong(), true);
  }

  /// The caller's stream, which closing leaves alone.
  static Stream attach(Context context, long handle) {
    return new Stream(context, handle, false);
  }

  /// Waits until all enqueued work has ended.
  ///
  /// @throws CudaException if some of it failed
  public void synchronize() {
    checkUse();
    synchronizeForClose();
  }

  void synchronizeForClose() {
    Status.check(StreamApi.cuStreamSynchronize(handle), "cuStreamSynchronize", this);
  }

  /// Enqueues a copy of `bytes` from `source`, `sourceOffset` bytes on, to the start of
  /// `destination`.
  ///
  /// @throws IndexOutOfBoundsException if either range is too short
  public void copyToDevice(
      DeviceBuffer destination, PinnedMemory source, long sourceOffset, long bytes) {
    long to = device(destination, bytes);
    long from = pinned(source, sourceOffset, bytes);
    int status = MemoryApi.cuMemcpyHtoDAsync_v2(to, from, bytes, handle);
    Status.check(status, "cuMemcpyHtoDAsync_v2", destination, source);
  }

  /// Enqueues a copy of `bytes` from the start of `source` to `destination`, `destinationOffset`
  /// bytes on.
  ///
  /// @throws IndexOutOfBoundsException if either range is too short
  public void copyToHost(
      PinnedMemory destination, long destinationOffset, DeviceBuffer source, long bytes) {
    long to = pinned(destination, destinationOffset, bytes);
    long from = device(source, bytes);
    int status = MemoryApi.cuMemcpyDtoHAsync_v2(to, from, bytes, handle);
    Status.check(status, "cuMemcpyDtoHAsync_v2", destination, source);
  }

  /// Enqueues a copy of `bytes` from the start of `source` to the start of `destination`, both in
  /// device memory and apart.
  ///
  /// @throws IndexOutOfBoundsException if either range is too short
  public void copy(DeviceBuffer destination, DeviceBuffer source, long bytes) {
    long to = device(destination, bytes);
    long from = device(source, bytes);
    int status = MemoryApi.cuMemcpyDtoDAsync_v2(to, from, bytes, handle);
    Status.check(status, "cuMemcpyDtoDAsync_v2", destination, source);
  }

  /// Enqueues setting every byte of `destination` to `value`.
  public void fill(DeviceBuffer destination, byte value) {
    long to = device(destination, destination.bytes());
    int status = MemoryApi.cuMemsetD8Async(to, value, destination.bytes(), handle);
    Status.check(status, "cuMemsetD8Async", destination);
  }

  /// Records `event` after the work enqueued so far.
  public void record(Event event) {
    checkUse();
    event.checkUse();
    checkSameContext(event);
    Status.check(StreamApi.cuEventRecord(event.handle(), handle), "cuEventRecord", event, this);
  }

  /// Makes later work of this stream wait for the last recording of `event`.
  public void waitFor(Event event) {
    checkUse();
    event.checkUse();
    checkSameContext(event);
    Status.check(
        StreamApi.cuStreamWaitEvent(handle, event.handle(), 0), "cuStreamWaitEvent", this, event);
  }

  /// From now on `observerOrNull` is told of every kernel and product that is enqueued here; null
  /// ends it. What a launched graph holds is not told.
  ///
  /// @throws IllegalStateException if somebody else observes this stream
  public void observe(LaunchObserver observerOrNull) {
    checkUse();
    if (observerOrNull != null && observer != null) {
      throw new IllegalStateException(this + " is observed already");
    }
    observer = observerOrNull;
  }

  /// Whether somebody observes what is enqueued here.
  public boolean isObserved() {
    return observer != null;
  }

  /// Null if nobody observes.
  LaunchObserver observer() {
    return observer;
  }

  /// Runs `work`, which enqueues on this stream, and returns what it enqueued as a graph; nothing
  /// is executed. Only work of this thread is captured; calls that would break the capture, such as
  /// allocating or synchronising, are refused.
  ///
  /// Kernel parameters are copied when the launch is captured. The buffers that the work names must
  /// be open whenever the graph runs.
  public Graph capture(Runnable work) {
    checkUse();
    return context().register(Graph.capture(this, work));
  }

  /// Makes a graph of the work and the conditional nodes that `content` adds; nothing is executed.
  /// The rules of [#capture] hold for what it captures.
  ///
  /// @throws CudaException if the driver is older than CUDA 12.4
  ///   ([Context#supportsConditionalNodes])
  public Graph build(Consumer<GraphBuilder> content) {
    checkUse();
    return context().register(Graph.build(this, content));
  }

  @Override
  public String toString() {
    return "Stream[0x" + Long.toHexString(handle) + "]";
  }

  long handle() {
    return handle;
  }

  LaunchList captured() {
    return captured;
  }

  /// Null: launches are no longer captured.
  void captured(LaunchList list) {
    captured = list;
  }

  @Override
  void release() {
    if (owned) {
      Status.check(StreamApi.cuStreamDestroy_v2(handle), "cuStreamDestroy_v2", this);
    }
  }

  private long device(DeviceBuffer buffer, long bytes) {
    checkUse();
    checkSameContext(buffer.memory());
    if (bytes < 0 || bytes > buffer.bytes()) {
      throw new IndexOutOfBoundsException(bytes + " bytes of " + buffer);
    }
    return buffer.address();
  }

  private long pinned(PinnedMemory memory, long offset, long bytes) {
    checkUse();
    checkSameContext(memory);
    if (offset < 0 || bytes < 0 || offset > memory.bytes() - bytes) {
      throw new IndexOutOfBoundsException(bytes + " bytes at " + offset + " of " + memory);
    }
    return memory.address() + offset;
  }
}
