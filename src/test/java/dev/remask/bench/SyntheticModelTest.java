package dev.remask.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.GenerateRequest;
import dev.remask.GenerateResult;
import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.RequestException;
import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.DType;
import dev.remask.model.ModelConfig;
import dev.remask.model.ModelException;
import dev.remask.model.ProgressListener;
import dev.remask.model.SafeTensors;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Models of random weights: shapes, files, and that they work.
class SyntheticModelTest {
  /// Grouped heads, a vocabulary that is no multiple of anything.
  private static final SyntheticModel SMALL = new SyntheticModel(256, 2, 4, 2, 192, 1003, 256, 11);

  @TempDir Path folder;

  private Path write(SyntheticModel model, String name) {
    Path path = folder.resolve(name);
    SyntheticFiles.write(model, path, ProgressListener.NONE);
    return path;
  }

  @Test
  void parse_knowsShapesByName() {
    SyntheticModel llada = SyntheticModel.parse("llada-8b");
    assertEquals(8_015_581_184L, llada.parameters());
    assertEquals(126336, llada.maskId());
    assertEquals(126081, llada.eosId());
    assertEquals(llada.withLayers(3), SyntheticModel.parse("LLaDA-8B:3"));
    SyntheticModel tiny = SyntheticModel.parse("tiny");
    ModelConfig real = ModelConfig.read(Remask.defaultModel());
    assertEquals(real.dModel(), tiny.config().dModel());
    assertEquals(real.mlpHiddenSize(), tiny.config().mlpHiddenSize());
    assertEquals(real.maskTokenId(), tiny.maskId());
    assertEquals(real.eosTokenId(), tiny.eosId());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "llada", "tiny:", "tiny:0", "tiny:x", "llada-8b:99999", ":3"})
  void parse_refusesOthers(String text) {
    var refused = assertThrows(RequestException.class, () -> SyntheticModel.parse(text));
    assertTrue(refused.getMessage().contains("llada-8b:4"), refused::getMessage);
  }

  @Test
  void shapes_thatNoKernelRuns_areRefused() {
    assertField("d_model", () -> new SyntheticModel(100, 2, 2, 2, 64, 100, 64, 0));
    assertField("kv_heads", () -> new SyntheticModel(256, 2, 4, 3, 64, 100, 64, 0));
    assertField("layers", () -> new SyntheticModel(256, 0, 4, 2, 64, 100, 64, 0));
    assertField("vocabulary", () -> new SyntheticModel(256, 1, 4, 2, 64, 3, 64, 0));
  }

  private static void assertField(String field, Runnable made) {
    var refused = assertThrows(RequestException.class, made::run);
    assertTrue(refused.getMessage().startsWith(field + " "), refused::getMessage);
  }

  @Test
  void folder_holdsTheModelOfTheConfig() throws IOException {
    Path path = write(SMALL, "small");
    assertEquals(SMALL.config(), ModelConfig.read(path));
    try (SafeTensors tensors = SafeTensors.open(path)) {
      long bytes = tensors.tensors().values().stream().mapToLong(t -> t.bytes()).sum();
      assertEquals(SyntheticFiles.bytes(SMALL), bytes);
    }
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(1, left.count(), "nothing else is left behind");
    }
  }

  @Test
  void sameShapeAndSeed_areTheSameBytes_otherSeedOthers() throws IOException {
    byte[] once = weights(write(SMALL, "a"));
    assertArrayEquals(once, weights(write(SMALL, "b")));
    var other = new SyntheticModel(256, 2, 4, 2, 192, 1003, 256, 12);
    assertTrue(Arrays.mismatch(once, weights(write(other, "c"))) >= 0);
  }

  private static byte[] weights(Path path) throws IOException {
    return Files.readAllBytes(path.resolve("model.safetensors"));
  }

  /// The embedding is the first tensor, the LM head the last.
  @Test
  void embedding_isNormal_andTheHeadItsNextRow() throws IOException {
    byte[] file = weights(write(SMALL, "small"));
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    int begin = Math.toIntExact(Long.BYTES + bytes.getLong(0));
    assertEquals(0, begin % Long.BYTES);
    int count = SMALL.vocabulary() * SMALL.dModel();
    float[] embedding = bf16(bytes, begin, count);
    float[] head = bf16(bytes, file.length - 2 * count, count);
    double sum = 0;
    double squares = 0;
    for (float value : embedding) {
      sum += value;
      squares += value * value;
    }
    // The mean of n draws has deviation 1/sqrt(n), their mean square sqrt(2/n); six of either.
    assertEquals(0, sum / count, 6 / Math.sqrt(count));
    assertEquals(1, squares / count, 6 * Math.sqrt(2.0 / count) + 0x1p-8);
    double scale = Math.log(SMALL.vocabulary()) / SMALL.dModel();
    int d = SMALL.dModel();
    for (int i = 0; i < count; i++) {
      double wanted = embedding[(i + d) % count] * scale;
      // Both are rounded to eight bits.
      assertEquals(wanted, head[i], Math.abs(wanted) * 0x1p-7, "element " + i);
    }
  }

  private static float[] bf16(ByteBuffer bytes, int begin, int count) {
    var values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = Float.intBitsToFloat(bytes.getShort(begin + 2 * i) << 16);
    }
    return values;
  }

  /// What makes two implementations agree whatever they round: every mask becomes the same token.
  @ParameterizedTest
  @EnumSource(DType.class)
  void everyPosition_predictsThePredecessorOfTheMask(DType dtype) {
    Path path = write(SMALL, "small");
    var options = LoadOptions.defaults().withDevice(DeviceSpec.parse("software")).withDType(dtype);
    try (Model model = Remask.load(path, options)) {
      var request =
          GenerateRequest.builder()
              .promptIds(5, 77, 400, 8)
              .options(DiffusionOptions.builder().genLength(16).blockLength(8).steps(8).build())
              .trace(true)
              .build();
      GenerateResult result = model.generate(request);
      var wanted = new int[16];
      Arrays.fill(wanted, SMALL.maskId() - 1);
      assertArrayEquals(wanted, result.outputIds());
      double least =
          result.trace().stream().mapToDouble(commit -> commit.confidence()).min().orElse(0);
      double most =
          result.trace().stream().mapToDouble(commit -> commit.confidence()).max().orElse(1);
      assertTrue(least > 0.01 && most < 0.999, "confidences from " + least + " to " + most);
    }
  }

  @Test
  void cached_isWrittenOnce() throws IOException {
    Path first = SyntheticFiles.cached(SMALL, folder, ProgressListener.NONE);
    var written = Files.getLastModifiedTime(first.resolve("model.safetensors"));
    assertEquals(first, SyntheticFiles.cached(SMALL, folder, ProgressListener.NONE));
    assertEquals(written, Files.getLastModifiedTime(first.resolve("model.safetensors")));
  }

  @Test
  void files_areTheSameInEveryLocale() throws IOException {
    Path plain = write(SMALL, "plain");
    Locale before = Locale.getDefault();
    Locale.setDefault(Locale.of("ar", "EG"));
    try {
      Path other = write(SMALL, "other");
      for (String file : List.of("config.json", "model.safetensors")) {
        assertEquals(-1, Files.mismatch(plain.resolve(file), other.resolve(file)), file);
      }
    } finally {
      Locale.setDefault(before);
    }
  }

  @Test
  void interrupting_leavesNothingBehind() throws IOException {
    Thread.currentThread().interrupt();
    assertThrows(
        CancellationException.class,
        () -> SyntheticFiles.write(SMALL, folder.resolve("model"), ProgressListener.NONE));
    assertTrue(Thread.interrupted());
    try (var files = Files.list(folder)) {
      assertEquals(0, files.count());
    }
  }

  @Test
  void existingFolders_areLeftAlone() throws IOException {
    Files.createDirectory(folder.resolve("there"));
    var refused = assertThrows(ModelException.class, () -> write(SMALL, "there"));
    assertTrue(refused.getMessage().contains("exists already"), refused::getMessage);
  }

  @Test
  void tooLargeForTheDisk_isToldBeforeAnythingIsWritten() throws IOException {
    var huge = new SyntheticModel(8192, 4096, 64, 64, 1 << 20, 1 << 24, 4096, 0);
    var refused = assertThrows(ModelException.class, () -> write(huge, "huge"));
    assertTrue(refused.getMessage().contains("are free there"), refused::getMessage);
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(0, left.count());
    }
  }
}
