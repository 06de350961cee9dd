package dev.remask.cuda;

import static dev.remask.cuda.Kernel.Parameter.F32;
import static dev.remask.cuda.Kernel.Parameter.I32;
import static dev.remask.cuda.Kernel.Parameter.I64;
import static dev.remask.cuda.Kernel.Parameter.POINTER;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.DeviceData;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;

/// Modules, parameters and launches, shown on the row gather.
class KernelTest {
  static Kernel gather(Module module) {
    return module.kernel("gather_rows_f32", POINTER, POINTER, POINTER, I32, I32);
  }

  @OnSoftwareDevices
  void launch_runsTheKernelWithItsArguments(DeviceSpec spec) {
    Seed seed = Seed.fresh();
    float[] values = seed.normals(5 * 33, 1);
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          Module module = context.loadModule("gather");
          DeviceMemory in = DeviceData.f32(context, stream, values);
          DeviceMemory index = DeviceData.i32(context, stream, 4, 0, 4);
          DeviceMemory out = context.allocate(3 * 33 * Float.BYTES)) {
        Kernel gather = gather(module);
        gather.set(0, out.buffer()).set(1, in.buffer()).set(2, index.buffer());
        gather.set(3, 3).set(4, 33).launch(stream, 3, 1, 1, 64, 0);
        float[] expected = new float[3 * 33];
        System.arraycopy(values, 4 * 33, expected, 0, 33);
        System.arraycopy(values, 0, expected, 33, 33);
        System.arraycopy(values, 4 * 33, expected, 66, 33);
        assertArrayEquals(
            expected, DeviceData.readF32(context, stream, out.buffer()), seed.toString());
      }
    });
  }

  @GpuTest
  void launch_runsTheKernelWithItsArguments_gpu(DeviceSpec gpu) {
    launch_runsTheKernelWithItsArguments(gpu);
  }

  @OnSoftwareDevices
  void kernel_checksTheDeclaredParameters(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Module module = context.loadModule("gather")) {
        mismatch(module, "it has more than 4", POINTER, POINTER, POINTER, I32);
        mismatch(module, "it has only 5", POINTER, POINTER, POINTER, I32, I32, I32);
        mismatch(module, "parameter 3", POINTER, POINTER, POINTER, I64, I32);
        mismatch(module, "parameter 2", POINTER, POINTER, F32, I32, I32);
        var error =
            assertThrows(CudaException.class, () -> module.kernel("no_such_kernel", POINTER));
        assertEquals("CUDA_ERROR_NOT_FOUND", error.errorName());
        assertTrue(error.getMessage().contains("no_such_kernel"), error.getMessage());
      }
    });
  }

  @GpuTest
  void kernel_checksTheDeclaredParameters_gpu(DeviceSpec gpu) {
    kernel_checksTheDeclaredParameters(gpu);
  }

  @OnSoftwareDevices
  void arguments_ofTheWrongTypeOrNeverSetAreRefused(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          Module module = context.loadModule("gather");
          DeviceMemory memory = context.allocate(64)) {
        Kernel gather = gather(module);
        assertThrows(IllegalArgumentException.class, () -> gather.set(0, 1));
        assertThrows(IllegalArgumentException.class, () -> gather.set(3, memory.buffer()));
        assertThrows(IllegalArgumentException.class, () -> gather.set(3, 1f));
        assertThrows(IllegalArgumentException.class, () -> gather.setInts(3, 1, 2, 3, 4));
        assertThrows(IndexOutOfBoundsException.class, () -> gather.set(5, 1));
        gather.set(0, memory.buffer()).set(1, memory.buffer()).set(2, memory.buffer());
        gather.set(3, 1);
        var error =
            assertThrows(IllegalStateException.class, () -> gather.launch(stream, 1, 1, 1, 32, 0));
        assertTrue(error.getMessage().contains("parameter 4"), error.getMessage());
      }
    });
  }

  @OnSoftwareDevices
  void launch_refusedByTheDriverTellsTheConfiguration(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          Module module = context.loadModule("gather");
          DeviceMemory memory = context.allocate(64)) {
        Kernel gather = gather(module);
        gather.set(0, memory.buffer()).set(1, memory.buffer()).set(2, memory.buffer());
        gather.set(3, 1).set(4, 1);
        var error =
            assertThrows(CudaException.class, () -> gather.launch(stream, 1, 1, 1, 4096, 0));
        assertEquals("cuLaunchKernel", error.function());
        assertTrue(error.getMessage().contains("gather_rows_f32"), error.getMessage());
        assertTrue(error.getMessage().contains("block 4096"), error.getMessage());
      }
    });
  }

  @GpuTest
  void launch_refusedByTheDriverTellsTheConfiguration_gpu(DeviceSpec gpu) {
    launch_refusedByTheDriverTellsTheConfiguration(gpu);
  }

  private static void mismatch(Module module, String what, Kernel.Parameter... layout) {
    var error =
        assertThrows(
            IllegalArgumentException.class, () -> module.kernel("gather_rows_f32", layout));
    assertTrue(error.getMessage().contains(what), error.getMessage());
    assertTrue(error.getMessage().contains("gather_rows_f32"), error.getMessage());
  }
}
