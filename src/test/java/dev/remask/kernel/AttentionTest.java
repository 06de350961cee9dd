package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.Bf16;
import dev.remask.testing.GpuTest;
import dev.remask.testing.Numbers;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.Arrays;

class AttentionTest {
  private static final int TILE = AttentionPortable.QUERY_TILE;

  /// Heads of a case and how they lie: in one fused row as the model has them, plus padding.
  record Heads(int heads, int kvHeads, int headDim, int padding) {
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

  /// Block-cached decoding: a sequence of few queries has its keys split, the others not.
  @OnSoftwareDevices
  void attention_matchesDoubleReference_whereKeysAreSplit(DeviceSpec device) {
    Seed seed = Seed.fresh();
    KernelBench.onBoth(
        device,
        bench -> {
          int[] queries = {9, 70, 64};
          int[] keys = {700, 300, 257};
          compares(bench, seed, new Heads(2, 1, 64, 0), 1, queries, keys);
          compares(bench, seed, new Heads(1, 1, 128, 0), 1, new int[] {33}, new int[] {513});
        });
  }

  @GpuTest
  void attention_matchesDoubleReference_whereKeysAreSplit_gpu(DeviceSpec gpu) {
    attention_matchesDoubleReference_whereKeysAreSplit(gpu);
  }

  /// Enough tiles for the larger of the sm_80 kernels.
  @OnSoftwareDevices
  void attention_matchesDoubleReference_inLargeTiles(DeviceSpec device) {
    Seed seed = Seed.fresh();
    int[] queries = {1030, 3};
    int[] keys = {65, 130};
    KernelBench.on(
        device,
        DType.BF16,
        bench -> {
          compares(bench, seed, new Heads(1, 1, 64, 0), 1, queries, keys);
          compares(bench, seed, new Heads(1, 1, 128, 0), 1, queries, keys);
        });
  }

  @GpuTest
  void attention_matchesDoubleReference_inLargeTiles_gpu(DeviceSpec gpu) {
    attention_matchesDoubleReference_inLargeTiles(gpu);
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

  /// The neighbours make the batch large enough for other tiles, and split or not, first or last in
  /// the order of the work.
  @OnSoftwareDevices
  void attention_givesASequenceTheSameBits_whateverIsBesideIt(DeviceSpec device) {
    Seed seed = Seed.fresh();
    int[] queries = {33, 1030, 20, 70};
    int[] keys = {300, 40, 20, 130};
    for (int headDim : new int[] {64, 128}) {
      var heads = new Heads(1, 1, headDim, 0);
      float[] qkv = seed.normalsInBf16(Arrays.stream(queries).sum() * heads.stride(), 1);
      KernelBench.onBoth(
          device,
          bench -> {
            float[] packed = run(bench, heads, qkv, queries, keys).out();
            for (int s : new int[] {0, 2, 3}) {
              int q = offsets(queries)[s];
              int k = offsets(keys)[s];
              // The queries are the first third of a row, their keys and values the rest.
              var own = new float[Math.max(queries[s], keys[s]) * heads.stride()];
              for (int token = 0; token < own.length / heads.stride(); token++) {
                int at = token * heads.stride();
                for (int i = 0; i < heads.stride(); i++) {
                  int row = token + (i < heads.width() ? q : k);
                  int from = row * heads.stride() + i;
                  own[at + i] = from < qkv.length ? qkv[from] : 0;
                }
              }
              float[] alone =
                  run(bench, heads, own, new int[] {queries[s]}, new int[] {keys[s]}).out();
              int width = heads.width();
              assertArrayEquals(
                  alone,
                  Arrays.copyOfRange(packed, q * width, (q + queries[s]) * width),
                  bench.architecture + " " + heads + " sequence " + s + ", " + seed);
            }
          });
    }
  }

  @GpuTest
  void attention_givesASequenceTheSameBits_whateverIsBesideIt_gpu(DeviceSpec gpu) {
    attention_givesASequenceTheSameBits_whateverIsBesideIt(gpu);
  }

  private static int[] offsets(int[] lengths) {
    var offsets = new int[lengths.length + 1];
    for (int s = 0; s < lengths.length; s++) {
      offsets[s + 1] = offsets[s] + lengths[s];
    }
    return offsets;
  }

  /// What a launch wrote; lse is null where its kernels write none.
  private record Result(float[] out, float[] lse) {}

  /// Attention over the rows of a fused QKV buffer.
  private static Result run(
      KernelBench bench, Heads heads, float[] qkv, int[] queries, int[] keys) {
    int x = bench.dtype.bytes();
    int stride = heads.stride();
    int width = heads.width();
    int queryTokens = Arrays.stream(queries).sum();
    DeviceBuffer device = bench.floats(bench.dtype, qkv).buffer();
    var out = bench.poison(bench.dtype, queryTokens * width);
    long kBegin = (long) width * x;
    long vBegin = kBegin + (long) heads.kvHeads * heads.headDim * x;
    Attention attention = bench.operations.attention();
    AttentionWork work = attention.work(queries, keys);
    boolean tensorCores = onTensorCores(bench, heads);
    var lse = bench.poison(DType.F32, tensorCores ? heads.heads * queryTokens : 0);
    long scratch = Attention.scratchBytes(work.partialRows(), heads.heads, heads.headDim);
    attention.launch(
        bench.stream,
        new Attention.Buffers(
            out.buffer(),
            device,
            device.slice(kBegin, device.bytes() - kBegin),
            device.slice(vBegin, device.bytes() - vBegin),
            bench.ints(offsets(queries)).buffer(),
            bench.ints(offsets(keys)).buffer(),
            bench.ints(work.ints()).buffer(),
            bench.poison(DType.F32, Math.toIntExact(scratch / Float.BYTES)).buffer(),
            tensorCores ? lse.buffer() : null),
        new Attention.Shape(
            queries.length,
            Arrays.stream(queries).max().orElseThrow(),
            queryTokens,
            Arrays.stream(keys).sum(),
            heads.heads,
            heads.kvHeads,
            heads.headDim,
            stride,
            stride,
            width),
        work);
    return new Result(out.read(), tensorCores ? lse.read() : null);
  }

  /// Whether the bench's kernels round weights to bf16: rows of other alignment are portable.
  private static boolean onTensorCores(KernelBench bench, Heads heads) {
    return bench.operations.attention().architecture() != Architecture.PORTABLE
        && heads.stride() * bench.dtype.bytes() % 16 == 0;
  }

  static void compares(
      KernelBench bench, Seed seed, Heads heads, double deviation, int[] queries, int[] keys) {
    int stride = heads.stride();
    int width = heads.width();
    int kvWidth = heads.kvHeads * heads.headDim;
    int[] qOffsets = offsets(queries);
    int[] kvOffsets = offsets(keys);
    int queryTokens = qOffsets[queries.length];
    int tokens = Math.max(queryTokens, kvOffsets[keys.length]);
    float[] qkv = KernelBench.rounded(bench.dtype, seed.normals(tokens * stride, deviation));
    boolean tensorCores = onTensorCores(bench, heads);
    Result result = run(bench, heads, qkv, queries, keys);

    var expected = new double[queryTokens * width];
    var bounds = new double[queryTokens * width];
    var expectedLse = new double[heads.heads * queryTokens];
    var lseBounds = new double[heads.heads * queryTokens];
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
              tensorCores ? Bf16.UNIT_ROUNDOFF : 0,
              KernelBench.unitRoundoff(bench.dtype),
              expected,
              bounds,
              query * width + head * heads.headDim,
              expectedLse,
              lseBounds,
              head * queryTokens + query);
        }
      }
    }
    String what =
        bench.architecture
            + " "
            + bench.dtype
            + " "
            + heads
            + " queries "
            + Arrays.toString(queries)
            + " keys "
            + Arrays.toString(keys)
            + ", "
            + seed;
    Numbers.assertWithin(expected, result.out, bounds, what);
    if (tensorCores) {
      for (int i = 0; i < result.lse.length; i++) {
        if (result.lse[i] != expectedLse[i]) {
          assertEquals(expectedLse[i], result.lse[i], lseBounds[i], "lse " + i + ": " + what);
        }
      }
    }
  }

  /// One query of one head in double, and how far f32 arithmetic in any order may be from it when
  /// the weights are rounded by `weighing` before they meet the values.
  private static void attend(
      float[] qkv,
      int q,
      int k,
      int keys,
      int stride,
      int kToV,
      int headDim,
      double weighing,
      double storing,
      double[] expected,
      double[] bounds,
      int out,
      double[] lse,
      double[] lseBounds,
      int row) {
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
    double weight = 2 * (headDim + 4) * u * magnitude + (2 * keys + 16) * u + weighing;
    lse[row] = largest + Math.log(total);
    lseBounds[row] = weight - weighing + 2 * u * Math.abs(lse[row]);
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
