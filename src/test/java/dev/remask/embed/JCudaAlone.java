package dev.remask.embed;

import static jcuda.driver.JCudaDriver.cuCtxDestroy;
import static jcuda.driver.JCudaDriver.cuCtxSynchronize;
import static jcuda.driver.JCudaDriver.cuDeviceGet;
import static jcuda.driver.JCudaDriver.cuInit;
import static jcuda.driver.JCudaDriver.cuLaunchKernel;
import static jcuda.driver.JCudaDriver.cuMemAlloc;
import static jcuda.driver.JCudaDriver.cuMemFree;
import static jcuda.driver.JCudaDriver.cuMemcpyDtoH;
import static jcuda.driver.JCudaDriver.cuMemcpyHtoD;
import static jcuda.driver.JCudaDriver.cuModuleGetFunction;
import static jcuda.driver.JCudaDriver.cuModuleLoadData;
import static jcuda.driver.JCudaDriver.cuModuleUnload;

import dev.remask.cuda.SoftwareDevice;
import java.nio.charset.StandardCharsets;
import jcuda.Pointer;
import jcuda.Sizeof;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/// A program of JCuda's: it makes a context, copies, launches a kernel by its name. The only thing
/// it knows of Remask is where the library lies and what the kernel is called.
final class JCudaAlone {
  private static final int WIDTH = 4;

  private JCudaAlone() {}

  public static void main(String[] none) {
    System.load(SoftwareDevice.driverLibrary().toString());
    JCudaDriver.setExceptionsEnabled(true);
    cuInit(0);
    var device = new CUdevice();
    cuDeviceGet(device, 0);
    var context = new CUcontext();
    JCudaDriver.cuCtxCreate(context, 0, device);

    var module = new CUmodule();
    cuModuleLoadData(module, "REMASK-SOFTWARE-MODULE\ngather\n\0".getBytes(StandardCharsets.UTF_8));
    var gather = new CUfunction();
    cuModuleGetFunction(gather, module, "gather_rows_f32");

    float[] rows = new float[3 * WIDTH];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = i;
    }
    int[] wanted = {2, 0};
    float[] found = new float[wanted.length * WIDTH];
    CUdeviceptr in = upload(Pointer.to(rows), rows.length * (long) Sizeof.FLOAT);
    CUdeviceptr index = upload(Pointer.to(wanted), wanted.length * (long) Sizeof.INT);
    var out = new CUdeviceptr();
    cuMemAlloc(out, found.length * (long) Sizeof.FLOAT);
    Pointer parameters =
        Pointer.to(
            Pointer.to(out),
            Pointer.to(in),
            Pointer.to(index),
            Pointer.to(new int[] {wanted.length}),
            Pointer.to(new int[] {WIDTH}));
    cuLaunchKernel(gather, wanted.length, 1, 1, 32, 1, 1, 0, null, parameters, null);
    cuCtxSynchronize();
    cuMemcpyDtoH(Pointer.to(found), out, found.length * (long) Sizeof.FLOAT);

    var line = new StringBuilder("rows");
    for (float value : found) {
      line.append(' ').append(value);
    }
    System.out.println(line);
    cuMemFree(in);
    cuMemFree(index);
    cuMemFree(out);
    cuModuleUnload(module);
    cuCtxDestroy(context);
  }

  private static CUdeviceptr upload(Pointer values, long bytes) {
    var memory = new CUdeviceptr();
    cuMemAlloc(memory, bytes);
    cuMemcpyHtoD(memory, values, bytes);
    return memory;
  }
}
