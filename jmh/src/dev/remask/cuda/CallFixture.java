package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.remask.measure.Allocation;
import dev.remask.measure.JavaBytes;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/// One device, made ready for the same driver calls by Panama and by JCuda: the context is current
/// on the benchmark's thread, and each side has a stream, an event, memory and the empty kernels as
/// it got them by its own calls.
///
/// Calls that enqueue are measured in batches, which the device finishes outside the measured time:
/// either into a stream or into a capture ([Into]).
final class CallFixture implements AutoCloseable {
  /// Calls of a batch.
  static final int BATCH = 256;

  static final int COPIED_BYTES = 64;

  final Device device;
  final Arena arena = Arena.ofConfined();
  final JCudaSide jcuda;
  private final MemorySegment out = arena.allocate(JAVA_LONG);
  private final Into into;
  final long context;
  final long stream;
  final long event;
  final long memory;
  final long pinned;
  private final long module;
  private boolean toJCuda;
  private long allocated;

  CallFixture(String spec, Into into) {
    this.into = into;
    device = Device.open(DeviceSpec.parse(spec));
    context = CallerContext.retain(device);
    check(ContextApi.cuCtxSetCurrent(context), "cuCtxSetCurrent");
    check(
        StreamApi.cuStreamCreate(out.address(), DriverConstants.CU_STREAM_NON_BLOCKING), "stream");
    stream = out.get(JAVA_LONG, 0);
    check(StreamApi.cuEventCreate(out.address(), 0), "cuEventCreate");
    event = out.get(JAVA_LONG, 0);
    check(MemoryApi.cuMemAlloc_v2(out.address(), 1 << 16), "cuMemAlloc_v2");
    memory = out.get(JAVA_LONG, 0);
    check(MemoryApi.cuMemHostAlloc(out.address(), 1 << 16, 0), "cuMemHostAlloc");
    pinned = out.get(JAVA_LONG, 0);
    byte[] image = EmptyKernels.image(device);
    MemorySegment text = arena.allocate(image.length, 16);
    MemorySegment.copy(image, 0, text, ValueLayout.JAVA_BYTE, 0, image.length);
    check(ModuleApi.cuModuleLoadData(out.address(), text.address()), "cuModuleLoadData");
    module = out.get(JAVA_LONG, 0);
    jcuda = new JCudaSide(device, image);
  }

  /// The kernel of so many parameters, as a CUfunction.
  long function(int arguments) {
    MemorySegment name = arena.allocateFrom(EmptyKernels.name(arguments));
    check(ModuleApi.cuModuleGetFunction(out.address(), module, name.address()), "function");
    return out.get(JAVA_LONG, 0);
  }

  /// Before a batch; `jcudas`: which side's stream it goes to.
  void begin(boolean jcudas) {
    toJCuda = jcudas;
    if (into == Into.CAPTURE) {
      if (jcudas) {
        jcuda.beginCapture();
      } else {
        int mode = DriverConstants.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        check(GraphApi.cuStreamBeginCapture_v2(stream, mode), "cuStreamBeginCapture_v2");
      }
    }
    allocated = JavaBytes.now();
  }

  /// After the last call of a batch, still measured: takes the count of bytes.
  void count(Allocation allocation) {
    allocation.count(JavaBytes.now() - allocated, BATCH);
  }

  /// After a batch: waits for the device, or throws the captured graph away.
  void end() {
    if (into == Into.STREAM) {
      if (toJCuda) {
        jcuda.synchronize();
      } else {
        check(StreamApi.cuStreamSynchronize(stream), "cuStreamSynchronize");
      }
    } else if (toJCuda) {
      jcuda.endCapture();
    } else {
      check(GraphApi.cuStreamEndCapture(stream, out.address()), "cuStreamEndCapture");
      check(GraphApi.cuGraphDestroy(out.get(JAVA_LONG, 0)), "cuGraphDestroy");
    }
  }

  /// A downcall of the driver's function, with `options`.
  static MethodHandle handle(String name, FunctionDescriptor descriptor, Linker.Option... options) {
    MemorySegment symbol =
        NativeLibraries.driver()
            .symbols()
            .find(name)
            .orElseThrow(() -> new IllegalStateException("the driver has no " + name));
    return Linker.nativeLinker().downcallHandle(symbol, descriptor, options);
  }

  static void check(int status, String call) {
    if (status != DriverConstants.CUDA_SUCCESS) {
      throw new IllegalStateException(call + " returned " + status);
    }
  }

  @Override
  public void close() {
    jcuda.close();
    ModuleApi.cuModuleUnload(module);
    MemoryApi.cuMemFreeHost(pinned);
    MemoryApi.cuMemFree_v2(memory);
    StreamApi.cuEventDestroy_v2(event);
    StreamApi.cuStreamDestroy_v2(stream);
    CallerContext.release(device);
    arena.close();
  }

  /// Arguments of an empty kernel in the packed buffer that our launches pass.
  final class Packed {
    private final MemorySegment buffer;
    private final int ints;
    private final int firstInt;
    private final int floatOffset;
    final long extra;

    Packed(int arguments) {
      int pointers = EmptyKernels.pointers(arguments);
      boolean hasFloat = EmptyKernels.hasFloat(arguments);
      ints = arguments - pointers - (hasFloat ? 1 : 0);
      firstInt = pointers * Long.BYTES;
      floatOffset = hasFloat ? firstInt + ints * Integer.BYTES : -1;
      int bytes = firstInt + (ints + (hasFloat ? 1 : 0)) * Integer.BYTES;
      buffer = arena.allocate(bytes, 16);
      for (int i = 0; i < pointers; i++) {
        buffer.setAtIndex(JAVA_LONG, i, memory);
      }
      MemorySegment size = arena.allocateFrom(JAVA_LONG, bytes);
      MemorySegment entries = arena.allocate(JAVA_LONG, 5);
      entries.setAtIndex(JAVA_LONG, 0, DriverConstants.CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT);
      entries.set(ADDRESS, 8, buffer);
      entries.setAtIndex(JAVA_LONG, 2, DriverConstants.CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT);
      entries.set(ADDRESS, 24, size);
      entries.setAtIndex(JAVA_LONG, 4, DriverConstants.CU_LAUNCH_PARAM_END_AS_INT);
      extra = entries.address();
    }

    /// Writes every argument that is a number, as a launch with new sizes does.
    void write(int value) {
      for (int i = 0; i < ints; i++) {
        buffer.set(JAVA_INT, firstInt + (long) i * Integer.BYTES, value + i);
      }
      if (floatOffset >= 0) {
        buffer.set(JAVA_FLOAT, floatOffset, value);
      }
    }
  }
}
