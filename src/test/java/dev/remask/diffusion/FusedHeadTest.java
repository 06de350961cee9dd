package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.Stream;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.kernel.SequenceStatus;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.Batch;
import dev.remask.model.PassSequence;
import dev.remask.model.PassShape;
import dev.remask.testing.DeviceData;
import dev.remask.testing.TestDevices;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Steps that choose tokens without writing logits, where the device can.
class FusedHeadTest {
  /// Rows of logits that are looked at: the first ones, which nothing else of such short passes
  /// lies over.
  private static final int ROWS = 48;

  private static final byte UNTOUCHED = 0x2a;

  private record Outcome(int[] canvas, List<Commit> commits, boolean wroteLogits) {}

  private static DiffusionOptions.Builder options() {
    return DiffusionOptions.builder().genLength(24).blockLength(12).steps(24);
  }

  private static DenoisingTask task(DiffusionOptions.Builder options) {
    return DenoisingTask.ofPrompt(new int[] {1, 2, 3}, options.build());
  }

  /// Constraints, restrictions and revisions need logits. What another request becomes beside one
  /// of them, and so from written logits, is what it becomes alone: to the bits of confidences.
  @ParameterizedTest
  @EnumSource(DType.class)
  void logits_areWrittenOnlyWhereAMemberNeedsThem(DType dtype) {
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), dtype, GoldenModel.MICRO);
        var loop = DeviceLoop.create(loaded.context, loaded.predictor, loaded.denoiser.tokens())) {
      // On this device weights are packed, or (with REMASK_HOST_GEMM=onednn) there is no such
      // kernel.
      boolean fuses = loaded.predictor.operations().headSelect().isPresent();
      List<DenoisingTask> without =
          List.of(
              task(options()),
              task(options().temperature(0.8).remasking(Remasking.RANDOM)),
              task(options().cfgScale(1.5).remasking(Remasking.ENTROPY)),
              task(options().cfgScale(0.5).temperature(0.5).remasking(Remasking.MARGIN)));
      List<DenoisingTask> with =
          List.of(
              task(options()).withConstraints(Constraints.builder().ban(7).build()),
              task(options().temperature(0.8).topK(5)),
              task(options().revisionBudget(3)));
      loaded.context.run(() -> {
        for (DenoisingTask task : without) {
          Outcome alone = run(loaded, loop, task);
          assertEquals(!fuses, alone.wroteLogits, task.options().toString());
          assertFalse(alone.commits.isEmpty());
          for (DenoisingTask other : with) {
            Outcome beside = run(loaded, loop, task, other);
            String what = task.options() + " beside " + other.options();
            assertEquals(true, beside.wroteLogits, what);
            assertEquals(alone.commits, beside.commits, what);
            assertArrayEquals(alone.canvas, beside.canvas, what);
          }
        }
      });
    }
  }

  /// Runs the tasks together until the first one is done.
  private static Outcome run(LoadedDenoiser loaded, DeviceLoop loop, DenoisingTask... tasks) {
    Context context = loaded.context;
    Stream stream = loaded.predictor.stream();
    SpecialTokens tokens = loop.tokens();
    try (DeviceMemory canvas = DeviceData.i32(context, stream, new int[8])) {
      var shape = PassShape.of(List.of(PassSequence.whole(0, 8)), ROWS);
      Batch other = loaded.predictor.prepare(shape, canvas.buffer());
      stream.fill(other.logits(), UNTOUCHED);
      var slots = new ArrayList<Slot>();
      for (DenoisingTask task : tasks) {
        slots.add(loop.admit(SlotRequest.of(task, tokens, true)));
      }
      Slot first = slots.getFirst();
      loop.stopWord().clear();
      List<Slot> running = slots;
      while (first.progress().status() == SequenceStatus.RUNNING) {
        loop.run(running, null);
        running =
            slots.stream()
                .filter(slot -> slot.progress().status() == SequenceStatus.RUNNING)
                .toList();
      }
      CommitLog log = loop.log(first);
      var commits = IntStream.range(0, log.size()).mapToObj(log::get).toList();
      byte[] logits = DeviceData.readBytes(context, stream, other.logits());
      boolean wrote = IntStream.range(0, logits.length).anyMatch(i -> logits[i] != UNTOUCHED);
      var outcome = new Outcome(loop.canvas(first), commits, wrote);
      slots.forEach(loop::release);
      return outcome;
    }
  }
}
