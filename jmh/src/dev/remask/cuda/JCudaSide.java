package dev.remask.cuda;

import java.util.Arrays;
import jcuda.NativePointerObject;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUfunction;
import jcuda.driver.CUgraph;
import jcuda.driver.CUmodule;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/// JCuda in the context that is current, on the library that Panama calls: on the software device
/// its thin libcuda.so.1, each of whose exports is one jump to the device's function, elsewhere the
/// driver itself.
final class JCudaSide implements AutoCloseable {
  final CUcontext current = new CUcontext();
  final CUstream stream = new CUstream();
  final CUevent event = new CUevent();
  final CUdeviceptr memory = new CUdeviceptr();
  final Pointer pinned = new Pointer();
  private final CUmodule module = new CUmodule();

  JCudaSide(Device device, byte[] image) {
    if (device.isSoftware()) {
      System.load(SoftwareDevice.driverLibrary().toString()); // before JCuda's first class
    }
    // As our launches do, each call's status is looked at by the caller.
    JCudaDriver.setExceptionsEnabled(false);
    check(JCudaDriver.cuInit(0), "cuInit");
    check(JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING), "stream");
    check(JCudaDriver.cuEventCreate(event, 0), "cuEventCreate");
    check(JCudaDriver.cuMemAlloc(memory, 1 << 16), "cuMemAlloc");
    check(JCudaDriver.cuMemAllocHost(pinned, 1 << 16), "cuMemAllocHost");
    check(JCudaDriver.cuModuleLoadData(module, image), "cuModuleLoadData");
  }

  CUfunction function(int arguments) {
    var function = new CUfunction();
    String name = EmptyKernels.name(arguments);
    check(JCudaDriver.cuModuleGetFunction(function, module, name), name);
    return function;
  }

  void beginCapture() {
    int mode = CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    check(JCudaDriver.cuStreamBeginCapture(stream, mode), "cuStreamBeginCapture");
  }

  void endCapture() {
    var graph = new CUgraph();
    check(JCudaDriver.cuStreamEndCapture(stream, graph), "cuStreamEndCapture");
    check(JCudaDriver.cuGraphDestroy(graph), "cuGraphDestroy");
  }

  void synchronize() {
    check(JCudaDriver.cuStreamSynchronize(stream), "cuStreamSynchronize");
  }

  @Override
  public void close() {
    JCudaDriver.cuModuleUnload(module);
    JCudaDriver.cuMemFreeHost(pinned);
    JCudaDriver.cuMemFree(memory);
    JCudaDriver.cuEventDestroy(event);
    JCudaDriver.cuStreamDestroy(stream);
  }

  private static void check(int status, String call) {
    CallFixture.check(status, call);
  }

  /// Arguments of an empty kernel as JCuda's fastest programs keep them: pointers to Java arrays,
  /// made once, the arrays written anew.
  final class Parameters {
    private final int[][] ints;
    private final float[] number = new float[1];
    final Pointer all;

    Parameters(int arguments) {
      int pointers = EmptyKernels.pointers(arguments);
      boolean hasFloat = EmptyKernels.hasFloat(arguments);
      ints = new int[arguments - pointers - (hasFloat ? 1 : 0)][1];
      var each = new NativePointerObject[arguments];
      Arrays.fill(each, 0, pointers, Pointer.to(memory));
      for (int i = 0; i < ints.length; i++) {
        each[pointers + i] = Pointer.to(ints[i]);
      }
      if (hasFloat) {
        each[arguments - 1] = Pointer.to(number);
      }
      all = Pointer.to(each);
    }

    void write(int value) {
      for (int i = 0; i < ints.length; i++) {
        ints[i][0] = value + i;
      }
      number[0] = value;
    }
  }
}
