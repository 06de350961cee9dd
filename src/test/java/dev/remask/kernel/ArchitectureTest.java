package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Device;
import dev.remask.testing.TestDevices;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/// Which family of kernels a device gets.
class ArchitectureTest {
  private static final String SETTING = "remask.kernels";

  private final Device software = TestDevices.context(TestDevices.software()).device();
  private final Device emulator = TestDevices.context(TestDevices.emulator()).device();

  @AfterEach
  void restore() {
    System.clearProperty(SETTING);
  }

  @Test
  void devices_getTheNewestFamilyThatTheyRun() {
    assertEquals(Architecture.PORTABLE, Architecture.of(software));
    assertEquals(List.of(Architecture.PORTABLE), Architecture.runnable(software));
    assertEquals(Architecture.SM90A, Architecture.of(emulator));
    assertEquals(List.of(Architecture.values()), Architecture.runnable(emulator));
    assertEquals(90, emulator.computeCapability());
  }

  @Test
  void setting_lowersTheFamily() {
    for (Architecture family : Architecture.values()) {
      System.setProperty(SETTING, " " + family.toString().toUpperCase(java.util.Locale.ROOT));
      assertEquals(family, Architecture.of(emulator));
    }
    System.setProperty(SETTING, "auto");
    assertEquals(Architecture.SM90A, Architecture.of(emulator));
  }

  @Test
  void setting_thatTheDeviceCannotRunOrNobodyKnows_isRefused() {
    System.setProperty(SETTING, "sm_80");
    var impossible = assertThrows(IllegalArgumentException.class, () -> Architecture.of(software));
    assertTrue(impossible.getMessage().contains("sm_80"), impossible.getMessage());
    assertTrue(impossible.getMessage().contains("[portable]"), impossible.getMessage());
    System.setProperty(SETTING, "sm_70");
    var unknown = assertThrows(IllegalArgumentException.class, () -> Architecture.of(emulator));
    assertTrue(unknown.getMessage().contains("sm_70"), unknown.getMessage());
  }

  @Test
  void operations_f32_stayPortable() {
    KernelBench.on(
        TestDevices.emulator(),
        DType.F32,
        bench -> assertEquals(Architecture.PORTABLE, bench.operations.architecture()));
    var context = TestDevices.context(TestDevices.emulator());
    for (Architecture family : Architecture.values()) {
      try (var operations = Operations.load(context, DType.BF16, family)) {
        assertEquals(family, operations.architecture());
      }
      try (var operations = Operations.load(context, DType.F32, family)) {
        assertEquals(Architecture.PORTABLE, operations.architecture());
      }
    }
    assertThrows(
        IllegalArgumentException.class,
        () ->
            Operations.load(
                TestDevices.context(TestDevices.software()), DType.BF16, Architecture.SM80));
  }
}
