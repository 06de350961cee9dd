package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.GoldenCases.GoldenCase;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.testing.TestDevices;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Several sequences in one packed batch: each as if it were alone.
class BatchTest {
  @ParameterizedTest
  @EnumSource
  void packedGoldens_equalTheReference(GoldenModel model) {
    long seed = System.nanoTime();
    var cases = new ArrayList<>(model.cases().stream().filter(GoldenCase::bindsF32).toList());
    Collections.shuffle(cases, new Random(seed));
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.F32, model)) {
      for (List<GoldenCase> pack : packs(cases)) {
        List<Denoised> answers =
            loaded.run(
                pack.stream().map(GoldenCase::promptIds).toList(),
                pack.stream().map(GoldenCase::options).toList(),
                true,
                null);
        assertEquals(pack.size(), answers.size());
        for (int i = 0; i < pack.size(); i++) {
          try {
            GoldenGenerationTest.check(pack.get(i), answers.get(i), DType.F32);
          } catch (AssertionError e) {
            throw new AssertionError("seed " + seed + " " + pack + ": " + e.getMessage(), e);
          }
        }
      }
    }
  }

  /// Greedy packs within the loaded limits.
  private static List<List<GoldenCase>> packs(List<GoldenCase> cases) {
    var packs = new ArrayList<List<GoldenCase>>();
    var pack = new ArrayList<GoldenCase>();
    for (GoldenCase golden : cases) {
      pack.add(golden);
      if (!fits(pack)) {
        pack.removeLast();
        packs.add(List.copyOf(pack));
        pack.clear();
        pack.add(golden);
      }
    }
    packs.add(List.copyOf(pack));
    assertTrue(packs.getFirst().size() > 1, "a pack holds several");
    return packs;
  }

  private static boolean fits(List<GoldenCase> pack) {
    int tokens = 0;
    int rows = 0;
    int sequences = 0;
    for (GoldenCase golden : pack) {
      int copies = golden.options().guided() ? 2 : 1;
      tokens += copies * (golden.promptIds().length + golden.options().genLength());
      rows += copies * golden.options().blockLength();
      sequences += copies;
    }
    return tokens <= LoadedDenoiser.LIMITS.maxTokens()
        && rows <= LoadedDenoiser.LIMITS.maxRows()
        && sequences <= LoadedDenoiser.LIMITS.maxSequences();
  }

  @Test
  void graphsAreSharedByShape_andEvictedBeyondTheBound() {
    GoldenCase golden = GoldenModel.MICRO.cases().get(2);
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.F32, GoldenModel.MICRO)) {
      long bytes = loaded.context.deviceBytesInUse();
      for (int round = 0; round < 2; round++) {
        for (int length = 1; length <= 20; length++) {
          int[] prompt = new int[length];
          loaded.run(prompt, golden.options(), false);
        }
        // Same shape, other prompt and options: the shared graph must not remember them.
        var options = DiffusionOptions.builder().genLength(7).steps(7).deferEos(true).build();
        loaded.run(new int[] {9}, options, false);
        Denoised answer = loaded.run(golden.promptIds(), golden.options(), true);
        GoldenGenerationTest.check(golden, answer, DType.F32);
      }
      assertEquals(bytes, loaded.context.deviceBytesInUse());
    }
  }

  @Test
  void emptyPrompt_isLegal_aloneAndInABatch() {
    var options = DiffusionOptions.builder().genLength(6).steps(3).build();
    var guided = DiffusionOptions.builder().genLength(6).steps(3).cfgScale(1).build();
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.F32, GoldenModel.MICRO)) {
      int[] alone = loaded.run(new int[0], options, false).outputIds();
      List<Denoised> both =
          loaded.run(List.of(new int[0], new int[0]), List.of(guided, options), false, null);
      assertArrayEquals(alone, both.get(1).outputIds());
      // Without a prompt both sides of the guidance are the same canvas.
      assertArrayEquals(alone, both.get(0).outputIds());
      assertEquals(6, both.get(0).forwardPasses());
    }
  }
}
