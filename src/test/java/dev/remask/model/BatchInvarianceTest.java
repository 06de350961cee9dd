package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DType;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

/// A sequence's logits have the same bits in every pass: alone, and packed with any others in any
/// order, whatever the number of tokens and rows makes of tiles, splits and kernels.
///
/// On the software device that is so by itself. Where matrix products have kernels to choose from
/// (the emulator, cards), it is what `REMASK_GEMM=own` promises.
class BatchInvarianceTest {
  private static final String GEMM = "remask.gemm";
  private static final String KERNELS = "remask.kernels";
  private static final RandomModel MODEL =
      new RandomModel(2, 2, 1, 64, 150, 101, 103, false, TensorType.F32, 8);

  @TempDir private Path folder;

  @AfterEach
  void restore() {
    System.clearProperty(GEMM);
    System.clearProperty(KERNELS);
  }

  @OnSoftwareDevices
  void logitsOfASequence_areItsSoloBits(DeviceSpec device) throws IOException {
    boolean emulated = device.equals(TestDevices.emulator());
    // Beyond 256 rows other products are chosen: the last totals are there.
    int[] totals = emulated ? new int[] {40, 290} : new int[] {9, 20, 60, 64, 100, 200, 256, 600};
    for (DType dtype : DType.values()) {
      for (String family :
          emulated && dtype == DType.BF16 ? List.of("sm_80", "sm_90a") : List.of("auto")) {
        System.setProperty(GEMM, emulated ? "own" : "auto");
        System.setProperty(KERNELS, family);
        check(device, dtype, totals, family);
        System.clearProperty(GEMM);
        System.clearProperty(KERNELS);
      }
    }
  }

  @GpuTest
  void logitsOfASequence_areItsSoloBits_onGpu(DeviceSpec gpu) throws IOException {
    System.setProperty(GEMM, "own");
    for (DType dtype : DType.values()) {
      check(gpu, dtype, new int[] {9, 20, 60, 64, 100, 200, 256, 600}, "auto");
    }
  }

  /// Sums of integers are exact, so there no setting is needed.
  @OnSoftwareDevices
  void logitsOfASequence_areItsSoloBits_quantized(DeviceSpec device) throws IOException {
    boolean emulated = device.equals(TestDevices.emulator());
    int[] totals = emulated ? new int[] {40} : new int[] {9, 20, 60, 64, 100, 200, 256, 600};
    for (DType dtype : DType.values()) {
      check(device, dtype, Quantization.INT8, totals, "auto");
    }
  }

  @GpuTest
  void logitsOfASequence_areItsSoloBits_quantized_onGpu(DeviceSpec gpu) throws IOException {
    logitsOfASequence_areItsSoloBits_quantized(gpu);
  }

  private void check(DeviceSpec device, DType dtype, int[] totals, String family)
      throws IOException {
    check(device, dtype, Quantization.NONE, totals, family);
  }

  private void check(
      DeviceSpec device, DType dtype, Quantization quantization, int[] totals, String family)
      throws IOException {
    Seed seed = Seed.fresh();
    var limits = new WorkspaceLimits(700, 700, 64, 1600);
    Path model = MODEL.write(folder, 1);
    Context context = TestDevices.context(device);
    var predictor =
        MaskPredictor.load(
            context, model, dtype, quantization, limits, null, ProgressListener.NONE);
    try (var bench = new PassBench(context, predictor, 4000)) {
      for (int total : totals) {
        packAndCompare(
            bench,
            seed,
            total,
            "%s, %s, quantize %s, %s, %d tokens, %s"
                .formatted(device, dtype, quantization, family, total, seed));
      }
    }
  }

  /// Draws sequences of so many queries in all, runs each alone, then all in two random orders.
  private static void packAndCompare(PassBench bench, Seed seed, int total, String what) {
    var random = seed.random();
    var sequences = new ArrayList<PassSequence>();
    var solo = new ArrayList<float[]>();
    int canvas = 0;
    int cache = 0;
    for (int left = total; left > 0; ) {
      int queries = Math.min(left, 1 + random.nextInt(1 + Math.min(120, total / 2)));
      left -= queries;
      // A third have a cache, some of them so long that tensor cores split its keys.
      int length = queries + random.nextInt(random.nextInt(3) == 0 ? 300 : 40);
      boolean cached = random.nextInt(3) == 0 && cache + length <= 1600;
      length = cached ? length : queries;
      bench.put(canvas, seed.ints(length, MODEL.vocabSize()));
      if (cached) {
        bench.store(new PassSequence(canvas, 0, length, length, cache));
        int first = random.nextInt(length - queries + 1);
        sequences.add(new PassSequence(canvas, first, queries, length, cache));
        cache += length;
      } else {
        sequences.add(PassSequence.whole(canvas, length));
      }
      canvas += length;
      solo.add(bench.run(sequences.getLast()));
    }
    var order = new ArrayList<Integer>();
    for (int i = 0; i < sequences.size(); i++) {
      order.add(i);
    }
    for (int round = 0; round < 2; round++) {
      Collections.shuffle(order, new Random(random.nextLong()));
      List<float[]> packed = bench.run(order.stream().map(sequences::get).toList());
      for (int i = 0; i < order.size(); i++) {
        int which = order.get(i);
        assertArrayEquals(
            solo.get(which), packed.get(i), what + ": " + sequences.get(which) + " in " + order);
      }
    }
    selectAndCompare(bench, random, sequences, total, what);
  }

  /// Some rows, in any order and some of them twice, have the bits that they have among all.
  private static void selectAndCompare(
      PassBench bench,
      SplittableRandom random,
      List<PassSequence> sequences,
      int total,
      String what) {
    int width = MODEL.embeddingSize();
    float[] all = bench.run(PassShape.of(sequences, total), IntStream.range(0, total).toArray());
    int[] some = random.ints(1 + total / 3, 0, total).toArray();
    float[] selected = bench.run(PassShape.of(sequences, some.length), some);
    for (int i = 0; i < some.length; i++) {
      assertArrayEquals(
          Arrays.copyOfRange(all, some[i] * width, (some[i] + 1) * width),
          Arrays.copyOfRange(selected, i * width, (i + 1) * width),
          what + ": row " + some[i] + " of " + some.length);
    }
  }
}
