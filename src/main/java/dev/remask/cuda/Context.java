package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashSet;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/// A device's primary context, or one of the caller's ([#attach]), with the one thread on which its
/// driver calls are made.
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

  /// WHILE nodes came with 12.4, IF nodes with 12.3.
  private static final int CONDITIONAL_NODES_SINCE = 12040;

  private final Device device;
  private final DeviceWorker thread;

  /// Whose CUcontext this is; null: the primary context, held here.
  private final Attachment attachment;

  private final AtomicLong deviceBytesInUse = new AtomicLong();

  /// In the order of making. Device thread only.
  private final LinkedHashSet<Resource> children = new LinkedHashSet<>();

  /// Where calls write their out-parameters. Device thread only.
  private MemorySegment scratch;

  private Arena arena;

  /// The CUcontext. Device thread.
  private long handle;

  private volatile boolean open = true;

  private Context(Device device, DeviceWorker thread, Attachment attachment) {
    this.device = device;
    this.thread = thread;
    this.attachment = attachment;
  }

  private static DeviceWorker newThread() {
    return new DeviceThread("remask-device-" + NUMBER.getAndIncrement());
  }

  /// Opens `device`: retains its primary context and starts the device thread. Any thread.
  ///
  /// @throws CudaException if the driver refuses, for example for want of memory
  public static Context open(Device device) {
    return begin(new Context(device, newThread(), null), Context::retain);
  }

  /// Attaches to a CUDA context of the caller's, on `device`, and to its stream and thread where it
  /// names such. Closing closes what was made here and nothing else. Any thread.
  ///
  /// @throws IllegalArgumentException if the context belongs to another device, the stream to
  ///   another context, or the executor has no thread of its own
  /// @throws CudaException if the driver does not know the context or the stream
  /// @throws IllegalStateException if the executor runs nothing for a minute, as when this is
  ///   called on its own thread
  public static Context attach(Device device, Attachment attachment) {
    DeviceWorker worker =
        attachment
            .executor()
            .<DeviceWorker>map(executor ->
                new CallerThread(executor, attachment.context(), CallerThread.PATIENCE_SECONDS))
            .orElseGet(Context::newThread);
    return begin(new Context(device, worker, attachment), Context::enter);
  }

  private static Context begin(Context context, Consumer<Context> makeCurrent) {
    try {
      context.run(() -> makeCurrent.accept(context));
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

  /// Hands `work` to the device thread behind what others have handed in, and returns without
  /// waiting; so on the device thread itself, too, which gives others their turn in between. What
  /// it throws is lost. Any thread.
  ///
  /// Either `work` runs or `otherwise` is told why not, on any thread: with a thread of the
  /// caller's ([Attachment]) the caller's context may be gone by then, or the executor use another
  /// thread.
  ///
  /// @throws IllegalStateException if the context is closed; neither is called then, as when an
  ///   executor of the caller's throws
  public void enqueue(Runnable work, Consumer<? super Throwable> otherwise) {
    thread.enqueue(work, otherwise);
  }

  /// Memory of the device that nobody has allocated, in bytes, as the driver counts it: over all
  /// contexts and processes, what the driver itself has taken included. Any thread.
  ///
  /// @throws CudaException if the driver does not tell
  public long freeBytes() {
    return call(() -> {
      long out = scratch.address();
      Status.check(MemoryApi.cuMemGetInfo_v2(out, out + Long.BYTES), "cuMemGetInfo_v2", device);
      return outLong();
    });
  }

  /// Allocates `bytes` of device memory, not cleared. Device thread.
  ///
  /// @throws IllegalArgumentException if `bytes` is not positive
  /// @throws CudaException if the device has too little left
  public DeviceMemory allocate(long bytes) {
    checkUse();
    return register(DeviceMemory.allocate(this, bytes));
  }

  /// Takes `bytes` of device memory at `address`, allocated by somebody else in the same driver
  /// context (by JCuda for example, or PyTorch), into use. It stays theirs: they keep it allocated
  /// until it is closed here, closing frees nothing, and [#deviceBytesInUse] does not count it.
  /// Neither side's work is ordered with the other's but by streams and events. Device thread.
  ///
  /// @throws IllegalArgumentException if `address` is 0 or `bytes` not positive; whether the memory
  ///   is there, only the caller knows
  public DeviceMemory adopt(long address, long bytes) {
    checkUse();
    return register(DeviceMemory.adopt(this, address, bytes));
  }

  /// Allocates `bytes` of page-locked host memory, not cleared, for asynchronous copies. Device
  /// thread.
  ///
  /// @throws IllegalArgumentException if `bytes` is not positive
  public PinnedMemory allocatePinned(long bytes) {
    checkUse();
    return register(PinnedMemory.allocate(this, bytes, false));
  }

  /// Allocates `bytes` of page-locked host memory, not cleared, that kernels reach, too
  /// ([PinnedMemory#deviceBuffer]): each of their accesses crosses the bus, so it is for words that
  /// host and device tell each other while work goes on. Device thread.
  ///
  /// @throws IllegalArgumentException if `bytes` is not positive
  public PinnedMemory allocateMapped(long bytes) {
    checkUse();
    return register(PinnedMemory.allocate(this, bytes, true));
  }

  /// Makes a stream that does not wait for the legacy default stream. Device thread.
  public Stream newStream() {
    checkUse();
    return register(Stream.create(this));
  }

  /// The stream for the work of whoever asks: the caller's where this context is attached to one
  /// ([Attachment]; closing it here leaves it alone), else a new one. Device thread.
  public Stream workStream() {
    checkUse();
    if (attachment == null || attachment.stream() == 0) {
      return newStream();
    }
    return register(Stream.attach(this, attachment.stream()));
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

  /// Whether graphs may hold conditional nodes ([Stream#build]): CUDA 12.4 or newer. Any thread.
  public boolean supportsConditionalNodes() {
    return device.driverVersion() >= CONDITIONAL_NODES_SINCE
        && GraphApi.has_cuGraphConditionalHandleCreate();
  }

  /// Whether the calling thread is the device thread, inside [#call] or not.
  public boolean isDeviceThread() {
    return thread.isOwn();
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

  /// The CUcontext. Device thread.
  long handle() {
    return handle;
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
    try {
      Status.check(
          ContextApi.cuDevicePrimaryCtxRetain(out(), device.handle()),
          "cuDevicePrimaryCtxRetain",
          device);
      try {
        this.handle = outLong();
        Status.check(ContextApi.cuCtxSetCurrent(this.handle), "cuCtxSetCurrent", device);
      } catch (CudaException e) {
        suppressing(e, this::releasePrimary);
        throw e;
      }
    } catch (Throwable thrown) {
      arena.close();
      throw thrown;
    }
  }

  /// Makes the caller's context current, on a device thread of ours for good.
  private void enter() {
    arena = Arena.ofConfined();
    scratch = arena.allocate(SCRATCH_BYTES, 8);
    handle = attachment.context();
    try {
      if (attachment.executor().isEmpty()) {
        Status.check(ContextApi.cuCtxSetCurrent(handle), "cuCtxSetCurrent", device);
      }
      checkAttachment();
    } catch (Throwable thrown) {
      arena.close();
      throw thrown;
    }
  }

  private void checkAttachment() {
    Status.check(ContextApi.cuCtxGetDevice(out()), "cuCtxGetDevice", device);
    int found = scratch.get(JAVA_INT, 0);
    if (found != device.handle()) {
      throw new IllegalArgumentException(
          "attaching to a context of CUdevice "
              + found
              + ", but the device asked for is "
              + device);
    }
    long stream = attachment.stream();
    if (stream != 0) {
      Status.check(StreamApi.cuStreamGetCtx(stream, out()), "cuStreamGetCtx", "stream", stream);
      if (outLong() != handle) {
        throw new IllegalArgumentException(
            "attaching to stream 0x" + Long.toHexString(stream) + ", which is of another context");
      }
    }
  }

  private void giveBack() {
    if (attachment == null) {
      releasePrimary();
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
    failure = attempt(failure, this::giveBack);
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
