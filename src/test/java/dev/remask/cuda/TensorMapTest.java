package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.TensorMap.Element;
import dev.remask.cuda.TensorMap.Swizzle;
import dev.remask.testing.GpuTest;
import dev.remask.testing.TestDevices;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/// What a tensor map's numbers become, and which are refused.
class TensorMapTest {
  private static final int MAP_BYTES = 128;
  private static final int WARM_UP = 50_000;

  /// A map of rows of 64 bf16 in a buffer of 8 KiB, for tests to change.
  private final class Rows implements AutoCloseable {
    final Arena arena = Arena.ofConfined();
    final MemorySegment encoded = arena.allocate(MAP_BYTES, MAP_BYTES);
    final MemorySegment scratch = arena.allocate(TensorMap.SCRATCH_BYTES, 8);
    final DeviceMemory memory;
    final TensorMap map = TensorMap.tiled(Element.BF16, 2, Swizzle.BYTES_128);

    Rows(Context context) {
      memory = context.allocate(8192);
      map.at(memory.buffer()).dimension(0, 64, 64).dimension(1, 32, 256, 16);
    }

    void encode() {
      map.encode(encoded.address(), scratch, "a test");
    }

    @Override
    public void close() {
      memory.close();
      arena.close();
    }
  }

  private void withRows(DeviceSpec device, Consumer<Rows> body) {
    Context context = TestDevices.context(device);
    context.run(() -> {
      try (var rows = new Rows(context)) {
        body.accept(rows);
      }
    });
  }

  @Test
  void numbers_arriveInTheMap() {
    withRows(
        TestDevices.emulator(),
        rows -> {
          rows.map.at(rows.memory.slice(64, 8192 - 64)).dimension(1, 31, 256, 16);
          rows.encode();
          // native/driver/tensor_map.h
          MemorySegment map = rows.encoded;
          assertEquals(0x524d544d, map.get(ValueLayout.JAVA_INT, 0));
          assertEquals(2, map.get(ValueLayout.JAVA_BYTE, 4)); // rank
          assertEquals(2, map.get(ValueLayout.JAVA_BYTE, 5)); // element
          assertEquals(3, map.get(ValueLayout.JAVA_BYTE, 6)); // swizzle
          assertEquals(9, map.get(ValueLayout.JAVA_BYTE, 8)); // bf16
          assertEquals(
              rows.memory.buffer().address() + 64, map.get(ValueLayout.JAVA_LONG, 16)); // address
          assertEquals(64, map.get(ValueLayout.JAVA_LONG, 24)); // elements
          assertEquals(31, map.get(ValueLayout.JAVA_LONG, 32));
          assertEquals(64, map.get(ValueLayout.JAVA_INT, 64)); // box
          assertEquals(16, map.get(ValueLayout.JAVA_INT, 68));
          assertEquals(16, map.get(ValueLayout.JAVA_LONG, 88)); // stride / 16
        });
  }

  private void legalMapIsTaken(DeviceSpec device) {
    withRows(
        device,
        rows -> {
          rows.encode();
          assertTrue(rows.encoded.get(ValueLayout.JAVA_LONG, 0) != 0);
          rows.map.dimension(1, 32, 258, 16).at(rows.memory.buffer());
          assertThrows(RuntimeException.class, rows::encode);
        });
  }

  @Test
  void legalMap_isTaken_othersRefused() {
    legalMapIsTaken(TestDevices.emulator());
  }

  @GpuTest
  void legalMap_isTaken_othersRefused_gpu(DeviceSpec gpu) {
    if (TestDevices.context(gpu).device().computeCapability() >= 90) {
      legalMapIsTaken(gpu);
    }
  }

  @Test
  void tensorLargerThanItsBuffer_isRefusedHere() {
    withRows(
        TestDevices.emulator(),
        rows -> {
          rows.map.dimension(1, 32, 256, 16).at(rows.memory.slice(0, 31 * 256 + 128));
          rows.encode();
          rows.map.at(null);
          assertThrows(IllegalStateException.class, rows::encode);
          rows.map.at(rows.memory.slice(0, 31 * 256 + 127));
          var error = assertThrows(IllegalArgumentException.class, rows::encode);
          assertTrue(error.getMessage().contains("8064 bytes"), error.getMessage());
          assertTrue(error.getMessage().contains("64 x 32 every 256 bytes"), error.getMessage());
        });
  }

  @Test
  void numbersThatTheDriverRefuses_areToldWithItsReason() {
    withRows(
        TestDevices.emulator(),
        rows -> {
          rows.map.dimension(0, 128, 72).at(rows.memory.buffer());
          var error = assertThrows(CudaException.class, rows::encode);
          assertEquals("cuTensorMapEncodeTiled", error.function());
          assertEquals("CUDA_ERROR_INVALID_VALUE", error.errorName());
          assertTrue(error.getMessage().contains("144 bytes wide"), error.getMessage());
          assertTrue(error.getMessage().contains("TensorMap[BF16 128"), error.getMessage());
        });
    withRows(
        TestDevices.software(),
        rows -> {
          var error = assertThrows(CudaException.class, rows::encode);
          assertEquals("CUDA_ERROR_NOT_SUPPORTED", error.errorName());
        });
  }

  @Test
  void dimensionsThatDoNotExist_areRefused() {
    assertThrows(
        IllegalArgumentException.class, () -> TensorMap.tiled(Element.F32, 0, Swizzle.NONE));
    assertThrows(
        IllegalArgumentException.class, () -> TensorMap.tiled(Element.F32, 6, Swizzle.NONE));
    TensorMap map = TensorMap.tiled(Element.F32, 2, Swizzle.NONE);
    assertThrows(IndexOutOfBoundsException.class, () -> map.dimension(2, 1, 16, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> map.dimension(-1, 1, 16, 1));
    assertThrows(IllegalArgumentException.class, () -> map.dimension(1, 1, 1));
  }

  @Test
  void encodingAgain_allocatesNothing() {
    var threads =
        (com.sun.management.ThreadMXBean) java.lang.management.ManagementFactory.getThreadMXBean();
    withRows(
        TestDevices.emulator(),
        rows -> {
          for (int i = 0; i < WARM_UP; i++) {
            rows.encode();
          }
          long before = threads.getCurrentThreadAllocatedBytes();
          for (int i = 0; i < 1000; i++) {
            rows.map.at(rows.memory.buffer()).dimension(1, 1 + i % 32, 256, 16);
            rows.encode();
          }
          long bytes = threads.getCurrentThreadAllocatedBytes() - before;
          assertTrue(bytes < 1000 * 16, bytes + " bytes in 1000 calls");
        });
  }
}
