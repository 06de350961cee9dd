package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.DeviceData;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.TestDevices;
import java.util.List;
import org.junit.jupiter.api.Test;

/// Launches that are observed and timed.
class LaunchRecorderTest {
  private static final int ROWS = 3;
  private static final int COLUMNS = 32;

  /// A gather to launch, with what it reads and writes.
  private static final class Gather implements AutoCloseable {
    private final Stream stream;
    private final Module module;
    private final DeviceMemory in;
    private final DeviceMemory index;
    private final DeviceMemory out;
    private final Kernel kernel;

    Gather(Context context) {
      stream = context.newStream();
      module = context.loadModule("gather");
      in = DeviceData.f32(context, stream, new float[ROWS * COLUMNS]);
      index = DeviceData.i32(context, stream, 2, 0, 1);
      out = context.allocate((long) ROWS * COLUMNS * Float.BYTES);
      kernel = KernelTest.gather(module);
      kernel.set(0, out.buffer()).set(1, in.buffer()).set(2, index.buffer());
      kernel.set(3, ROWS).set(4, COLUMNS);
    }

    void launch() {
      kernel.launch(stream, ROWS, 1, 1, 64, 0);
    }

    @Override
    public void close() {
      stream.synchronize();
      out.close();
      index.close();
      in.close();
      module.close();
      stream.close();
    }
  }

  @OnSoftwareDevices
  void launches_areToldInTheirOrder_withSizesAndTimes(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (var gather = new Gather(context)) {
        gather.launch(); // before the recording
        long before = System.nanoTime();
        List<LaunchRecorder.Launch> launches;
        try (var recorder = new LaunchRecorder(context, gather.stream)) {
          assertTrue(gather.stream.isObserved());
          gather.launch();
          gather.launch();
          launches = recorder.launches();
        }
        long after = System.nanoTime();
        gather.launch(); // behind it
        assertEquals(2, launches.size());
        long end = 0;
        for (LaunchRecorder.Launch launch : launches) {
          assertEquals("gather_rows_f32", launch.kernel());
          assertEquals(List.of(ROWS, COLUMNS), launch.sizes());
          assertTrue(launch.nanos() >= 0);
          assertTrue(launch.beginNanos() >= end, "one after the other");
          end = launch.beginNanos() + launch.nanos();
          assertTrue(launch.hostBeginNanos() > before);
          assertTrue(launch.hostBeginNanos() + launch.hostNanos() < after);
        }
        assertFalse(gather.stream.isObserved());
      }
    });
  }

  @GpuTest
  void launches_areToldInTheirOrder_withSizesAndTimes_gpu(DeviceSpec gpu) {
    launches_areToldInTheirOrder_withSizesAndTimes(gpu);
  }

  @Test
  void products_areToldWithTheirSizes() {
    Context context = TestDevices.context(TestDevices.software());
    context.run(() -> {
      try (Stream stream = context.newStream();
          BlasLt blas = BlasLt.open(context).orElseThrow();
          Matmul product = blas.matmul(MatmulType.F32_F32, 2, 3, 4, false);
          DeviceMemory a = DeviceData.f32(context, stream, new float[8]);
          DeviceMemory w = DeviceData.f32(context, stream, new float[12]);
          DeviceMemory out = context.allocate(6 * Float.BYTES);
          var recorder = new LaunchRecorder(context, stream)) {
        product.launch(stream, out.buffer(), a.buffer(), w.buffer());
        LaunchRecorder.Launch launch = recorder.launches().getFirst();
        assertEquals("cublasLtMatmul", launch.kernel());
        assertEquals(List.of(2, 3, 4), launch.sizes());
      }
    });
  }

  @Test
  void oneObserver_atATime() {
    Context context = TestDevices.context(TestDevices.software());
    context.run(() -> {
      try (Stream stream = context.newStream();
          var first = new LaunchRecorder(context, stream)) {
        assertThrows(IllegalStateException.class, () -> new LaunchRecorder(context, stream));
        assertTrue(stream.isObserved());
        assertEquals(List.of(), first.launches());
      }
    });
  }

  @Test
  void freeBytes_followAllocations() {
    try (Context context = TestDevices.newContext(TestDevices.software())) {
      long free = context.freeBytes();
      DeviceMemory memory = context.call(() -> context.allocate(1 << 20));
      assertEquals(free - (1 << 20), context.freeBytes());
      memory.close();
      assertEquals(free, context.freeBytes());
    }
  }
}
