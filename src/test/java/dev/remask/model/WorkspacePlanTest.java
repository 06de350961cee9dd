package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.kernel.DType;
import java.util.List;
import org.junit.jupiter.api.Test;

/// Buffers that live at the same time never share bytes.
class WorkspacePlanTest {
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(77, 33, 3);

  @Test
  void buffersOfOnePhase_areApart() {
    var config = ModelConfig.read(TestModels.micro());
    for (DType dtype : DType.values()) {
      var plan = new WorkspacePlan(config, dtype, Quantization.NONE, LIMITS);
      var lasting = List.of(plan.tables, plan.residual, plan.normed, plan.delta);
      assertApart(plan, lasting, List.of(plan.qkv, plan.attentionScratch));
      assertApart(plan, lasting, List.of(plan.gateUp, plan.activated));
      assertApart(
          plan, lasting, List.of(plan.rowResidual, plan.rowDelta, plan.rowNormed, plan.logits));
      assertApart(
          plan,
          lasting,
          List.of(
              plan.rowResidual, plan.rowDelta, plan.rowNormed, plan.rowGateUp, plan.rowActivated));
    }
  }

  @Test
  void phases_shareBytes() {
    var plan =
        new WorkspacePlan(
            ModelConfig.read(TestModels.micro()), DType.F32, Quantization.NONE, LIMITS);
    assertEquals(plan.qkv.offset(), plan.gateUp.offset());
    assertEquals(plan.qkv.offset(), plan.rowResidual.offset());
  }

  @Test
  void sizes_ofLlada8b() {
    var config =
        new ModelConfig(
            4096, 32, 32, 32, 12288, 126464, 126464, 4096, 500000, 1e-5f, false, 126336, 126081,
            126081, -1);
    var plan =
        new WorkspacePlan(config, DType.BF16, Quantization.NONE, new WorkspaceLimits(1024, 32, 1));
    // 1,024 tokens: residual 16 MiB, two activations of 8 MiB; gate, up and their product 72 MiB.
    long mebibyte = 1 << 20;
    assertEquals(104, plan.totalBytes() / mebibyte);
    assertEquals(32L * 126464 * 4, plan.logits.bytes());
  }

  private static void assertApart(
      WorkspacePlan plan, List<WorkspacePlan.Extent> lasting, List<WorkspacePlan.Extent> phase) {
    var all = new java.util.ArrayList<>(lasting);
    all.addAll(phase);
    long end = 0;
    for (WorkspacePlan.Extent extent : all) {
      assertEquals(0, extent.offset() % WeightLayout.ALIGNMENT);
      assertTrue(extent.offset() >= end);
      end = extent.offset() + extent.bytes();
    }
    assertTrue(end <= plan.totalBytes());
  }
}
