package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashSet;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/// A device's primary context, with the one thread on which its driver calls are made.
///
/// Everything that a context hands out (memory, streams, events, modules, graphs, matmuls) is to be
/// used on its device thread, inside [#call] or [#run]; other threads get a `WrongThreadException`.
/// Several contexts of one device may be open: they share the driver's primary context.
///
/// Closing waits for the context's streams, closes what is still open in the reverse order of its
/// making, gives the primary context back and ends the thread.
public final class Context implements AutoCloseable {
  private static final AtomicInteger NUMBER = new AtomicInteger();
  private static final int SCRATCH_BYTES = 64;

  private final Device device;
  private final DeviceThread thread;
  private final AtomicLong deviceBytesInUse = new AtomicLong();

  /// In the order of making. Device thread only.
  private final LinkedHashSet<Resource> children = new LinkedHashSet<>();

  /// Where calls write their out-parameters. Device thread only.
  private MemorySegment scratch;

  private Arena arena;
  private volatile boolean open = true;

  private Context(Device device) {
    this.device = device;
    this.thread = new DeviceThread("remask-device-" + NUMBER.getAndIncrement());
  }

  /// Opens `device`: retains its primary context and starts the device thread. Any thread.
  ///
  /// @throws CudaException if the driver refuses, for example for want of memory
  public static Context open(Device device) {
    var context = new Context(device);
    try {
      context.run(context::retain);
    } catch (Throwable thrown) {
      context.open = false;
      context.thread.end();
      throw thrown;
    }
    return context;
  }

  /// The device. Any thread.
  public Device device() {
    return device;
  }

  /// Runs `work` on the device thread and returns its result: at once if this is the device thread,
  /// else after what others handed in before, waiting without regard to interrupts (the interrupt
  /// flag is kept). Any thread.
  ///
  /// What `work` throws is thrown here, with the caller's stack as a suppressed exception; a
  /// checked exception arrives inside an `UncheckedIOException` or a `CompletionException`.
  ///
  /// @throws IllegalStateException if the context is closed
  public <T> T call(Callable<T> work) {
    return thread.call(work);
  }

  /// Runs `work` on the device thread, as [#call] does. Any thread.
  public void run(Runnable work) {
    thread.call(Executors.callable(work));
  }

  /// Hands `work` to the device thread and returns without waiting; on the device thread itself
  /// runs it at once. What it throws is lost, so it reports its outcome by its own means. Any
  /// thread.
  ///
  /// @throws IllegalStateException if the context is closed; otherwise `work` is sure to run
  public void execute(Runnable work) {
    thread.execute(work);
  }

  /// Allocates `bytes` of device memory, not cleared. Device thread.
  ///
  /// @throws IllegalArgumentException if `bytes` is not positive
  /// @throws CudaException if the device has too little left
  public DeviceMemory allocate(long bytes) {
    checkUse();
    return register(DeviceMemory.allocate(this, bytes));
  }

  /// Allocates `bytes` of page-locked host memory, not cleared, for asynchronous copies. Device
  /// thread.
  ///
  /// @throws IllegalArgumentException if `bytes` is not positive
  public PinnedMemory allocatePinned(long bytes) {
    checkUse();
    return register(PinnedMemory.allocate(this, bytes));
  }

  /// Makes a stream that does not wait for the legacy default stream. Device thread.
  public Stream newStream() {
    checkUse();
    return register(Stream.create(this));
  }

  /// Makes an event that takes times. Device thread.
  public Event newEvent() {
    checkUse();
    return register(Event.create(this));
  }

  /// Loads the kernels of one operation, named like its source file. Device thread.
  ///
  /// @throws CudaException if this build holds no image for the device, or its driver is too old
  ///   for the image
  public Module loadModule(String operation) {
    checkUse();
    return register(Module.load(this, operation));
  }

  /// Bytes of device memory that this context has allocated and not yet freed. Any thread.
  public long deviceBytesInUse() {
    return deviceBytesInUse.get();
  }

  /// Waits for the streams, closes what is open in reverse order of making, gives the primary
  /// context back and ends the device thread. Closing again does nothing. Any thread.
  ///
  /// A child whose closing fails is tried once more at the end, since what held it may be gone by
  /// then.
  ///
  /// @throws CudaException the first failure, others suppressed in it; the context is closed even
  ///   so
  @Override
  public void close() {
    try {
      thread.call(() -> {
        closeOnThread();
        return null;
      });
    } catch (DeviceThread.EndedException e) {
      // Closed before, or by another thread at the same time.
    } finally {
      thread.end();
    }
  }

  /// Device and thread.
  @Override
  public String toString() {
    return "Context[" + device.spec() + ", " + thread.name() + "]";
  }

  boolean isDeviceThread() {
    return thread.isCurrent();
  }

  void checkThread(Object subject) {
    if (!thread.isCurrent()) {
      throw new WrongThreadException(
          subject
              + " was used on thread "
              + Thread.currentThread().getName()
              + "; it belongs to "
              + thread.name()
              + ": use Context.call or Context.run");
    }
  }

  /// Where a call may write one out-parameter of up to 8 bytes; read it before the next call.
  long out() {
    return scratch.address();
  }

  long outLong() {
    return scratch.get(JAVA_LONG, 0);
  }

  MemorySegment scratch() {
    return scratch;
  }

  void addBytesInUse(long bytes) {
    deviceBytesInUse.addAndGet(bytes);
  }

  <R extends Resource> R register(R resource) {
    children.add(resource);
    return resource;
  }

  void forget(Resource resource) {
    children.remove(resource);
  }

  void closeChild(Resource child) {
    try {
      run(child::closeNow);
    } catch (DeviceThread.EndedException e) {
      // The context was closed meanwhile, and the child with it; what the driver refused to give
      // back went with the primary context.
    }
  }

  private void checkUse() {
    checkThread(this);
    if (!open) {
      throw new IllegalStateException(this + " is closed");
    }
  }

  private void retain() {
    arena = Arena.ofConfined();
    scratch = arena.allocate(SCRATCH_BYTES, 8);
    int handle = device.handle();
    try {
      Status.check(
          ContextApi.cuDevicePrimaryCtxRetain(out(), handle), "cuDevicePrimaryCtxRetain", device);
      try {
        Status.check(ContextApi.cuCtxSetCurrent(outLong()), "cuCtxSetCurrent", device);
      } catch (CudaException e) {
        suppressing(e, this::releasePrimary);
        throw e;
      }
    } catch (Throwable thrown) {
      arena.close();
      throw thrown;
    }
  }

  private void releasePrimary() {
    Status.check(
        ContextApi.cuDevicePrimaryCtxRelease_v2(device.handle()),
        "cuDevicePrimaryCtxRelease_v2",
        device);
  }

  private void closeOnThread() {
    if (!open) {
      return;
    }
    open = false;
    RuntimeException failure = null;
    for (Resource child : children.reversed().toArray(Resource[]::new)) {
      if (child instanceof Stream stream) {
        failure = attempt(failure, stream::synchronizeForClose);
      }
    }
    for (int pass = 0; pass < 2; pass++) {
      for (Resource child : children.reversed().toArray(Resource[]::new)) {
        failure = attempt(failure, child::closeNow);
      }
    }
    failure = attempt(failure, this::releasePrimary);
    arena.close();
    if (failure != null) {
      throw failure;
    }
  }

  private static RuntimeException attempt(RuntimeException earlier, Runnable step) {
    try {
      step.run();
      return earlier;
    } catch (RuntimeException e) {
      if (earlier == null) {
        return e;
      }
      earlier.addSuppressed(e);
      return earlier;
    }
  }

  /// Runs a clean-up step after `failure`, whose own failure must not hide it.
  static void suppressing(Throwable failure, Runnable step) {
    try {
      step.run();
    } catch (RuntimeException e) {
      failure.addSuppressed(e);
    }
  }
}
