package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.DeviceData;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.lang.foreign.ValueLayout;

class MemoryTest {
  @OnSoftwareDevices
  void copies_roundTripThroughDeviceMemory(DeviceSpec spec) {
    Seed seed = Seed.fresh();
    int[] values = seed.ints(1001, Integer.MAX_VALUE);
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          DeviceMemory first = DeviceData.i32(context, stream, values);
          DeviceMemory second = context.allocate(first.bytes())) {
        stream.copy(second.buffer(), first.buffer(), first.bytes());
        assertArrayEquals(
            values, DeviceData.readI32(context, stream, second.buffer()), seed.toString());
      }
    });
  }

  @GpuTest
  void copies_roundTripThroughDeviceMemory_gpu(DeviceSpec gpu) {
    copies_roundTripThroughDeviceMemory(gpu);
  }

  @OnSoftwareDevices
  void copiesAndFills_touchOnlyTheirRange(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          DeviceMemory memory = context.allocate(10);
          PinnedMemory pinned = context.allocatePinned(10)) {
        pinned.segment().fill((byte) 7);
        stream.fill(memory.buffer(), (byte) -1);
        stream.fill(memory.slice(1, 3), (byte) 5);
        stream.copyToDevice(memory.slice(5, 2), pinned, 8, 2);
        assertArrayEquals(
            new byte[] {-1, 5, 5, 5, -1, 7, 7, -1, -1, -1},
            DeviceData.readBytes(context, stream, memory.buffer()));
        stream.copyToHost(pinned, 3, memory.slice(4, 3), 3);
        stream.synchronize();
        assertArrayEquals(
            new byte[] {7, 7, 7, -1, 7, 7, 7, 7, 7, 7},
            pinned.segment().toArray(ValueLayout.JAVA_BYTE));
      }
    });
  }

  @GpuTest
  void copiesAndFills_touchOnlyTheirRange_gpu(DeviceSpec gpu) {
    copiesAndFills_touchOnlyTheirRange(gpu);
  }

  @OnSoftwareDevices
  void ranges_outsideTheMemoryAreRefusedBeforeTheDriverSeesThem(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          DeviceMemory memory = context.allocate(64);
          PinnedMemory pinned = context.allocatePinned(32)) {
        DeviceBuffer all = memory.buffer();
        refused(() -> all.slice(60, 5));
        refused(() -> all.slice(-1, 5));
        refused(() -> all.slice(8, 8).slice(0, 9));
        refused(() -> stream.copyToDevice(all, pinned, 0, 33));
        refused(() -> stream.copyToDevice(all, pinned, 32, 1));
        refused(() -> stream.copyToDevice(all, pinned, Long.MAX_VALUE, 8));
        refused(() -> stream.copyToDevice(memory.slice(60, 4), pinned, 0, 5));
        refused(() -> stream.copyToHost(pinned, -1, all, 8));
        refused(() -> stream.copyToHost(pinned, 0, all, -8));
        refused(() -> stream.copy(all, memory.slice(0, 8), 9));
      }
    });
  }

  @OnSoftwareDevices
  void allocate_refusesSizesThatCannotBe(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      assertThrows(IllegalArgumentException.class, () -> context.allocate(0));
      assertThrows(IllegalArgumentException.class, () -> context.allocatePinned(-1));
      var error = assertThrows(CudaException.class, () -> context.allocate(1L << 60));
      assertEquals("cuMemAlloc_v2", error.function());
      assertEquals("CUDA_ERROR_OUT_OF_MEMORY", error.errorName());
      assertEquals(2, error.code());
      assertTrue(error.getMessage().contains("bytes=" + (1L << 60)), error.getMessage());
    });
  }

  @GpuTest
  void allocate_refusesSizesThatCannotBe_gpu(DeviceSpec gpu) {
    allocate_refusesSizesThatCannotBe(gpu);
  }

  @OnSoftwareDevices
  void deviceBytesInUse_countsWhatIsAllocated(DeviceSpec spec) {
    try (Context context = TestDevices.newContext(spec)) {
      context.run(() -> {
        assertEquals(0, context.deviceBytesInUse());
        DeviceMemory first = context.allocate(1000);
        DeviceMemory second = context.allocate(24);
        assertEquals(1024, context.deviceBytesInUse());
        first.close();
        assertEquals(24, context.deviceBytesInUse());
        second.close();
        second.close();
        assertEquals(0, context.deviceBytesInUse());
      });
    }
  }

  private static void refused(Runnable use) {
    assertThrows(IndexOutOfBoundsException.class, use::run);
  }
}
