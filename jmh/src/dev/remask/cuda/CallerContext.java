package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// A device's primary context on the calling thread: a benchmark's thread then makes the driver
/// calls itself, and no hand-over to a device thread is measured with them.
public final class CallerContext implements AutoCloseable {
  private final Device device;
  private final Context context;

  private CallerContext(Device device, Context context) {
    this.device = device;
    this.context = context;
  }

  /// Opens a device by what [DeviceSpec#parse] reads.
  public static CallerContext open(String spec) {
    Device device = Device.open(DeviceSpec.parse(spec));
    long handle = retain(device);
    var attachment = Attachment.to(handle).withExecutor(Runnable::run);
    return new CallerContext(device, Context.attach(device, attachment));
  }

  /// The CUcontext, to be given back by [#release].
  static long retain(Device device) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_LONG);
      int status = ContextApi.cuDevicePrimaryCtxRetain(out.address(), device.handle());
      Status.check(status, "cuDevicePrimaryCtxRetain", device);
      return out.get(JAVA_LONG, 0);
    }
  }

  static void release(Device device) {
    int status = ContextApi.cuDevicePrimaryCtxRelease_v2(device.handle());
    Status.check(status, "cuDevicePrimaryCtxRelease_v2", device);
  }

  /// Attached to the thread that opened this.
  public Context context() {
    return context;
  }

  @Override
  public void close() {
    context.close();
    release(device);
  }
}
