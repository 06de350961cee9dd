package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.PinnedMemory;
import dev.remask.kernel.DType;
import dev.remask.kernel.Weight;
import dev.remask.testing.Bf16;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.PlainInt8;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A model whose matrices are 8-bit integers.
class QuantizedModelTest {
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(64, 32, 4);
  private static final RandomModel MODEL = RandomModel.small(TensorType.F32, 91);
  private static final long CHUNK = 2 << 20;

  @TempDir private Path folder;

  private MaskPredictor load(
      Context context, DType dtype, Quantization how, WeightMemory memory, ProgressListener hears) {
    return MaskPredictor.load(context, folder, dtype, how, LIMITS, memory, hears);
  }

  private MaskPredictor load(Context context, DType dtype, Quantization how) {
    return load(context, dtype, how, null, ProgressListener.NONE);
  }

  @OnSoftwareDevices
  void matrices_holdThePlainIntegers(DeviceSpec device) throws IOException {
    MODEL.write(folder, 1);
    Context context = TestDevices.context(device);
    String block = "model.transformer.blocks.1.";
    for (DType dtype : DType.values()) {
      try (var predictor = load(context, dtype, Quantization.INT8)) {
        Weights weights = predictor.weights();
        Weights.Layer layer = weights.layers().get(1);
        String[] qkv = {block + "q_proj", block + "k_proj", block + "v_proj"};
        holdsPlainIntegers(predictor, layer.qkv(), qkv);
        holdsPlainIntegers(predictor, layer.attnOut(), block + "attn_out");
        holdsPlainIntegers(predictor, layer.gateUp(), block + "ff_proj", block + "up_proj");
        holdsPlainIntegers(predictor, layer.ffOut(), block + "ff_out");
        holdsPlainIntegers(predictor, weights.head(), "model.transformer.ff_out");
        assertEquals(
            (long) MODEL.embeddingSize() * MODEL.dModel() * dtype.bytes(),
            weights.embedding().bytes());
      }
    }
  }

  @GpuTest
  void matrices_holdThePlainIntegers_gpu(DeviceSpec gpu) throws IOException {
    matrices_holdThePlainIntegers(gpu);
  }

  private void holdsPlainIntegers(MaskPredictor predictor, Weight weight, String... tensors) {
    assertEquals(Weight.Layout.INT8, weight.layout());
    int row = 0;
    byte[] values = read(predictor, weight.values());
    byte[] scales = read(predictor, weight.scalesOrNull());
    try (SafeTensors checkpoint = SafeTensors.open(folder)) {
      for (String tensor : tensors) {
        float[] exact =
            checkpoint.data(tensor + ".weight").toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
        boolean narrow = predictor.operations().dtype() == DType.BF16;
        PlainInt8 plain = PlainInt8.of(narrow ? Bf16.round(exact) : exact, weight.k());
        int rows = plain.scales().length;
        assertArrayEquals(
            plain.bytes(),
            Arrays.copyOfRange(values, row * weight.k(), (row + rows) * weight.k()),
            tensor);
        for (int i = 0; i < rows; i++) {
          float scale =
              MemorySegment.ofArray(scales).get(ValueLayout.JAVA_FLOAT_UNALIGNED, (row + i) * 4L);
          assertEquals(plain.scales()[i], scale, tensor);
        }
        row += rows;
      }
    }
    assertEquals(weight.n(), row);
  }

  private static byte[] read(MaskPredictor predictor, DeviceBuffer buffer) {
    Context context = predictor.context();
    return context.call(() -> {
      try (PinnedMemory staging = context.allocatePinned(buffer.bytes())) {
        predictor.stream().copyToHost(staging, 0, buffer, buffer.bytes());
        predictor.stream().synchronize();
        return MemorySegment.ofBuffer(staging.buffer()).toArray(ValueLayout.JAVA_BYTE);
      }
    });
  }

  /// A value is off by up to half a step, evenly spread: √(1/12) steps in the mean. A step is 1/127
  /// of a row's largest value, which is below 4.5 times its norm's mean here; both factors of a
  /// product are so. Errors of the four products of a layer, and of the head, add up at worst.
  @OnSoftwareDevices
  void logits_areThoseOfTheExactModel_asFarAsStepsAllow(DeviceSpec device) throws IOException {
    MODEL.write(folder, 1);
    Context context = TestDevices.context(device);
    int[] ids = MODEL.randomIds(21);
    for (DType dtype : DType.values()) {
      float[] exact;
      float[] approximate;
      try (var predictor = load(context, dtype, Quantization.NONE)) {
        exact = PackedForward.run(context, predictor, ids);
      }
      try (var predictor = load(context, dtype, Quantization.INT8)) {
        approximate = PackedForward.run(context, predictor, ids);
      }
      double squares = 0;
      double errors = 0;
      for (int i = 0; i < exact.length; i++) {
        squares += (double) exact[i] * exact[i];
        errors += Math.pow(exact[i] - approximate[i], 2);
      }
      double ofProduct = Math.sqrt(2) * 4.5 / 127 / Math.sqrt(12);
      double relative = Math.sqrt(errors / squares);
      assertTrue(relative < ofProduct * (4 * MODEL.layers() + 1), "off by " + relative);
      assertTrue(relative > 1e-5, "it was quantised: " + relative);
    }
  }

  @GpuTest
  void logits_areThoseOfTheExactModel_asFarAsStepsAllow_gpu(DeviceSpec gpu) throws IOException {
    logits_areThoseOfTheExactModel_asFarAsStepsAllow(gpu);
  }

  /// No matrix is ever there in the dtype.
  @Test
  void load_takesAChunkMoreThanTheIntegers() throws IOException {
    var large = new RandomModel(3, 4, 1, 64, 3000, 101, 103, false, TensorType.F32, 5);
    large.write(folder, 1);
    ModelConfig config = ModelConfig.read(folder);
    long bytes = Weights.requiredBytes(config, DType.F32, Quantization.INT8);
    assertTrue(bytes < Weights.requiredBytes(config, DType.F32, Quantization.NONE) / 3);
    Context context = TestDevices.context(TestDevices.software());
    long before = context.deviceBytesInUse();
    long[] most = {0};
    ProgressListener hears =
        (done, total) -> most[0] = Math.max(most[0], context.deviceBytesInUse() - before);
    load(context, DType.F32, Quantization.INT8, null, hears).close();
    assertTrue(most[0] >= bytes && most[0] <= bytes + CHUNK, most[0] + " of " + bytes);
    assertEquals(before, context.deviceBytesInUse());
  }

  @Test
  void weightMemory_isSharedAmongQuantizedModelsOnly() throws IOException {
    MODEL.write(folder, 1);
    Context context = TestDevices.context(TestDevices.software());
    int[] ids = MODEL.randomIds(9);
    try (var first = load(context, DType.BF16, Quantization.INT8)) {
      float[] expected = PackedForward.run(context, first, ids);
      WeightMemory memory = first.weightMemory();
      try (var second =
          load(context, DType.BF16, Quantization.INT8, memory, ProgressListener.NONE)) {
        assertArrayEquals(expected, PackedForward.run(context, second, ids));
      }
      assertThrows(
          ModelException.class,
          () -> load(context, DType.BF16, Quantization.NONE, memory, ProgressListener.NONE));
    }
  }

  @Test
  void tiedHead_staysInTheDtype() throws IOException {
    MODEL.tied().write(folder, 1);
    Context context = TestDevices.context(TestDevices.software());
    try (var predictor = load(context, DType.BF16, Quantization.INT8)) {
      assertEquals(Weight.Layout.ROWS, predictor.weights().head().layout());
      PackedForward.run(context, predictor, MODEL.randomIds(9));
    }
  }
}
