package dev.remask.embed;

import dev.remask.GenerateRequest;
import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.cuda.Attachment;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.DType;
import dev.remask.model.WeightMemory;
import java.nio.file.Path;
import java.util.Arrays;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/// A program of JCuda's with a context, a stream and memory of its own, into which models are
/// loaded: they answer as elsewhere, and leave all of it as it was.
final class RemaskInJCuda {
  private RemaskInJCuda() {}

  public static void main(String[] folder) {
    Path micro = Path.of(folder[0]);
    LoadOptions options = LoadOptions.defaults().withDevice(DeviceSpec.parse("software"));
    Device.open(options.device());
    System.load(SoftwareDevice.driverLibrary().toString());
    JCudaDriver.setExceptionsEnabled(true);
    JCudaDriver.cuInit(0);
    var device = new CUdevice();
    JCudaDriver.cuDeviceGet(device, 0);
    var context = new Context();
    JCudaDriver.cuCtxCreate(context, 0, device);
    var stream = new Stream();
    JCudaDriver.cuStreamCreate(stream, 1);
    long bytes = Remask.weightBytes(micro, DType.F32);
    var weights = new CUdeviceptr();
    JCudaDriver.cuMemAlloc(weights, bytes);

    int[] own;
    try (Model model = Remask.load(micro, options.withDType(DType.F32))) {
      own = answer(model);
    }
    long allocations = SoftwareDevice.liveAllocations();
    Attachment theirs = Attachment.to(context.value()).withStream(stream.value());
    LoadOptions attached =
        options
            .withDType(DType.F32)
            .withAttachment(theirs)
            .withWeightMemory(new WeightMemory(new Address(weights).value(), bytes, false));
    try (Model model = Remask.load(micro, attached)) {
      System.out.println("the same answer: " + Arrays.equals(own, answer(model)));
    }
    System.out.println("left behind: " + (SoftwareDevice.liveAllocations() - allocations));

    // All that JCuda had is there and works.
    int[] words = {1, 2, 3};
    int[] read = new int[3];
    JCudaDriver.cuMemcpyHtoDAsync(weights, Pointer.to(words), 12, stream);
    JCudaDriver.cuMemcpyDtoHAsync(Pointer.to(read), weights, 12, stream);
    JCudaDriver.cuStreamSynchronize(stream);
    System.out.println("still JCuda's: " + Arrays.equals(words, read));
    JCudaDriver.cuMemFree(weights);
    JCudaDriver.cuStreamDestroy(stream);
    JCudaDriver.cuCtxDestroy(context);
  }

  private static int[] answer(Model model) {
    return model
        .generate(
            GenerateRequest.builder()
                .promptIds(1, 2, 3)
                .options(DiffusionOptions.builder().genLength(12).build())
                .build())
        .outputIds();
  }

  /// JCuda's handles, with the numbers in them, which only subclasses see.
  private static final class Context extends CUcontext {
    long value() {
      return getNativePointer();
    }
  }

  private static final class Stream extends CUstream {
    long value() {
      return getNativePointer();
    }
  }

  private static final class Address extends CUdeviceptr {
    Address(CUdeviceptr pointer) {
      super(pointer);
    }

    long value() {
      return getNativePointer() + getByteOffset();
    }
  }
}
