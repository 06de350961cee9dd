package dev.remask.model;

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
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Random models at odd sizes against the plain double reference: grouped heads 4:1 and 2:1, both
/// head sizes, odd feed-forward widths and vocabularies, one-token sequences; f16 and sharded
/// checkpoints, tied weights.
class MaskPredictorReferenceTest {
  @TempDir private Path folder;

  @Test
  void reference_agreesWithGolden() {
    try (var golden = SafeTensors.open(TestModels.goldenLogits("micro"))) {
      int[] ids =
          golden.data("a.mixed.ids").toArray(java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED);
      float[] logits =
          golden.data("a.mixed.logits").toArray(java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED);
      double[][] reference = new RefMaskPredictor(TestModels.micro(), DType.F32).forward(ids);
      // The golden was rounded to f32 once.
      Numbers.assertRelativeNorm(flat(reference), logits, Numbers.F32_UNIT_ROUNDOFF, "a.mixed");
    }
  }

  @OnSoftwareDevices
  void groupedHeads4to1_headDim64(DeviceSpec device) throws IOException {
    check(device, RandomModel.small(TensorType.F32, seed()), 1, 1, 7, 33);
  }

  @OnSoftwareDevices
  void f16Checkpoint_tiedWeights(DeviceSpec device) throws IOException {
    check(device, RandomModel.small(TensorType.F16, seed()).tied(), 1, 19);
  }

  @OnSoftwareDevices
  void headDim128_sharded(DeviceSpec device) throws IOException {
    var model = new RandomModel(2, 2, 1, 128, 70, 130, 131, false, TensorType.BF16, seed());
    check(device, model, 3, 31, 2);
  }

  @Test
  void severalLayers_longerThanTiles() throws IOException {
    var model = new RandomModel(3, 2, 2, 128, 333, 257, 300, false, TensorType.F32, seed());
    check(TestDevices.software(), model, 2, 65, 1, 128);
  }

  @GpuTest
  void models_onGpu(DeviceSpec gpu) throws IOException {
    groupedHeads4to1_headDim64(gpu);
    f16Checkpoint_tiedWeights(gpu);
    headDim128_sharded(gpu);
  }

  private static long seed() {
    return Seed.fresh().random().nextLong() & 0xffff_ffffL;
  }

  private void check(DeviceSpec device, RandomModel model, int shards, int... lengths)
      throws IOException {
    Path path = model.write(folder.resolve(device.kind().name()), shards);
    Context context = TestDevices.context(device);
    var sequences = new ArrayList<int[]>();
    int tokens = 0;
    for (int length : lengths) {
      sequences.add(model.randomIds(length));
      tokens += length;
    }
    var limits = new WorkspaceLimits(tokens, tokens, lengths.length);
    for (DType dtype : DType.values()) {
      var reference = new RefMaskPredictor(path, dtype);
      try (var predictor =
          MaskPredictor.load(context, path, dtype, limits, ProgressListener.NONE)) {
        var rows = java.util.stream.IntStream.range(0, tokens).toArray();
        float[] packed = PackedForward.run(context, predictor, sequences, rows);
        int from = 0;
        for (int[] ids : sequences) {
          double[] expected = flat(reference.forward(ids));
          float[] found = java.util.Arrays.copyOfRange(packed, from, from + expected.length);
          from += expected.length;
          String what = "%s, %d tokens, %s on %s".formatted(model, ids.length, dtype, device);
          Numbers.assertRelativeNorm(expected, found, tolerance(model, dtype), what);
        }
      }
    }
  }

  /// Independent roundings add up by their squares: nine of an activation in each layer (two norms,
  /// QKV, RoPE, attention, two deltas, gate and up, their product) and two more at the head, each
  /// of relative size below the unit roundoff. A sum over k terms in f32 has a rounding for each.
  private static double tolerance(RandomModel model, DType dtype) {
    double roundings = 9 * model.layers() + 2;
    if (dtype == DType.BF16) {
      return Math.sqrt(roundings) * Bf16.UNIT_ROUNDOFF;
    }
    double terms = Math.max(model.dModel(), model.mlpHiddenSize());
    return Math.sqrt(roundings * terms) * Numbers.F32_UNIT_ROUNDOFF;
  }

  private static double[] flat(double[][] rows) {
    return List.of(rows).stream().flatMapToDouble(java.util.Arrays::stream).toArray();
  }
}
