package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Philox;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/// Random remasking: noise decides the order, reproducibly, whatever the model thinks.
class RandomRemaskingTest {
  private static final int[] PROMPT = {3, 141, 59, 26};

  private static DiffusionOptions options(long seed, int steps) {
    return DiffusionOptions.builder()
        .genLength(15)
        .blockLength(5)
        .steps(steps)
        .remasking(Remasking.RANDOM)
        .seed(seed)
        .build();
  }

  /// The order that the documented generator gives.
  private static List<String> expectedOrder(DiffusionOptions options) {
    var plan = DenoisingPlan.of(options.genLength(), options);
    var committed = new boolean[PROMPT.length + options.genLength()];
    var order = new ArrayList<String>();
    for (int entry = 0; entry < plan.size(); entry++) {
      int step = plan.step(entry);
      int begin = PROMPT.length + plan.block(entry) * options.blockLength();
      IntStream.range(begin, begin + options.blockLength())
          .filter(position -> !committed[position])
          .boxed()
          .sorted(
              Comparator.<Integer>comparingDouble(
                      position -> -Philox.uniform(options.seed(), step, position))
                  .thenComparingInt(position -> position))
          .limit(plan.quota(entry))
          .sorted()
          .forEach(position -> {
            committed[position] = true;
            order.add(step + ":" + (position - PROMPT.length));
          });
    }
    return order;
  }

  private static List<String> order(Denoised answer) {
    return answer.trace().stream().map(c -> c.step() + ":" + c.position()).toList();
  }

  @OnSoftwareDevices
  void order_isTheDocumentedGenerators(DeviceSpec device) {
    try (var loaded = LoadedDenoiser.open(device, DType.F32, GoldenModel.MICRO)) {
      for (long seed : new long[] {0, 1, -7, 0x0123_4567_89ab_cdefL}) {
        // 6 steps: quotas 3 and 2; 30 steps: five that commit and five that do nothing per block.
        for (int steps : new int[] {6, 30}) {
          DiffusionOptions options = options(seed, steps);
          Denoised answer = loaded.run(PROMPT, options, true);
          assertEquals(expectedOrder(options), order(answer), options.toString());
        }
      }
    }
  }

  @GpuTest
  void order_isTheDocumentedGenerators_gpu(DeviceSpec gpu) {
    order_isTheDocumentedGenerators(gpu);
  }

  @OnSoftwareDevices
  void sameSeed_sameAnswer_otherSeed_otherOrder(DeviceSpec device) {
    try (var loaded = LoadedDenoiser.open(device, DType.F32, GoldenModel.MICRO)) {
      Denoised first = loaded.run(PROMPT, options(5, 15), true);
      Denoised again = loaded.run(PROMPT, options(5, 15), true);
      Denoised other = loaded.run(PROMPT, options(6, 15), true);
      assertArrayEquals(first.outputIds(), again.outputIds());
      assertEquals(first.trace(), again.trace());
      assertNotEquals(order(first), order(other));
      Denoised packed =
          loaded
              .run(
                  List.of(new int[] {8}, PROMPT),
                  List.of(options(9, 3), options(5, 15)),
                  true,
                  null)
              .get(1);
      assertArrayEquals(first.outputIds(), packed.outputIds(), "neighbours do not matter");
      assertEquals(order(first), order(packed));
    }
  }
}
