package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.Graph;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.cuda.Stream;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.testing.TestDevices;
import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

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

  @Test
  void step_isOneLaunch_andAllocatesNothing() {
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.BF16, GoldenModel.MICRO)) {
      int[] prompt = {1, 2, 3};
      loaded.run(prompt, options(2), false); // two steps: the second captures the graph
      long bytes = loaded.context.deviceBytesInUse();

      Map<String, Long> before = counts();
      long launches = SoftwareDevice.callCount("cuGraphLaunch");
      Denoised few = loaded.run(prompt, options(8), false);
      Map<String, Long> forFew = since(before);
      assertEquals(few.steps(), SoftwareDevice.callCount("cuGraphLaunch") - launches);

      before = counts();
      launches = SoftwareDevice.callCount("cuGraphLaunch");
      Denoised many = loaded.run(prompt, options(256), false);
      Map<String, Long> forMany = since(before);
      assertEquals(256, many.steps());
      assertEquals(256, SoftwareDevice.callCount("cuGraphLaunch") - launches);

      assertEquals(forFew, forMany, "calls of a generation do not grow with its steps");
      assertNotEquals(0, forFew.get("cuMemcpyHtoDAsync_v2"), "the counters count");
      assertEquals(0, forMany.get("cuMemAlloc_v2"));
      assertEquals(0, forMany.get("cuLaunchKernel"));
      assertEquals(bytes, loaded.context.deviceBytesInUse());
    }
  }

  @Test
  void shortGenerations_captureAcrossCalls_andAgree() {
    // The first enqueues its only step, the second captures it, the third launches that graph.
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

  @Test
  void step_allocatesNoJavaMemory() {
    Context context = TestDevices.context(TestDevices.software());
    double perStep =
        context.call(() -> {
          try (Stream stream = context.newStream();
              DeviceMemory memory = context.allocate(Integer.BYTES);
              Graph step = stream.capture(() -> stream.fill(memory.buffer(), (byte) 1));
              StepLoop loop = new StepLoop(context, stream)) {
            var watch = new Watch<Void>(null);
            loop.run(step::launch, 20_000, watch, null);
            // The least of several runs: what compilation still allocates early on is not a step's.
            long least = Long.MAX_VALUE;
            for (int run = 0; run < 10; run++) {
              long before = THREADS.getCurrentThreadAllocatedBytes();
              loop.run(step::launch, 2_000, watch, null);
              least = Math.min(least, THREADS.getCurrentThreadAllocatedBytes() - before);
            }
            return least / 2_000.0;
          }
        });
    assertTrue(perStep < 1, perStep + " Java bytes per step");
  }
}
