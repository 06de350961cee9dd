package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.SelectCase.Choice;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class MaskedSelectTest {
  private static final float NOTHING = Float.NEGATIVE_INFINITY;
  private static final SpecialTokens PLAIN = new SpecialTokens(8, 7, -1, -1);

  private static void onDevice(DeviceSpec device, java.util.function.Consumer<KernelBench> body) {
    KernelBench.on(device, DType.F32, body);
  }

  @OnSoftwareDevices
  void select_matchesDoubleReference_atEveryVocabularyAndSlicing(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          int[][] sizes = {{500, 512}, {1013, 1013}, {65, 65}, {7, 8}, {2, 2}, {2048, 2048}};
          for (int[] size : sizes) {
            var tokens = new SpecialTokens(size[0], 0, 1, size[0] - 1);
            for (int sliceWidth : new int[] {64, 500, MaskedSelect.SLICE_WIDTH}) {
              if (sliceWidth == 64 && size[1] > 600) {
                continue; // 32 slices of nothing new
              }
              var select = new SelectCase(tokens, size[1], sliceWidth);
              select.logits(seed.normals(5 * size[1], 4));
              select.check(bench, seed);
            }
          }
        });
  }

  @GpuTest
  void select_matchesDoubleReference_atEveryVocabularyAndSlicing_gpu(DeviceSpec gpu) {
    select_matchesDoubleReference_atEveryVocabularyAndSlicing(gpu);
  }

  @OnSoftwareDevices
  void select_matchesDoubleReference_withGuidanceAndEveryFlag(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          var tokens = new SpecialTokens(500, 499, 3, 77);
          for (int flags = 0; flags < 8; flags++) {
            for (boolean guided : new boolean[] {false, true}) {
              var select = new SelectCase(tokens, 512, 128);
              select.flags = flags;
              select.guided = guided;
              // Multiples of 1/8: guidance of 2.5 is exact, so ties are real ties.
              float[] logits = new float[512 * (guided ? 14 : 7)];
              for (int i = 0; i < logits.length; i++) {
                logits[i] = seed.random().nextInt(-64, 65) / 8.0f;
              }
              for (int row = 0; row < 7; row += 2) {
                logits[row * 512 + 3] = 20; // half of the rows want to end
              }
              select.logits(logits);
              select.check(bench, seed);
            }
          }
        });
  }

  @GpuTest
  void select_matchesDoubleReference_withGuidanceAndEveryFlag_gpu(DeviceSpec gpu) {
    select_matchesDoubleReference_withGuidanceAndEveryFlag(gpu);
  }

  @OnSoftwareDevices
  void select_takesTheLowestId_onTies(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          var logits = new float[3000];
          for (int id : new int[] {1300, 1301, 2100, 2999}) {
            logits[id] = 2;
          }
          var tokens = new SpecialTokens(3000, 0, -1, -1);
          for (int sliceWidth : new int[] {256, 1024, MaskedSelect.SLICE_WIDTH}) {
            var select = new SelectCase(tokens, logits.length, sliceWidth);
            select.logits(logits);
            assertEquals(1300, select.check(bench, Seed.of(0))[0].candidate());
          }
        });
  }

  @GpuTest
  void select_takesTheLowestId_onTies_gpu(DeviceSpec gpu) {
    select_takesTheLowestId_onTies(gpu);
  }

  @OnSoftwareDevices
  void select_neverTakesTheMask_norAnIdBeyondTheVocabulary_butSumsBoth(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          var select = new SelectCase(new SpecialTokens(6, 5, -1, -1), 8, 8192);
          select.logits(0, 0, 1, 0, 0, 9, 0, 10);
          Choice choice = select.check(bench, Seed.of(0))[0];
          assertEquals(2, choice.candidate());
          double odds = Math.exp(9) + Math.exp(8) + 5 * Math.exp(-1);
          assertEquals(odds, choice.key(), odds * 1e-5, "the odds are against the candidate");
        });
  }

  @GpuTest
  void select_neverTakesTheMask_norAnIdBeyondTheVocabulary_butSumsBoth_gpu(DeviceSpec gpu) {
    select_neverTakesTheMask_norAnIdBeyondTheVocabulary_butSumsBoth(gpu);
  }

  @OnSoftwareDevices
  void select_tellsOddsApart_whereProbabilitiesWouldRoundToOne(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          for (double gap : new double[] {20, 30, 60, 80}) {
            var select = new SelectCase(PLAIN, 8, 8192);
            float low = (float) -gap;
            select.logits(low, low, 0, low, low, low, low, low);
            double key = select.check(bench, Seed.of(0))[0].key();
            double odds = 7 * Math.exp(-gap);
            assertEquals(odds, key, odds * 1e-5, "gap " + gap);
          }
        });
  }

  @GpuTest
  void select_tellsOddsApart_whereProbabilitiesWouldRoundToOne_gpu(DeviceSpec gpu) {
    select_tellsOddsApart_whereProbabilitiesWouldRoundToOne(gpu);
  }

  @OnSoftwareDevices
  void select_countsInfiniteLogits_withoutNaN(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          float all = Float.POSITIVE_INFINITY;
          assertOnly(bench, 3, 0, NOTHING, NOTHING, NOTHING, 1, NOTHING, NOTHING, NOTHING, NOTHING);
          assertOnly(bench, 2, 0, 5, 5, all, 5, 5, 5, 5, NOTHING);
          assertOnly(bench, 1, 1, 5, all, all, 5, 5, 5, 5, NOTHING);
        });
  }

  @GpuTest
  void select_countsInfiniteLogits_withoutNaN_gpu(DeviceSpec gpu) {
    select_countsInfiniteLogits_withoutNaN(gpu);
  }

  @OnSoftwareDevices
  void select_leavesNaNOut_andAnswersMinusOne_whereNothingElseIsThere(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          float no = Float.NaN;
          assertOnly(bench, 4, 0, no, no, no, no, 1, NOTHING, no, no);
          assertOnly(bench, 0, 1, 3, no, 3, no, no, no, no, NOTHING);
          assertOnly(bench, -1, -1, no, no, no, no, no, no, no, no);
          assertOnly(bench, -1, -1, NOTHING, NOTHING, no, no, NOTHING, no, no, 5);
        });
  }

  @GpuTest
  void select_leavesNaNOut_andAnswersMinusOne_whereNothingElseIsThere_gpu(DeviceSpec gpu) {
    select_leavesNaNOut_andAnswersMinusOne_whereNothingElseIsThere(gpu);
  }

  private static void assertOnly(KernelBench bench, int candidate, float key, float... logits) {
    for (int sliceWidth : new int[] {2, 4, 8192}) {
      var select = new SelectCase(PLAIN, 8, sliceWidth);
      select.logits(logits);
      Choice choice = select.run(bench)[0];
      String what = Arrays.toString(logits) + " in slices of " + sliceWidth;
      assertEquals(candidate, choice.candidate(), what);
      assertEquals(key, choice.key(), what);
    }
  }

  @OnSoftwareDevices
  void select_skipsRowsThatAreCommitted_andSequencesThatAreDone(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          var select = new SelectCase(new SpecialTokens(65, 64, -1, -1), 65, 33);
          select.committed = new int[] {0, 3};
          select.logits(seed.normals(5 * 65, 2));
          Choice[] choices = select.check(bench, seed);
          assertEquals(new Choice(-1, -1), choices[0]);
          assertEquals(new Choice(-1, -1), choices[3]);
          select.done = true;
          for (Choice choice : select.check(bench, seed)) {
            assertEquals(new Choice(-1, -1), choice);
          }
        });
  }

  @GpuTest
  void select_skipsRowsThatAreCommitted_andSequencesThatAreDone_gpu(DeviceSpec gpu) {
    select_skipsRowsThatAreCommitted_andSequencesThatAreDone(gpu);
  }

  @OnSoftwareDevices
  void select_defersEndTokens_toInfiniteKeys(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          var tokens = new SpecialTokens(8, 7, 2, 4);
          for (int end : new int[] {2, 4}) {
            var select = new SelectCase(tokens, 8, 3);
            select.flags = DiffusionState.DEFER_EOS;
            float[] logits = {0, 1, 2, 1, 2, 1, 1, 0};
            logits[end] = 9;
            select.logits(logits);
            assertEquals(
                new Choice(end, Float.POSITIVE_INFINITY), select.check(bench, Seed.of(0))[0]);
            select.flags |= DiffusionState.RANDOM_REMASKING;
            assertEquals(
                new Choice(end, Float.POSITIVE_INFINITY), select.check(bench, Seed.of(0))[0]);
          }
        });
  }

  @GpuTest
  void select_defersEndTokens_toInfiniteKeys_gpu(DeviceSpec gpu) {
    select_defersEndTokens_toInfiniteKeys(gpu);
  }

  @OnSoftwareDevices
  void select_drawsTheDocumentedNoise_bitForBit(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          var select = new SelectCase(PLAIN, 8, 8192);
          select.flags = DiffusionState.RANDOM_REMASKING;
          select.seed = seed.random().nextLong();
          select.step = 3;
          select.logits(seed.normals(40 * 8, 1));
          Choice[] choices = select.check(bench, seed);
          for (int row = 0; row < choices.length; row++) {
            float key = SelectCase.randomKey(select.seed, 3, SelectCase.BLOCK_BEGIN + row);
            assertEquals(key, choices[row].key(), "row " + row + ", " + seed);
          }
        });
  }

  @GpuTest
  void select_drawsTheDocumentedNoise_bitForBit_gpu(DeviceSpec gpu) {
    select_drawsTheDocumentedNoise_bitForBit(gpu);
  }

  /// The known answers of the generator's authors (Random123, kat_vectors).
  @Test
  void referencePhilox_givesThePublishedWords() {
    assertArrayEquals(
        new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        SelectCase.philox(0, 0, 0, 0, 0, 0));
    assertArrayEquals(
        new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        SelectCase.philox(-1, -1, -1, -1, -1, -1));
    assertArrayEquals(
        new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
        SelectCase.philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0));
  }
}
