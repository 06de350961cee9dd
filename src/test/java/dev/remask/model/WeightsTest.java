package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.kernel.DType;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Loading a model: what is refused, and that a load which fails half-way leaves nothing behind.
class WeightsTest {
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(8, 4, 1);
  private static final RandomModel MODEL = RandomModel.small(TensorType.F32, 5);

  @TempDir private Path folder;
  private Context context;
  private long liveBefore;

  @BeforeEach
  void open() throws IOException {
    context = TestDevices.newContext(TestDevices.software());
    liveBefore = SoftwareDevice.liveAllocations();
    MODEL.write(folder, 1);
  }

  @AfterEach
  void nothingIsLeft() {
    SoftwareDevice.setFault(null);
    assertEquals(0, context.deviceBytesInUse());
    assertEquals(liveBefore, SoftwareDevice.liveAllocations());
    context.close();
  }

  private MaskPredictor load(ProgressListener progress) {
    return MaskPredictor.load(context, folder, DType.BF16, LIMITS, progress);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "cuStreamCreate:%d:OUT_OF_MEMORY",
        "cuMemAlloc:%d:OUT_OF_MEMORY",
        "cuMemHostAlloc:%d:OUT_OF_MEMORY",
        "cuEventCreate:%d:OUT_OF_MEMORY",
        "cuEventRecord:%d:INVALID_HANDLE",
        "cuEventSynchronize:%d:UNKNOWN",
        "cuMemcpyHtoDAsync:%d:INVALID_VALUE"
      })
  void faultAtAnyCall_leavesNothing(String fault) {
    int failures = 0;
    boolean loaded = false;
    for (int nth = 1; !loaded; nth++) {
      SoftwareDevice.setFault(fault.formatted(nth));
      try (MaskPredictor predictor = load(ProgressListener.NONE)) {
        SoftwareDevice.setFault(null);
        loaded = true;
        assertTrue(predictor.plannedBytes() > 0);
      } catch (CudaException e) {
        failures++;
        SoftwareDevice.setFault(null);
      }
      assertEquals(0, context.deviceBytesInUse(), "after call " + nth);
      assertEquals(liveBefore, SoftwareDevice.liveAllocations(), "after call " + nth);
    }
    assertTrue(failures > 0, "the fault was met");
  }

  @Test
  void listenerThatThrows_endsTheLoad() {
    var stop = new IllegalStateException("enough");
    int[] chunks = {0};
    var thrown =
        assertThrows(
            IllegalStateException.class,
            () ->
                load((done, total) -> {
                  if (++chunks[0] == 5) {
                    throw stop;
                  }
                }));
    assertSame(stop, thrown);
  }

  @Test
  void progress_growsToTheTotal() {
    long[] last = {0, 0};
    load(
            (done, total) -> {
              assertTrue(done > last[0] && done <= total);
              last[0] = done;
              last[1] = total;
            })
        .close();
    assertEquals(last[1], last[0]);
    assertTrue(last[0] > 0);
  }

  /// A mapped file that is cut while it is read raises SIGBUS; the JVM makes an InternalError of
  /// it.
  @Test
  void fileCutWhileLoading_isAModelException() {
    Path file = folder.resolve(SafeTensors.SINGLE_FILE);
    var refusal =
        assertThrows(
            ModelException.class,
            () ->
                load((done, total) -> {
                  try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                    channel.truncate(4096);
                  } catch (IOException e) {
                    throw new AssertionError(e);
                  }
                }));
    assertTrue(refusal.getMessage().contains("changed while"), refusal.getMessage());
  }

  @Test
  void missingTensor_isNamed() throws IOException {
    edit("blocks.1.up_proj", "blocks.1.up_pr0j");
    assertRefused("model.transformer.blocks.1.up_proj.weight is missing");
  }

  @Test
  void surplusTensor_isNamed() throws IOException {
    // Two layers in the file, one in the config.
    Path config = folder.resolve(ModelConfig.FILE);
    Files.writeString(
        config, Files.readString(config).replace("\"n_layers\": 2", "\"n_layers\": 1"));
    assertRefused("model.transformer.blocks.1.");
  }

  @Test
  void wrongShape_isNamed() throws IOException {
    edit("[64, 256]", "[256, 64]");
    assertRefused("k_proj.weight is of shape [256, 64]; wanted: shape [64, 256], by config.json");
  }

  @Test
  void typeThatIsNotLoadable_isNamed() throws IOException {
    edit("\"F32\"", "\"I32\"");
    assertRefused("is of type I32; wanted: BF16, F16 or F32");
  }

  @Test
  void damagedFile_isRefused() throws IOException {
    Path file = folder.resolve(SafeTensors.SINGLE_FILE);
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, java.util.Arrays.copyOf(bytes, bytes.length - 1));
    assertRefused("data_offsets");
  }

  @Test
  void shapeBeyondMemory_isACudaException() throws IOException {
    // Legal sizes, 2^62 bytes of workspace: the device refuses, and nothing is left.
    var limits = new WorkspaceLimits(Integer.MAX_VALUE, Integer.MAX_VALUE, 1);
    assertThrows(
        CudaException.class,
        () -> MaskPredictor.load(context, folder, DType.F32, limits, ProgressListener.NONE));
  }

  @Test
  void tiedWeights_shareTheEmbedding() throws IOException {
    MODEL.tied().write(folder, 1);
    var tied = new WeightLayout(ModelConfig.read(folder), DType.BF16, Quantization.NONE);
    assertSame(tied.embedding(), tied.head());
    try (MaskPredictor predictor = load(ProgressListener.NONE)) {
      assertEquals(
          predictor.weights().embedding().address(), predictor.weights().head().values().address());
      assertTrue(predictor.config().weightTying());
    }
  }

  @Test
  void tiedWeights_mayStandTwiceInTheFile() throws IOException {
    Path config = folder.resolve(ModelConfig.FILE);
    Files.writeString(config, Files.readString(config).replace("false", "true"));
    load(ProgressListener.NONE).close();
  }

  @Test
  void fusedMatrices_followEachOther_aligned() throws IOException {
    var layout = new WeightLayout(ModelConfig.read(folder), DType.BF16, Quantization.NONE);
    long end = 0;
    for (WeightLayout.Region region : layout.regions()) {
      assertEquals(0, region.offset() % WeightLayout.ALIGNMENT);
      assertTrue(region.offset() >= end);
      end = region.offset() + region.bytes();
    }
    assertTrue(end <= layout.totalBytes());
    List<String> qkv =
        layout.layers().getFirst().qkv().sources().stream()
            .map(WeightLayout.Source::tensor)
            .toList();
    String block = "model.transformer.blocks.0.";
    assertEquals(
        List.of(block + "q_proj.weight", block + "k_proj.weight", block + "v_proj.weight"), qkv);
    assertFalse(layout.embedding() == layout.head());
  }

  /// Replaces the first occurrence in the header by a text of the same length.
  private void edit(String from, String to) throws IOException {
    assertEquals(from.length(), to.length());
    Path file = folder.resolve(SafeTensors.SINGLE_FILE);
    var latin = java.nio.charset.StandardCharsets.ISO_8859_1;
    String content = Files.readString(file, latin);
    assertTrue(content.contains(from), from);
    int at = content.indexOf(from);
    Files.writeString(
        file, content.substring(0, at) + to + content.substring(at + from.length()), latin);
  }

  private void assertRefused(String part) {
    var refusal = assertThrows(ModelException.class, () -> load(ProgressListener.NONE));
    assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
  }
}
