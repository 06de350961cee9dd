package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.SoftwareDevice;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.kernel.SequenceStatus;
import dev.remask.testing.TestDevices;
import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What a step costs in driver calls and Java memory.
class DeviceCallsTest {
  private static final List<String> PER_GENERATION =
      List.of(
          "cuMemAlloc_v2",
          "cuMemFree_v2",
          "cuMemHostAlloc",
          "cuMemFreeHost",
          "cuMemcpyHtoDAsync_v2",
          "cuMemcpyDtoHAsync_v2",
          "cuMemcpyDtoDAsync_v2",
          "cuMemsetD8Async",
          "cuLaunchKernel",
          "cuStreamSynchronize",
          "cuStreamBeginCapture_v2",
          "cuGraphInstantiateWithFlags",
          "cublasLtMatmul",
          "cublasLtMatmulAlgoGetHeuristic");

  private static final String LOOP = "remask.loop";

  private static final com.sun.management.ThreadMXBean THREADS =
      (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

  private static DiffusionOptions options(int steps) {
    return DiffusionOptions.builder().genLength(256).steps(steps).build();
  }

  private static Map<String, Long> counts() {
    var counts = new LinkedHashMap<String, Long>();
    for (String call : PER_GENERATION) {
      counts.put(call, SoftwareDevice.callCount(call));
    }
    return counts;
  }

  private static Map<String, Long> since(Map<String, Long> before) {
    var difference = new LinkedHashMap<String, Long>();
    counts().forEach((call, count) -> difference.put(call, count - before.get(call)));
    return difference;
  }

  @AfterEach
  void anyLoop() {
    System.clearProperty(LOOP);
  }

  @Test
  void launchedStep_isOneLaunch_andAllocatesNothing() {
    System.setProperty(LOOP, "steps");
    check(true);
  }

  @Test
  void whileLoop_isOneLaunchAGeneration_andAllocatesNothing() {
    System.setProperty(LOOP, "while");
    check(false);
  }

  private static void check(boolean launchPerStep) {
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.BF16, GoldenModel.MICRO)) {
      int[] prompt = {1, 2, 3};
      for (int i = 0; i < 3; i++) {
        loaded.run(prompt, options(2), false); // the first run loads, the second captures
      }
      long bytes = loaded.context.deviceBytesInUse();

      letTurnEnd(loaded);
      Map<String, Long> before = counts();
      long launches = SoftwareDevice.callCount("cuGraphLaunch");
      Denoised few = loaded.run(prompt, options(8), false);
      Map<String, Long> forFew = since(before);
      assertEquals(8, few.steps());
      assertEquals(launchPerStep ? 8 : 1, SoftwareDevice.callCount("cuGraphLaunch") - launches);

      letTurnEnd(loaded);
      before = counts();
      launches = SoftwareDevice.callCount("cuGraphLaunch");
      Denoised many = loaded.run(prompt, options(256), false);
      Map<String, Long> forMany = since(before);
      assertEquals(256, many.steps());
      assertEquals(launchPerStep ? 256 : 1, SoftwareDevice.callCount("cuGraphLaunch") - launches);

      assertEquals(forFew, forMany, "calls of a generation do not grow with its steps");
      assertNotEquals(0, forFew.get("cuMemcpyHtoDAsync_v2"), "the counters count");
      assertEquals(0, forMany.get("cuMemAlloc_v2"));
      assertEquals(0, forMany.get("cuLaunchKernel"));
      assertEquals(bytes, loaded.context.deviceBytesInUse());
    }
  }

  /// A request that meets the end of the turn before may stop its own first run after a step, which
  /// costs one launch more; what is counted here is a request that finds the engine asleep.
  private static void letTurnEnd(LoadedDenoiser loaded) {
    loaded.context.run(() -> {});
  }

  @Test
  void shortGenerations_captureAcrossCalls_andAgree() {
    // The first enqueues its only step, the second captures it, the third launches that graph.
    System.setProperty(LOOP, "steps");
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.BF16, GoldenModel.MICRO)) {
      int[] prompt = {1, 2, 3};
      long captures = SoftwareDevice.callCount("cuStreamBeginCapture_v2");
      int[] enqueued = loaded.run(prompt, options(1), false).outputIds();
      assertEquals(captures, SoftwareDevice.callCount("cuStreamBeginCapture_v2"));
      int[] captured = loaded.run(prompt, options(1), false).outputIds();
      int[] replayed = loaded.run(prompt, options(1), false).outputIds();
      assertEquals(captures + 1, SoftwareDevice.callCount("cuStreamBeginCapture_v2"));
      assertArrayEquals(enqueued, captured);
      assertArrayEquals(enqueued, replayed);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"steps", "while"})
  void step_allocatesNoJavaMemory(String mode) {
    System.setProperty(LOOP, mode);
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.BF16, GoldenModel.MICRO);
        var loop = DeviceLoop.create(loaded.context, loaded.predictor, loaded.denoiser.tokens())) {
      loaded.context.run(() -> {
        // The least of several runs: what compilation still allocates early on is not a step's.
        long few = Long.MAX_VALUE;
        long many = Long.MAX_VALUE;
        for (int i = 0; i < 12; i++) {
          few = Math.min(few, allocated(loop, 8));
          many = Math.min(many, allocated(loop, 256));
        }
        double perStep = (many - few) / 248.0;
        assertTrue(perStep < 1, perStep + " Java bytes per step");
      });
    }
  }

  /// Java bytes that a run of so many steps allocates.
  private static long allocated(DeviceLoop loop, int steps) {
    var task = DenoisingTask.ofPrompt(new int[] {1, 2, 3}, options(steps));
    Slot slot = loop.admit(SlotRequest.of(task, loop.tokens(), false));
    List<Slot> members = List.of(slot);
    long before = THREADS.getCurrentThreadAllocatedBytes();
    loop.run(members, null);
    long bytes = THREADS.getCurrentThreadAllocatedBytes() - before;
    assertEquals(SequenceStatus.FILLED, slot.progress().status());
    loop.release(slot);
    return bytes;
  }
}
