package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.testing.TestDevices;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/// Launchers refuse shapes that the buffers do not hold, in words, before anything is launched.
class LaunchCheckTest {
  private static void onSoftware(Consumer<KernelBench> body) {
    KernelBench.on(TestDevices.software(), DType.F32, body);
  }

  private static void refused(String message, Executable launch) {
    long launches = SoftwareDevice.callCount("cuLaunchKernel");
    var e = assertThrows(IllegalArgumentException.class, launch);
    assertTrue(e.getMessage().contains(message), e.getMessage());
    assertEquals(launches, SoftwareDevice.callCount("cuLaunchKernel"), "nothing was launched");
  }

  @Test
  void launch_namesBufferAndShape_whereABufferIsTooSmall() {
    onSoftware(bench -> {
      DeviceBuffer small = bench.poison(DType.F32, 6).buffer();
      DeviceBuffer large = bench.poison(DType.F32, 1000).buffer();
      Operations o = bench.operations;
      var stream = bench.stream;
      refused(
          "embed: residual holds 24 bytes; [1, 7] elements of 4 bytes are wanted",
          () -> o.embedding().launch(stream, small, large, large, large, 1, 7));
      refused(
          "embed: tokenIndex",
          () -> o.embedding().launch(stream, large, large, large, small, 7, 1));
      refused(
          "rmsnorm: delta",
          () -> o.rmsNorm().launch(stream, large, large, small, large, 1, 7, 1e-5f));
      refused(
          "rmsnorm: weight",
          () -> o.rmsNorm().launch(stream, large, large, null, small, 1, 7, 1e-5f));
      refused("swiglu: gateUp", () -> o.swiGlu().launch(stream, large, small, 1, 4));
      refused(
          "gather_rows: out",
          () -> o.gatherRows().launch(stream, small, large, large, 2, 4, DType.F32));
      refused(
          "store_kv: v holds",
          () ->
              o.storeKv()
                  .launch(stream, large, large, large, small, large, new StoreKv.Shape(2, 4, 4)));
      refused(
          "store_kv: k rows of 4 elements overlap",
          () ->
              o.storeKv()
                  .launch(stream, large, large, large, large, large, new StoreKv.Shape(2, 4, 3)));
      refused(
          "rope: qkv",
          () -> o.rope().launch(stream, small, large, large, 2, new Rope.Shape(4, 1, 4)));
      var shape = new Attention.Shape(1, 2, 2, 2, 1, 1, 64, 64, 64, 64);
      AttentionWork work = o.attention().work(new int[] {2}, new int[] {2});
      refused(
          "attention: k",
          () ->
              o.attention()
                  .launch(
                      stream,
                      new Attention.Buffers(
                          large, large, small, large, large, large, null, null, null),
                      shape,
                      work));
      refused(
          "attention: the work is for 1 sequences of up to 2 queries, 2 queries and 2 keys",
          () ->
              o.attention()
                  .launch(
                      stream,
                      new Attention.Buffers(
                          large, large, large, large, large, large, null, null, null),
                      new Attention.Shape(1, 2, 2, 1, 1, 1, 64, 64, 64, 64),
                      work));
      refused(
          "attention: lse is written by the tensor-core kernels only",
          () ->
              o.attention()
                  .launch(
                      stream,
                      new Attention.Buffers(
                          large, large, large, large, large, large, null, null, large),
                      shape,
                      work));
      try (Gemm.Plan plan = o.gemm().plan(MatmulType.F32_F32, 2, 3, 4)) {
        refused("gemm: w", () -> plan.launch(stream, large, large, Weight.rows(small, 3, 4)));
        refused("gemm: w", () -> plan.launch(stream, large, large, Weight.rows(large, 4, 3)));
        var packed = new Weight(large, 3, 4, Weight.Layout.PACKED, null);
        refused("gemm: w", () -> plan.launch(stream, large, large, packed));
      }
      refused(
          "select: partials",
          () ->
              o.maskedSelect()
                  .launch(
                      stream,
                      new MaskedSelect.Buffers(large, large, large, null, small, large, large),
                      2,
                      8,
                      new SpecialTokens(8, 0, -1, -1)));
      var tokens = new SpecialTokens(8, 0, -1, -1);
      refused(
          "layRows: members",
          () ->
              o.layRows()
                  .launch(
                      stream,
                      new LayRows.Buffers(large, large, large, large, large, large, large, small),
                      2,
                      0));
      refused(
          "commit: members",
          () ->
              o.commit()
                  .launch(
                      stream,
                      new Commit.Buffers(
                          large, large, large, large, large, large, large, large, large, large,
                          small),
                      2,
                      tokens));
      refused(
          "select: floors",
          () ->
              o.maskedSelect()
                  .launch(
                      stream,
                      new MaskedSelect.Buffers(large, large, large, small, large, large, large),
                      7,
                      8,
                      tokens));
      refused(
          "odds: keys",
          () ->
              o.targetOdds()
                  .launch(
                      stream,
                      new TargetOdds.Buffers(large, large, large, small, large),
                      7,
                      8,
                      tokens));
      refused(
          "restrict: sequences holds 24 bytes",
          () ->
              o.restrictTokens()
                  .launch(
                      stream,
                      new RestrictTokens.Buffers(large, large, small, large),
                      1,
                      8,
                      tokens));
      refused(
          "constrain: logits",
          () ->
              o.constrain()
                  .launch(
                      stream,
                      new Constrain.Buffers(small, large, large, large, large, large, large),
                      1,
                      8,
                      tokens));
    });
  }

  /// On the kernels that need them; the others bring null.
  @Test
  void attention_wantsWorkAndScratch_whereItsKernelsReadThem() {
    KernelBench.on(
        TestDevices.emulator(),
        DType.BF16,
        Architecture.SM80,
        bench -> {
          Attention attention = bench.operations.attention();
          DeviceBuffer any = bench.poison(DType.F32, 64_000).buffer();
          AttentionWork work = attention.work(new int[] {4}, new int[] {300});
          var shape = new Attention.Shape(1, 4, 4, 300, 1, 1, 64, 64, 64, 64);
          refused(
              "attention: work is null; 24 elements of 4 bytes are wanted",
              () ->
                  attention.launch(
                      bench.stream,
                      new Attention.Buffers(any, any, any, any, any, any, null, null, null),
                      shape,
                      work));
          refused(
              "attention: scratch is null; 528 elements of 4 bytes are wanted",
              () ->
                  attention.launch(
                      bench.stream,
                      new Attention.Buffers(any, any, any, any, any, any, any, null, null),
                      shape,
                      work));
        });
  }

  @Test
  void launch_refusesZeroRows_andShapesThatCannotBe() {
    onSoftware(bench -> {
      DeviceBuffer any = bench.poison(DType.F32, 1000).buffer();
      Operations o = bench.operations;
      refused("rows is 0", () -> o.embedding().launch(bench.stream, any, any, any, any, 0, 4));
      refused("width is 0", () -> o.swiGlu().launch(bench.stream, any, any, 4, 0));
      refused("m is 0", () -> o.gemm().plan(MatmulType.F32_F32, 0, 1, 1));
      refused("headDim is 7", () -> new Rope.Shape(64, 1, 7));
      refused("do not fit rows of 64", () -> new Rope.Shape(64, 2, 64));
      refused("headDim is 96", () -> new Attention.Shape(1, 1, 1, 1, 1, 1, 96, 96, 96, 96));
      refused(
          "3 heads do not share 2 K/V heads",
          () -> new Attention.Shape(1, 1, 1, 1, 3, 2, 64, 512, 512, 512));
      refused(
          "a vocabulary of 9 ids in rows of 8 logits",
          () ->
              o.maskedSelect()
                  .launch(
                      bench.stream,
                      new MaskedSelect.Buffers(any, any, any, any, any, any, any),
                      1,
                      8,
                      new SpecialTokens(9, 0, -1, -1)));
      refused(
          "rows is 65536; a launch takes at most 65535",
          () ->
              o.maskedSelect()
                  .launch(
                      bench.stream,
                      new MaskedSelect.Buffers(any, any, any, any, any, any, any),
                      65_536,
                      8,
                      new SpecialTokens(8, 0, -1, -1)));
    });
  }

  @Test
  void operations_leaveNothingBehind_whenClosed() {
    long before = SoftwareDevice.liveBytes();
    onSoftware(bench -> assertEquals(DType.F32, bench.operations.dtype()));
    assertEquals(before, SoftwareDevice.liveBytes());
  }
}
