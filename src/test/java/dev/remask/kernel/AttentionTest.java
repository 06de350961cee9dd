package dev.remask.kernel;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.Arrays;

class AttentionTest {
  private static final int TILE = Attention.QUERY_TILE;

  /// Heads of a case and how they lie: in one fused row as the model has them, plus padding.
  private record Heads(int heads, int kvHeads, int headDim, int padding) {
    int stride() {
      return (heads + 2 * kvHeads) * headDim + padding;
    }

    int width() {
      return heads * headDim;
    }
  }

  @OnSoftwareDevices
  void attention_matchesDoubleReference_aroundTheTiles(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          for (int headDim : new int[] {64, 128}) {
            var heads = new Heads(1, 1, headDim, 0);
            // key tiles are 32 wide: 31 to 33 and 63 to 65 are edges of both
            for (int tokens : new int[] {1, 7, 31, 32, 33, TILE - 1, TILE, TILE + 1}) {
              compares(bench, seed, heads, 1, new int[] {tokens}, new int[] {tokens});
            }
          }
        });
  }

  @GpuTest
  void attention_matchesDoubleReference_aroundTheTiles_gpu(DeviceSpec gpu) {
    attention_matchesDoubleReference_aroundTheTiles(gpu);
  }

  @OnSoftwareDevices
  void attention_keepsPackedSequencesApart_withGroupedHeads(DeviceSpec device) {
    Seed seed = Seed.fresh();
    int[] lengths = {5, 1, 67, 33};
    KernelBench.onBoth(
        device,
        bench -> {
          compares(bench, seed, new Heads(2, 1, 64, 0), 1, lengths, lengths);
          compares(bench, seed, new Heads(4, 2, 128, 8), 1, new int[] {3, 34}, new int[] {3, 34});
        });
  }

  @GpuTest
  void attention_keepsPackedSequencesApart_withGroupedHeads_gpu(DeviceSpec gpu) {
    attention_keepsPackedSequencesApart_withGroupedHeads(gpu);
  }

  @OnSoftwareDevices
  void attention_takesOtherKeysThanQueries_andWritesZerosWhereThereAreNone(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench ->
            compares(
                bench,
                seed,
                new Heads(2, 2, 64, 0),
                1,
                new int[] {3, 2, 0, 9},
                new int[] {70, 0, 4, 1}));
  }

  @GpuTest
  void attention_takesOtherKeysThanQueries_andWritesZerosWhereThereAreNone_gpu(DeviceSpec gpu) {
    attention_takesOtherKeysThanQueries_andWritesZerosWhereThereAreNone(gpu);
  }

  @OnSoftwareDevices
  void attention_matchesDoubleReference_whereVectorsDoNotFitTheStride(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> compares(bench, seed, new Heads(1, 1, 64, 1), 1, new int[] {35}, new int[] {35}));
  }

  @GpuTest
  void attention_matchesDoubleReference_whereVectorsDoNotFitTheStride_gpu(DeviceSpec gpu) {
    attention_matchesDoubleReference_whereVectorsDoNotFitTheStride(gpu);
  }

  /// Scores of ± hundreds: the weights are one-hot, and exp of an unshifted score would overflow.
  @OnSoftwareDevices
  void attention_neitherOverflowsNorUnderflows_onLargeScores(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> compares(bench, seed, new Heads(1, 1, 64, 0), 12, new int[] {65}, new int[] {65}));
  }

  @GpuTest
  void attention_neitherOverflowsNorUnderflows_onLargeScores_gpu(DeviceSpec gpu) {
    attention_neitherOverflowsNorUnderflows_onLargeScores(gpu);
  }

  private static int[] offsets(int[] lengths) {
    var offsets = new int[lengths.length + 1];
    for (int s = 0; s < lengths.length; s++) {
      offsets[s + 1] = offsets[s] + lengths[s];
    }
    return offsets;
  }

  private static void compares(
      KernelBench bench, Seed seed, Heads heads, double deviation, int[] queries, int[] keys) {
    int x = bench.dtype.bytes();
    int stride = heads.stride();
    int width = heads.width();
    int kvWidth = heads.kvHeads * heads.headDim;
    int[] qOffsets = offsets(queries);
    int[] kvOffsets = offsets(keys);
    int queryTokens = qOffsets[queries.length];
    int keyTokens = kvOffsets[keys.length];
    int tokens = Math.max(queryTokens, keyTokens);
    float[] qkv = KernelBench.rounded(bench.dtype, seed.normals(tokens * stride, deviation));
    var device = bench.floats(bench.dtype, qkv).buffer();
    var out = bench.poison(bench.dtype, queryTokens * width);
    long kBegin = (long) width * x;
    long vBegin = kBegin + (long) kvWidth * x;
    bench
        .operations
        .attention()
        .launch(
            bench.stream,
            out.buffer(),
            device,
            device.slice(kBegin, device.bytes() - kBegin),
            device.slice(vBegin, device.bytes() - vBegin),
            bench.ints(qOffsets).buffer(),
            bench.ints(kvOffsets).buffer(),
            new Attention.Shape(
                queries.length,
                Arrays.stream(queries).max().orElseThrow(),
                queryTokens,
                keyTokens,
                heads.heads,
                heads.kvHeads,
                heads.headDim,
                stride,
                stride,
                width));

    var expected = new double[queryTokens * width];
    var bounds = new double[queryTokens * width];
    for (int s = 0; s < queries.length; s++) {
      for (int query = qOffsets[s]; query < qOffsets[s + 1]; query++) {
        for (int head = 0; head < heads.heads; head++) {
          int kvHead = head * heads.kvHeads / heads.heads;
          attend(
              qkv,
              query * stride + head * heads.headDim,
              kvOffsets[s] * stride + width + kvHead * heads.headDim,
              kvOffsets[s + 1] - kvOffsets[s],
              stride,
              kvWidth,
              heads.headDim,
              KernelBench.unitRoundoff(bench.dtype),
              expected,
              bounds,
              query * width + head * heads.headDim);
        }
      }
    }
    Numbers.assertWithin(
        expected,
        out.read(),
        bounds,
        bench.dtype
            + " "
            + heads
            + " queries "
            + Arrays.toString(queries)
            + " keys "
            + Arrays.toString(keys)
            + ", "
            + seed);
  }

  /// One query of one head in double, and how far f32 arithmetic in any order may be from it.
  private static void attend(
      float[] qkv,
      int q,
      int k,
      int keys,
      int stride,
      int kToV,
      int headDim,
      double storing,
      double[] expected,
      double[] bounds,
      int out) {
    double scale = 1 / Math.sqrt(headDim);
    var scores = new double[keys];
    double largest = Double.NEGATIVE_INFINITY;
    double magnitude = 0;
    for (int j = 0; j < keys; j++) {
      double sum = 0;
      for (int d = 0; d < headDim; d++) {
        double product = (double) qkv[q + d] * qkv[k + j * stride + d];
        scores[j] += product * scale;
        sum += Math.abs(product) * scale;
      }
      largest = Math.max(largest, scores[j]);
      magnitude = Math.max(magnitude, sum);
    }
    double total = 0;
    for (int j = 0; j < keys; j++) {
      scores[j] = Math.exp(scores[j] - largest);
      total += scores[j];
    }
    double u = Numbers.F32_UNIT_ROUNDOFF;
    // A score is off by (headDim + 4 roundings of scaling and shifting)·u·magnitude, its weight
    // relatively by as much and the 2 ulp of exp; the normalising sum likewise: twice. Sums over
    // the keys add one rounding per key, rescaling up to two per tile of keys: below 2·keys + 16.
    double weight = 2 * (headDim + 4) * u * magnitude + (2 * keys + 16) * u;
    for (int d = 0; d < headDim; d++) {
      double value = 0;
      double values = 0;
      for (int j = 0; j < keys; j++) {
        double term = scores[j] / total * qkv[k + j * stride + kToV + d];
        value += term;
        values += Math.abs(term);
      }
      expected[out + d] = value;
      bounds[out + d] = weight * values + storing * (Math.abs(value) + weight * values);
    }
  }
}
