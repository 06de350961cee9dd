package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

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
          int[][] sizes = {
            {500, 512}, {1013, 1013}, {65, 65}, {900, 1014}, {7, 8}, {2, 2}, {2048, 2048}
          };
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
  void select_matchesDoubleReference_withGuidanceEveryFlagAndRule(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          var tokens = new SpecialTokens(500, 499, 3, 77);
          for (int variant = 0; variant < 16; variant++) {
            for (boolean guided : new boolean[] {false, true}) {
              var select = new SelectCase(tokens, 512, 128);
              select.flags = variant % 4;
              select.rule = RemaskingRule.values()[variant / 4];
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
  void select_matchesDoubleReference_withGuidanceEveryFlagAndRule_gpu(DeviceSpec gpu) {
    select_matchesDoubleReference_withGuidanceEveryFlagAndRule(gpu);
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
    for (int sliceWidth : new int[] {4, 8192}) {
      var select = new SelectCase(PLAIN, 8, sliceWidth);
      select.logits(logits);
      Choice choice = select.run(bench)[0];
      String what = Arrays.toString(logits) + " in slices of " + sliceWidth;
      assertEquals(candidate, choice.candidate(), what);
      assertEquals(key, choice.key(), what);
    }
  }

  @OnSoftwareDevices
  void select_skipsRowsThatAreNotToBeChosen(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          var select = new SelectCase(new SpecialTokens(65, 64, -1, -1), 65, 32);
          select.kinds.put(0, DiffusionState.NOTHING);
          select.kinds.put(3, DiffusionState.RECONSIDER);
          select.logits(seed.normals(5 * 65, 2));
          Choice[] choices = select.check(bench, seed);
          assertEquals(new Choice(-1, -1), choices[0]);
          assertEquals(new Choice(-1, -1), choices[3]);
        });
  }

  @GpuTest
  void select_skipsRowsThatAreNotToBeChosen_gpu(DeviceSpec gpu) {
    select_skipsRowsThatAreNotToBeChosen(gpu);
  }

  /// Exact multiples, so that floors and ties are real; keys are of the whole softmax.
  @OnSoftwareDevices
  void select_choosesNothingBelowTheFloor_atATemperature(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          for (int columns : new int[] {7, 500, 1013}) {
            for (float temperature : new float[] {0, 0.5f, 4}) {
              var select = new SelectCase(new SpecialTokens(columns, 1, -1, -1), columns, 256);
              select.temperature = temperature;
              select.guided = columns == 500;
              select.seed = seed.random().nextLong();
              int rows = 8;
              float[] logits = new float[rows * columns * (select.guided ? 2 : 1)];
              for (int i = 0; i < logits.length; i++) {
                logits[i] = seed.random().nextInt(-32, 33) / 8.0f;
              }
              select.logits(logits);
              select.floors = new float[rows];
              for (int row = 0; row < rows; row++) {
                select.floors[row] = row == 0 ? NOTHING : seed.random().nextInt(-8, 30) / 8.0f;
              }
              select.check(bench, seed);
            }
          }
        });
  }

  @GpuTest
  void select_choosesNothingBelowTheFloor_atATemperature_gpu(DeviceSpec gpu) {
    select_choosesNothingBelowTheFloor_atATemperature(gpu);
  }

  @OnSoftwareDevices
  void select_defersEndTokens_toInfiniteKeys(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          var tokens = new SpecialTokens(8, 7, 2, 4);
          for (int end : new int[] {2, 4}) {
            var select = new SelectCase(tokens, 8, 4);
            select.flags = DiffusionState.DEFER_EOS;
            float[] logits = {0, 1, 2, 1, 2, 1, 1, 0};
            logits[end] = 9;
            select.logits(logits);
            assertEquals(
                new Choice(end, Float.POSITIVE_INFINITY), select.check(bench, Seed.of(0))[0]);
            select.rule = RemaskingRule.RANDOM_ORDER;
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
          select.rule = RemaskingRule.RANDOM_ORDER;
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

  /// Beyond the vectors' and slices' ends, with every rule; keys are of the clean logits.
  @OnSoftwareDevices
  void select_samplesWhatTheDoubleReferenceSamples_atEveryTemperature(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          int[][] sizes = {{500, 512}, {1013, 1013}, {65, 66}, {3, 3}, {1, 2}, {2048, 2048}};
          for (int[] size : sizes) {
            for (float temperature : new float[] {1e-6f, 0.2f, 1, 3}) {
              var tokens = new SpecialTokens(size[0], size[1] - 1, 1, 2);
              int sliceWidth = seed.random().nextBoolean() ? 1024 : 256;
              var select = new SelectCase(tokens, size[1], sliceWidth);
              select.temperature = temperature;
              select.seed = seed.random().nextLong();
              select.step = seed.random().nextInt(100);
              select.rule = RemaskingRule.values()[seed.random().nextInt(4)];
              select.flags = seed.random().nextInt(4);
              select.guided = seed.random().nextBoolean();
              select.logits(seed.normals((select.guided ? 12 : 6) * size[1], 3));
              select.check(bench, seed);
            }
          }
        });
  }

  @GpuTest
  void select_samplesWhatTheDoubleReferenceSamples_atEveryTemperature_gpu(DeviceSpec gpu) {
    select_samplesWhatTheDoubleReferenceSamples_atEveryTemperature(gpu);
  }

  /// The noise is a function of (seed, step, position, id), and maxima are exact.
  @OnSoftwareDevices
  void select_samplesTheSameTokens_whateverTheSlicesAndTheNeighbours(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          int columns = 600;
          float[] logits = seed.normals(6 * columns, 2);
          Choice[] first = null;
          for (int sliceWidth : new int[] {64, 100, 512, MaskedSelect.SLICE_WIDTH}) {
            var select = new SelectCase(new SpecialTokens(columns, 5, -1, -1), columns, sliceWidth);
            select.temperature = 0.8f;
            select.seed = 77;
            select.logits(logits);
            Choice[] choices = select.run(bench);
            first = first == null ? choices : first;
            float[] others = seed.normals(6 * columns, 2);
            System.arraycopy(logits, 3 * columns, others, 3 * columns, columns);
            select.logits(others);
            assertEquals(choices[3], select.run(bench)[3], "neighbours, " + seed);
            for (int row = 0; row < 6; row++) {
              assertEquals(first[row].candidate(), choices[row].candidate(), "slices, " + seed);
            }
          }
        });
  }

  @GpuTest
  void select_samplesTheSameTokens_whateverTheSlicesAndTheNeighbours_gpu(DeviceSpec gpu) {
    select_samplesTheSameTokens_whateverTheSlicesAndTheNeighbours(gpu);
  }

  /// Every position of a long block draws anew: counts against the softmax of l / T.
  @OnSoftwareDevices
  void select_drawsFromTheSoftmaxAtTheTemperature(DeviceSpec device) {
    Seed seed = Seed.fresh();
    onDevice(
        device,
        bench -> {
          int draws = 4000;
          float[] row = {1, 0.5f, 0, -0.5f, 1.5f, 9, -1, 0.25f};
          var tokens = new SpecialTokens(row.length, 5, -1, -1);
          var logits = new float[draws * row.length];
          for (int i = 0; i < logits.length; i++) {
            logits[i] = row[i % row.length];
          }
          for (float temperature : new float[] {0.5f, 1.5f}) {
            var select = new SelectCase(tokens, row.length, 8192);
            select.temperature = temperature;
            select.seed = seed.random().nextLong();
            select.logits(logits);
            var counts = new int[row.length];
            for (Choice choice : select.run(bench)) {
              counts[choice.candidate()]++;
            }
            double sum = 0;
            for (int id = 0; id < row.length; id++) {
              sum += id == tokens.mask() ? 0 : Math.exp(row[id] / temperature);
            }
            double chiSquared = 0;
            for (int id = 0; id < row.length; id++) {
              if (id != tokens.mask()) {
                double expected = draws * Math.exp(row[id] / temperature) / sum;
                chiSquared += Math.pow(counts[id] - expected, 2) / expected;
              }
            }
            // 6 degrees of freedom: above 45 once in 20 million runs.
            assertTrue(
                chiSquared < 45,
                "chi-squared " + chiSquared + " of " + Arrays.toString(counts) + ", " + seed);
          }
        });
  }

  @GpuTest
  void select_drawsFromTheSoftmaxAtTheTemperature_gpu(DeviceSpec gpu) {
    select_drawsFromTheSoftmaxAtTheTemperature(gpu);
  }

  @OnSoftwareDevices
  void select_ordersByEntropyAndMargin_fromCertaintyToIndifference(DeviceSpec device) {
    onDevice(
        device,
        bench -> {
          var select = new SelectCase(PLAIN, 8, 4);
          float[] certain = {0, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING};
          float[] nearlyCertain = {0, -40, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING};
          float[] tied = {1, NOTHING, NOTHING, NOTHING, 1, NOTHING, NOTHING, NOTHING};
          float[] masked = {0, NOTHING, NOTHING, NOTHING, -1, NOTHING, NOTHING, 30};
          float[] indifferent = new float[8];
          float[] logits = new float[40];
          float[][] rows = {certain, nearlyCertain, tied, masked, indifferent};
          for (int row = 0; row < rows.length; row++) {
            System.arraycopy(rows[row], 0, logits, 8 * row, 8);
          }
          select.logits(logits);
          select.rule = RemaskingRule.ENTROPY;
          Choice[] entropy = select.check(bench, Seed.of(0));
          assertEquals(0, entropy[0].key());
          assertEquals(41 * Math.exp(-40), entropy[1].key(), 1e-4 * 41 * Math.exp(-40));
          assertEquals(1, entropy[2].key(), 1e-6, "two equal ids");
          assertEquals(7, entropy[4].key(), 1e-5, "eight");
          select.rule = RemaskingRule.MARGIN;
          Choice[] margin = select.check(bench, Seed.of(0));
          assertEquals(0, margin[0].key());
          assertEquals(2 * Math.exp(-40), margin[1].key(), 1e-5 * 2 * Math.exp(-40));
          assertEquals(Float.MAX_VALUE, margin[2].key(), "surer than a deferred row only");
          assertTrue(margin[3].key() > 1e12, "the lead counts, not the mask's share");
          assertEquals(Float.MAX_VALUE, margin[4].key());
        });
  }

  @GpuTest
  void select_ordersByEntropyAndMargin_fromCertaintyToIndifference_gpu(DeviceSpec gpu) {
    select_ordersByEntropyAndMargin_fromCertaintyToIndifference(gpu);
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
