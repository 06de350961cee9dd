package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DType;
import dev.remask.testing.Bf16;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Passes that compute a part of the positions, against whole passes and against the plain
/// reference with a cache of its own.
class CachedPassTest {
  private static final String KERNELS = "remask.kernels";
  private static final RandomModel MODEL = RandomModel.small(TensorType.F32, 5);
  private static final int CACHE = 1500;
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(700, 700, 8, CACHE);

  @TempDir private Path folder;

  @AfterEach
  void restore() {
    System.clearProperty(KERNELS);
  }

  private PassBench open(DeviceSpec device, DType dtype) throws IOException {
    Path model = MODEL.write(folder, 1);
    return new PassBench(TestDevices.context(device), model, dtype, LIMITS, 2000);
  }

  private static Stream<String> families(DeviceSpec device, DType dtype) {
    boolean emulated = device.equals(TestDevices.emulator()) && dtype == DType.BF16;
    return emulated ? Stream.of("sm_80", "sm_90a") : Stream.of("auto");
  }

  private interface Body {
    void run(PassBench bench, String what) throws IOException;
  }

  /// Both dtypes, every family of kernels with attention of its own.
  private void onAll(DeviceSpec device, Body body) throws IOException {
    for (DType dtype : DType.values()) {
      for (String family : families(device, dtype).toList()) {
        System.setProperty(KERNELS, family);
        try (var bench = open(device, dtype)) {
          body.run(bench, "%s, %s, %s".formatted(device, dtype, family));
        }
        System.clearProperty(KERNELS);
      }
    }
  }

  private static float[] rows(float[] logits, int first, int count) {
    int e = MODEL.embeddingSize();
    return Arrays.copyOfRange(logits, first * e, (first + count) * e);
  }

  /// Unchanged tokens: each layer's keys and values are those of the whole pass, to the bit, as
  /// long as no kernel cuts the keys.
  @OnSoftwareDevices
  void partOfAnUnchangedCanvas_hasTheBitsOfTheWholePass(DeviceSpec device) throws IOException {
    onAll(
        device,
        (bench, what) -> {
          for (int length :
              device.equals(TestDevices.emulator()) ? new int[] {41} : new int[] {1, 41, 257}) {
            int at = 13;
            bench.put(at, MODEL.randomIds(length));
            float[] whole = bench.run(PassSequence.whole(at, length));
            int cache = CACHE - length;
            assertArrayEquals(
                whole,
                bench.run(new PassSequence(at, 0, length, length, cache)),
                what + ", stored");
            for (int first : new int[] {0, length / 3, length - 1}) {
              for (int queries : new int[] {length - first, 1 + (length - first) / 2}) {
                var part = new PassSequence(at, first, queries, length, cache);
                assertArrayEquals(rows(whole, first, queries), bench.run(part), what + ", " + part);
              }
            }
          }
        });
  }

  /// Long caches and few queries: the tensor-core kernels split the keys, so that sums run in
  /// another order.
  @OnSoftwareDevices
  void splitKeys_agreeWithTheWholePass(DeviceSpec device) throws IOException {
    onAll(
        device,
        (bench, what) -> {
          int length = 301;
          bench.put(0, MODEL.randomIds(length));
          bench.run(new PassSequence(0, 0, length, length, 7));
          float[] whole = bench.run(PassSequence.whole(0, length));
          for (int first : new int[] {0, 250, 300}) {
            int queries = Math.min(33, length - first);
            float[] part = bench.run(new PassSequence(0, first, queries, length, 7));
            close(rows(whole, first, queries), part, bench, what + " from " + first);
          }
        });
  }

  private static void close(float[] expected, float[] found, PassBench bench, String what) {
    double[] wide = new double[expected.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = expected[i];
    }
    Numbers.assertRelativeNorm(
        wide, found, 2 * tolerance(bench.predictor.operations().dtype()), what);
  }

  /// As in MaskPredictorReferenceTest: independent roundings add up by their squares.
  private static double tolerance(DType dtype) {
    double roundings = 9 * MODEL.layers() + 2;
    return dtype == DType.BF16
        ? Math.sqrt(roundings) * Bf16.UNIT_ROUNDOFF
        : Math.sqrt(roundings * MODEL.dModel()) * Numbers.F32_UNIT_ROUNDOFF;
  }

  /// Changed tokens: what is not computed keeps the keys and values it had, stale as they are; what
  /// is computed leaves its own.
  @OnSoftwareDevices
  void changedTokens_meetStaleKeys(DeviceSpec device) throws IOException {
    Seed seed = Seed.fresh();
    onAll(
        device,
        (bench, what) -> {
          DType dtype = bench.predictor.operations().dtype();
          var reference = new RefMaskPredictor(folder, dtype);
          int length = 37;
          int at = 100;
          int cache = 61;
          int[] ids = seed.ints(length, MODEL.vocabSize());
          var expectedCache = reference.new Cache(length);
          // Whole, prefix, dual, dual elsewhere, whole again; all ids change before each.
          int[][] parts = {{0, length}, {20, 17}, {20, 5}, {3, 9}, {0, length}, {36, 1}};
          for (int[] part : parts) {
            int first = part[0];
            int queries = part[1];
            ids = seed.ints(length, MODEL.vocabSize());
            bench.put(at, ids);
            double[][] expected =
                reference.forward(
                    Arrays.copyOfRange(ids, first, first + queries), first, expectedCache);
            float[] found = bench.run(new PassSequence(at, first, queries, length, cache));
            Numbers.assertRelativeNorm(
                Arrays.stream(expected).flatMapToDouble(Arrays::stream).toArray(),
                found,
                tolerance(dtype),
                "%s, from %d %d, %s".formatted(what, first, queries, seed));
          }
        });
  }

  /// A sequence's logits are the same bits whatever shares its pass: uncached ones and cached ones
  /// with their regions in any order, gaps between them or none.
  @OnSoftwareDevices
  void mixedPass_givesEachSequenceItsSoloBits(DeviceSpec device) throws IOException {
    Seed seed = Seed.fresh();
    int rounds = device.equals(TestDevices.emulator()) ? 2 : 10;
    onAll(
        device,
        (bench, what) -> {
          for (int round = 0; round < rounds; round++) {
            mixed(bench, seed, what + ", round " + round + ", " + seed);
          }
        });
  }

  private static void mixed(PassBench bench, Seed seed, String what) {
    var random = seed.random();
    var sequences = new ArrayList<PassSequence>();
    var solo = new ArrayList<float[]>();
    int canvas = 0;
    int cache = random.nextInt(40);
    int count = 2 + random.nextInt(5);
    for (int i = 0; i < count; i++) {
      int length = 1 + random.nextInt(50);
      canvas += random.nextInt(9);
      bench.put(canvas, seed.ints(length, MODEL.vocabSize()));
      if (random.nextInt(3) == 0) {
        sequences.add(PassSequence.whole(canvas, length));
      } else {
        cache += random.nextInt(2) * random.nextInt(30);
        bench.run(new PassSequence(canvas, 0, length, length, cache));
        int first = random.nextInt(length);
        int queries = 1 + random.nextInt(length - first);
        sequences.add(new PassSequence(canvas, first, queries, length, cache));
        cache += length;
      }
      canvas += length;
      // What it leaves in the cache is what it found there: the same bits.
      solo.add(bench.run(sequences.getLast()));
    }
    var order = new ArrayList<Integer>();
    for (int i = 0; i < count; i++) {
      order.add(random.nextInt(i + 1), i);
    }
    List<float[]> packed = bench.run(order.stream().map(sequences::get).toList());
    for (int i = 0; i < count; i++) {
      assertArrayEquals(
          solo.get(order.get(i)), packed.get(i), what + ", " + sequences.get(order.get(i)));
    }
  }

  @GpuTest
  void cachedPasses_onGpu(DeviceSpec gpu) throws IOException {
    splitKeys_agreeWithTheWholePass(gpu);
    changedTokens_meetStaleKeys(gpu);
  }

  @Test
  void whatDoesNotFit_isRefused() throws IOException {
    Context context = TestDevices.context(TestDevices.software());
    Path model = MODEL.write(folder, 1);
    try (var bench =
        new PassBench(context, model, DType.F32, new WorkspaceLimits(20, 20, 3, 30), 50)) {
      refused("cache ends at row 31", () -> bench.run(new PassSequence(0, 0, 8, 8, 23)));
      refused("canvas ends at 51", () -> bench.run(PassSequence.whole(43, 8)));
      refused(
          "share cache row 7",
          () ->
              bench.run(
                  List.of(new PassSequence(0, 0, 8, 8, 0), new PassSequence(10, 0, 8, 8, 7))));
    }
    refused("0 queries", () -> new PassSequence(0, 3, 0, 9, 0));
    refused("2 queries from position 8 of 9", () -> new PassSequence(0, 8, 2, 9, 0));
    refused("all of it without a cache", () -> new PassSequence(0, 1, 2, 9, PassSequence.UNCACHED));
    try (var bench = new PassBench(context, model, DType.F32, new WorkspaceLimits(20, 20, 3), 50)) {
      refused("maxCacheTokens 0", () -> bench.run(new PassSequence(0, 0, 8, 8, 0)));
    }
  }

  private static void refused(String message, org.junit.jupiter.api.function.Executable action) {
    var refusal = assertThrows(IllegalArgumentException.class, action);
    assertTrue(refusal.getMessage().contains(message), refusal.getMessage());
  }
}
