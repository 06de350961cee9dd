package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// A client of the driver beside Remask: a CUDA context, streams and memory of its own, by calls
/// that share nothing with the bindings but the loaded library.
///
/// Its calls are made on the thread that makes it, on which its context is current until it is
/// closed.
public final class ForeignClient implements AutoCloseable {
  private final Arena arena = Arena.ofConfined();
  private final MemorySegment out = arena.allocate(JAVA_LONG);
  private final long context;

  public ForeignClient(Device device) {
    check("cuCtxCreate_v2", out.address(), 0, device.handle());
    context = out.get(JAVA_LONG, 0);
  }

  /// The CUcontext.
  public long context() {
    return context;
  }

  /// A new CUstream that does not wait for the default stream.
  public long newStream() {
    check("cuStreamCreate", out.address(), DriverConstants.CU_STREAM_NON_BLOCKING);
    return out.get(JAVA_LONG, 0);
  }

  public void destroyStream(long stream) {
    check("cuStreamDestroy_v2", stream);
  }

  /// Fails unless the stream is alive and has no work left.
  public void checkIdle(long stream) {
    check("cuStreamQuery", stream);
  }

  /// A CUdeviceptr.
  public long allocate(long bytes) {
    check("cuMemAlloc_v2", out.address(), bytes);
    return out.get(JAVA_LONG, 0);
  }

  public void free(long address) {
    check("cuMemFree_v2", address);
  }

  public void upload(long address, int... values) {
    try (Arena copy = Arena.ofConfined()) {
      MemorySegment from = copy.allocateFrom(JAVA_INT, values);
      check("cuMemcpyHtoD_v2", address, from.address(), from.byteSize());
    }
  }

  public int[] ints(long address, int count) {
    return bytes(address, (long) count * Integer.BYTES).toArray(JAVA_INT);
  }

  public float[] floats(long address, int count) {
    return bytes(address, (long) count * Float.BYTES).toArray(ValueLayout.JAVA_FLOAT);
  }

  private MemorySegment bytes(long address, long count) {
    MemorySegment to = Arena.ofAuto().allocate(count, 8);
    check("cuMemcpyDtoH_v2", to.address(), address, count);
    return to;
  }

  /// The context that is current on the calling thread, 0 for none.
  public static long current() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_LONG);
      check("cuCtxGetCurrent", out.address());
      return out.get(JAVA_LONG, 0);
    }
  }

  @Override
  public void close() {
    check("cuCtxDestroy_v2", context);
    arena.close();
  }

  /// Long arguments are pointers, handles and sizes; Integer ones ints.
  private static void check(String function, Object... arguments) {
    var layouts = new MemoryLayout[arguments.length];
    for (int i = 0; i < arguments.length; i++) {
      layouts[i] = arguments[i] instanceof Integer ? JAVA_INT : JAVA_LONG;
    }
    MemorySegment symbol = NativeLibraries.driver().symbols().find(function).orElseThrow();
    try {
      Object status =
          Linker.nativeLinker()
              .downcallHandle(symbol, FunctionDescriptor.of(JAVA_INT, layouts))
              .invokeWithArguments(arguments);
      assertEquals(DriverConstants.CUDA_SUCCESS, status, function);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
