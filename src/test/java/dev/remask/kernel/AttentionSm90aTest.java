package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/// The launcher of the sm_90a kernels: their choice, tiles, tensor maps. Their proof over random
/// shapes is native/emulator/proofs/attention_proof.cpp.
class AttentionSm90aTest {
  private static final String PROPERTY = "remask.attention";

  @Test
  void choice_isOverlap_unlessTheSettingSaysSimple() {
    assertEquals(AttentionSm90a.Choice.OVERLAP, with("auto", AttentionSm90a.Choice::configured));
    assertEquals(AttentionSm90a.Choice.OVERLAP, with("overlap", AttentionSm90a.Choice::configured));
    assertEquals(AttentionSm90a.Choice.SIMPLE, with(" Simple", AttentionSm90a.Choice::configured));
    var refused =
        assertThrows(
            IllegalArgumentException.class,
            () -> with("pingpong", AttentionSm90a.Choice::configured));
    assertTrue(refused.getMessage().contains("auto, simple or overlap"), refused.getMessage());
  }

  @Test
  void plans_fitTheSharedMemoryOfACta_andShareATileOfQueries() {
    for (AttentionSm90a.Choice choice : AttentionSm90a.Choice.values()) {
      for (AttentionSm90a.Plan plan : choice.plans()) {
        assertTrue(plan.sharedBytes() <= 227 * 1024, plan::toString);
        assertEquals(choice.queryTile(), plan.queryTile(), plan::toString);
      }
    }
  }

  @Test
  void simpleKernels_matchDoubleReference_aroundTheirTiles() {
    matchesDoubleReference(TestDevices.emulator(), "simple");
  }

  @GpuTest
  void simpleKernels_matchDoubleReference_aroundTheirTiles_gpu(DeviceSpec gpu) {
    matchesDoubleReference(gpu, "simple");
  }

  @Test
  void overlappedKernels_matchDoubleReference_aroundTheirTiles() {
    matchesDoubleReference(TestDevices.emulator(), "overlap");
  }

  @GpuTest
  void overlappedKernels_matchDoubleReference_aroundTheirTiles_gpu(DeviceSpec gpu) {
    matchesDoubleReference(gpu, "overlap");
  }

  private static void matchesDoubleReference(DeviceSpec device, String choice) {
    assumeTrue(
        KernelBench.architectures(device, DType.BF16).contains(Architecture.SM90A),
        device + " cannot run the sm_90a kernels");
    Seed seed = Seed.fresh();
    with(
        choice,
        () -> {
          KernelBench.on(
              device,
              DType.BF16,
              Architecture.SM90A,
              bench -> {
                for (int headDim : new int[] {64, 128}) {
                  // Tiles have 128 or 192 queries of 64 a warpgroup, and 128, 176 or 192 keys.
                  var heads = new AttentionTest.Heads(2, 1, headDim, 8);
                  AttentionTest.compares(
                      bench,
                      seed,
                      heads,
                      1,
                      new int[] {1, 63, 65, 128, 193},
                      new int[] {129, 1, 175, 193, 0});
                  AttentionTest.compares(
                      bench, seed, heads, 1, new int[] {5, 64, 129}, new int[] {600, 577, 355});
                }
              });
          return null;
        });
  }

  private static <T> T with(String choice, Supplier<T> body) {
    String before = System.getProperty(PROPERTY);
    System.setProperty(PROPERTY, choice);
    try {
      return body.get();
    } finally {
      if (before == null) {
        System.clearProperty(PROPERTY);
      } else {
        System.setProperty(PROPERTY, before);
      }
    }
  }
}
