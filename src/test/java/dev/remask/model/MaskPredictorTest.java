package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.Graph;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.kernel.DType;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Batches: packing, capture, reuse of the workspace, limits, closing.
class MaskPredictorTest {
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(64, 32, 4);
  private static final RandomModel MODEL = RandomModel.small(TensorType.F32, 77);

  @TempDir private Path folder;

  private MaskPredictor load(Context context, DType dtype) throws IOException {
    MODEL.write(folder, 1);
    return MaskPredictor.load(context, folder, dtype, LIMITS, ProgressListener.NONE);
  }

  /// Our own GEMM sums each output in an order that does not depend on the other rows; a library's
  /// may, so it is held to a tolerance elsewhere.
  @Test
  void packing_changesNoBit_withOurOwnGemm() throws IOException {
    Context context = TestDevices.context(TestDevices.emulator());
    try (var predictor = load(context, DType.F32)) {
      assertEquals("own", predictor.operations().gemmName());
      int[] ids = MODEL.randomIds(13);
      float[] alone = PackedForward.run(context, predictor, ids);
      int[] rows = IntStream.range(7, 20).toArray();
      float[] packed =
          PackedForward.run(
              context, predictor, List.of(MODEL.randomIds(7), ids, MODEL.randomIds(5)), rows);
      assertArrayEquals(alone, packed);
    }
  }

  @OnSoftwareDevices
  void rows_areThoseOfTheIndex(DeviceSpec device) throws IOException {
    Context context = TestDevices.context(device);
    try (var predictor = load(context, DType.F32)) {
      int e = MODEL.embeddingSize();
      int[] ids = MODEL.randomIds(17);
      float[] all = PackedForward.run(context, predictor, ids);
      int[] rows = {16, 0, 5, 5};
      float[] some = PackedForward.run(context, predictor, List.of(ids), rows);
      for (int r = 0; r < rows.length; r++) {
        float[] expected = Arrays.copyOfRange(all, rows[r] * e, (rows[r] + 1) * e);
        float[] found = Arrays.copyOfRange(some, r * e, (r + 1) * e);
        assertArrayEquals(expected, found, 1e-5f);
      }
    }
  }

  @OnSoftwareDevices
  void forward_isCapturedAndReplayed(DeviceSpec device) throws IOException {
    Context context = TestDevices.context(device);
    try (var predictor = load(context, DType.BF16)) {
      int[] first = MODEL.randomIds(9);
      int[] second = Arrays.stream(first).map(id -> (id + 1) % MODEL.vocabSize()).toArray();
      int[] rows = {0, 8};
      float[] expectedFirst = PackedForward.run(context, predictor, List.of(first), rows);
      float[] expectedSecond = PackedForward.run(context, predictor, List.of(second), rows);
      context.run(() -> {
        try (var canvas = PackedForward.canvas(context, predictor)) {
          Batch batch = predictor.prepare(PackedForward.shape(2, 9), canvas.buffer());
          try (Graph graph = predictor.stream().capture(batch::forward)) {
            for (var pair :
                List.of(List.of(first, expectedFirst), List.of(second, expectedSecond))) {
              PackedForward.fill(
                  context, predictor, canvas.buffer(), batch, List.of((int[]) pair.get(0)), rows);
              graph.launch(predictor.stream());
              float[] logits = PackedForward.logits(context, predictor, batch);
              assertArrayEquals((float[]) pair.get(1), logits);
            }
          }
        }
      });
    }
  }

  /// The workspace is full of an earlier batch's numbers: none of them may reach the next.
  @OnSoftwareDevices
  void smallBatch_afterLargeOne_isUnchanged(DeviceSpec device) throws IOException {
    Context context = TestDevices.context(device);
    try (var predictor = load(context, DType.BF16)) {
      int[] ids = MODEL.randomIds(5);
      float[] fresh = PackedForward.run(context, predictor, ids);
      int[] rows = IntStream.range(0, LIMITS.maxRows()).toArray();
      var large = List.of(MODEL.randomIds(30), MODEL.randomIds(20), MODEL.randomIds(14));
      PackedForward.run(context, predictor, large, rows);
      assertArrayEquals(fresh, PackedForward.run(context, predictor, ids));
    }
  }

  @GpuTest
  void batches_onGpu(DeviceSpec gpu) throws IOException {
    rows_areThoseOfTheIndex(gpu);
    forward_isCapturedAndReplayed(gpu);
    smallBatch_afterLargeOne_isUnchanged(gpu);
  }

  @Test
  void forward_allocatesNothingOnTheDevice() throws IOException {
    Context context = TestDevices.context(TestDevices.software());
    try (var predictor = load(context, DType.BF16)) {
      long used = context.deviceBytesInUse();
      assertTrue(predictor.plannedBytes() <= used);
      PackedForward.run(context, predictor, MODEL.randomIds(LIMITS.maxRows()));
      assertEquals(used, context.deviceBytesInUse());
    }
  }

  @Test
  void prepare_refusesWhatExceedsTheLimits() throws IOException {
    Context context = TestDevices.context(TestDevices.software());
    try (var predictor = load(context, DType.F32)) {
      assertRefused(predictor, "a pass of 0 sequences", 1);
      assertRefused(predictor, "5 sequences", 1, 1, 1, 1, 1, 1);
      assertRefused(predictor, "1 sequences and 0 rows", 0, 9);
      assertRefused(predictor, "33 rows", 33, 9);
      assertRefused(predictor, "0 queries from position 0 of 0", 1, 3, 0);
      assertRefused(predictor, "-1 queries", 1, -1);
      assertRefused(predictor, "641 tokens of one sequence; wanted: 1 to 640", 1, 641);
      assertRefused(predictor, "65 tokens; wanted: 1 to 64", 1, 32, 33);
    }
  }

  private static void assertRefused(
      MaskPredictor predictor, String message, int rows, int... lengths) {
    var refusal =
        assertThrows(IllegalArgumentException.class, () -> prepare(predictor, rows, lengths));
    assertTrue(refusal.getMessage().contains(message), refusal.getMessage());
  }

  /// Prepares a pass over a canvas that is never read.
  private static Batch prepare(MaskPredictor predictor, int rows, int... lengths) {
    return predictor.prepare(PackedForward.shape(rows, lengths), predictor.workspace().buffer());
  }

  /// Each allocation of a load fails once, the cache's among them.
  @Test
  void loadWithoutMemory_leavesNothing() throws IOException {
    MODEL.write(folder, 1);
    var limits = new WorkspaceLimits(64, 32, 4, 500);
    try (Context context = TestDevices.newContext(TestDevices.software())) {
      for (String call :
          List.of("cuMemAlloc", "cuMemHostAlloc", "cuEventCreate", "cuMemsetD8Async")) {
        long live = SoftwareDevice.liveAllocations();
        int failed = 0;
        for (boolean loaded = false; !loaded; ) {
          SoftwareDevice.setFault(call + ":" + (failed + 1) + ":OUT_OF_MEMORY");
          try (var predictor =
              MaskPredictor.load(context, folder, DType.BF16, limits, ProgressListener.NONE)) {
            loaded = true;
          } catch (CudaException e) {
            failed++;
          } finally {
            SoftwareDevice.setFault(null);
          }
          assertEquals(0, context.deviceBytesInUse(), call + " " + failed);
          assertEquals(live, SoftwareDevice.liveAllocations(), call + " " + failed);
        }
        assertTrue(failed > 0, call + " was never made");
      }
    }
  }

  @Test
  void cache_isPlannedAtLoad() throws IOException {
    MODEL.write(folder, 1);
    try (Context context = TestDevices.newContext(TestDevices.software())) {
      long without;
      try (var predictor = load(context, DType.BF16)) {
        without = predictor.plannedBytes();
      }
      var limits =
          new WorkspaceLimits(LIMITS.maxTokens(), LIMITS.maxRows(), LIMITS.maxSequences(), 1000);
      try (var predictor =
          MaskPredictor.load(context, folder, DType.BF16, limits, ProgressListener.NONE)) {
        long layer = 2L * 1000 * MODEL.kvHeads() * MODEL.headDim() * Short.BYTES;
        long planned = predictor.plannedBytes() - without;
        assertTrue(planned >= MODEL.layers() * layer, planned + " bytes");
        // What attention over split keys may leave lies where the feed-forward's buffers do.
        assertTrue(planned < 2 * MODEL.layers() * layer, planned + " bytes");
        assertTrue(context.deviceBytesInUse() >= predictor.plannedBytes());
      }
    }
  }

  @Test
  void limits_mustBePositive() {
    assertThrows(IllegalArgumentException.class, () -> new WorkspaceLimits(0, 1, 1));
    assertThrows(IllegalArgumentException.class, () -> new WorkspaceLimits(1, -1, 1));
    assertThrows(IllegalArgumentException.class, () -> new WorkspaceLimits(1, 1, 0));
    assertThrows(IllegalArgumentException.class, () -> new WorkspaceLimits(1, 1, 1, -1));
  }

  @Test
  void earlierBatch_isRefused() throws IOException {
    Context context = TestDevices.context(TestDevices.software());
    try (var predictor = load(context, DType.F32)) {
      Batch earlier = prepare(predictor, 1, 3);
      prepare(predictor, 1, 4);
      assertThrows(IllegalStateException.class, earlier::forward);
    }
  }

  @Test
  void manyShapes_keepMemoryBounded() throws IOException {
    try (Context context = TestDevices.newContext(TestDevices.software())) {
      long before = context.deviceBytesInUse();
      try (var predictor = load(context, DType.F32)) {
        for (int length = 1; length <= LIMITS.maxTokens(); length++) {
          prepare(predictor, 1, length);
        }
        PackedForward.run(context, predictor, MODEL.randomIds(3));
      }
      assertEquals(before, context.deviceBytesInUse());
    }
  }

  @Test
  void close_freesAll_andEndsUse() throws IOException {
    try (Context context = TestDevices.newContext(TestDevices.software())) {
      var predictor = load(context, DType.F32);
      Batch batch = prepare(predictor, 1, 3);
      assertTrue(context.deviceBytesInUse() >= predictor.plannedBytes());
      predictor.close();
      predictor.close();
      assertEquals(0, context.deviceBytesInUse());
      assertThrows(IllegalStateException.class, batch::forward);
      assertThrows(IllegalStateException.class, () -> prepare(predictor, 1, 3));
    }
  }
}
