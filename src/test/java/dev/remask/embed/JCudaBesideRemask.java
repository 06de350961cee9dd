package dev.remask.embed;

import static jcuda.driver.JCudaDriver.cuCtxSetCurrent;
import static jcuda.driver.JCudaDriver.cuDeviceGet;
import static jcuda.driver.JCudaDriver.cuDevicePrimaryCtxRelease;
import static jcuda.driver.JCudaDriver.cuDevicePrimaryCtxRetain;
import static jcuda.driver.JCudaDriver.cuInit;
import static jcuda.driver.JCudaDriver.cuMemAlloc;
import static jcuda.driver.JCudaDriver.cuMemFree;
import static jcuda.driver.JCudaDriver.cuMemcpyDtoH;
import static jcuda.driver.JCudaDriver.cuMemcpyHtoD;

import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.cuda.Stream;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import jcuda.Pointer;
import jcuda.Sizeof;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.JCudaDriver;

/// Remask and JCuda in one process, on one device and in one context: JCuda's memory is read by
/// Remask, Remask's by JCuda.
final class JCudaBesideRemask {
  private JCudaBesideRemask() {}

  public static void main(String[] none) {
    Device remask = Device.open(DeviceSpec.parse("software"));
    System.load(SoftwareDevice.driverLibrary().toString()); // before JCuda's first class
    JCudaDriver.setExceptionsEnabled(true);
    cuInit(0);
    var device = new CUdevice();
    cuDeviceGet(device, 0);
    var primary = new CUcontext();
    cuDevicePrimaryCtxRetain(primary, device);
    cuCtxSetCurrent(primary);
    try (Context context = Context.open(remask)) {
      float[] floats = adopted(context);
      int[] ints = handedOut(context);
      System.out.printf(
          java.util.Locale.ROOT,
          "adopted %.1f %.1f %.1f, handed out %d %d %d%n",
          floats[0],
          floats[1],
          floats[2],
          ints[0],
          ints[1],
          ints[2]);
    }
    cuDevicePrimaryCtxRelease(device);
  }

  /// JCuda allocates and writes, Remask reads.
  private static float[] adopted(Context context) {
    var theirs = new CUdeviceptr();
    long bytes = 3L * Sizeof.FLOAT;
    cuMemAlloc(theirs, bytes);
    cuMemcpyHtoD(theirs, Pointer.to(new float[] {0, 1.5f, 3}), bytes);
    float[] values = new float[3];
    context.run(() -> {
      try (DeviceMemory adopted = context.adopt(new Address(theirs).value(), bytes);
          PinnedMemory host = context.allocatePinned(bytes);
          Stream stream = context.newStream()) {
        stream.copyToHost(host, 0, adopted.buffer(), bytes);
        stream.synchronize();
        FloatBuffer read = host.buffer().asFloatBuffer();
        read.get(values);
      }
    });
    cuMemFree(theirs); // closing what was adopted has freed nothing
    return values;
  }

  /// Remask allocates and writes, JCuda reads.
  private static int[] handedOut(Context context) {
    long bytes = 3L * Sizeof.INT;
    DeviceMemory ours = context.call(() -> context.allocate(bytes));
    context.run(() -> {
      try (PinnedMemory host = context.allocatePinned(bytes);
          Stream stream = context.newStream()) {
        IntBuffer values = host.buffer().asIntBuffer();
        values.put(new int[] {10, 20, 30});
        stream.copyToDevice(ours.buffer(), host, 0, bytes);
        stream.synchronize();
      }
    });
    int[] values = new int[3];
    // A null pointer moved by the address: JCuda has no other way to make one.
    CUdeviceptr pointer = new CUdeviceptr().withByteOffset(ours.buffer().address());
    cuMemcpyDtoH(Pointer.to(values), pointer, bytes);
    ours.close();
    return values;
  }

  /// The number inside a pointer of JCuda's, which only subclasses see.
  private static final class Address extends CUdeviceptr {
    Address(CUdeviceptr pointer) {
      super(pointer);
    }

    long value() {
      return getNativePointer() + getByteOffset();
    }
  }
}
