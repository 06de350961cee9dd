package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.DType;
import dev.remask.model.ModelException;
import dev.remask.testing.GpuTest;
import dev.remask.testing.TestDevices;
import dev.remask.text.Message;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The facade: what an embedder sees.
class ModelTest {
  private static final DiffusionOptions SHORT = DiffusionOptions.builder().genLength(24).build();

  private long allocations;

  @BeforeEach
  void countAllocations(TestInfo test) {
    boolean gpuRun = String.valueOf(System.getenv("REMASK_DEVICE")).startsWith("cuda");
    Assumptions.assumeTrue(
        test.getTags().contains("gpu") == gpuRun, "a run is for one kind of device");
    allocations = gpuRun ? 0 : SoftwareDevice.liveAllocations();
  }

  @AfterEach
  void nothingLeaks(TestInfo test) {
    if (!test.getTags().contains("gpu")) {
      SoftwareDevice.setFault(null);
      assertEquals(allocations, SoftwareDevice.liveAllocations());
    }
  }

  private static LoadOptions software() {
    return LoadOptions.defaults().withDevice(TestDevices.software());
  }

  private static Path micro() throws Exception {
    return Path.of(ModelTest.class.getResource("/golden/micro/config.json").toURI()).getParent();
  }

  private static void answersTheSum(DeviceSpec device) {
    try (Model model =
        Remask.load(Remask.defaultModel(), LoadOptions.defaults().withDevice(device))) {
      GenerateResult result = model.generate("What is 47 + 38?");
      assertEquals("47 + 38 = 85", result.text().orElseThrow());
      assertEquals(64, result.outputIds().length);
      assertEquals(64, result.forwardPasses());
      assertEquals(22, result.promptIds().length);
      assertEquals(List.of(), result.trace());
      assertEquals(model.device().name(), result.device());
      assertEquals(DType.BF16, result.dtype());
      assertTrue(result.timing().loadMs() > 0);
      assertTrue(result.timing().msPerStep() > 0);
      assertTrue(result.timing().totalMs() >= 64 * result.timing().msPerStep());
      assertTrue(model.plannedBytes() > 9_000_000, "weights and workspace");
    }
  }

  @Test
  void defaultModel_answersWithDefaults() {
    answersTheSum(TestDevices.software());
  }

  @GpuTest
  void defaultModel_answersWithDefaults_gpu(DeviceSpec gpu) {
    answersTheSum(gpu);
  }

  @Test
  void goldenTexts_comeOutOfGoldenIds() throws Exception {
    try (Model model = Remask.load(Remask.defaultModel(), software());
        var json = ModelTest.class.getResourceAsStream("/golden/tiny-llada/cases/generate.json")) {
      for (JsonNode golden : JsonMapper.shared().readTree(json).get("cases")) {
        int[] ids = golden.get("output_ids").valueStream().mapToInt(JsonNode::asInt).toArray();
        boolean suppressEos = golden.get("options").path("suppress_eos").asBoolean(false);
        assertEquals(
            golden.get("text").asString(),
            model.text(ids, options().suppressEos(suppressEos).build()).orElseThrow());
      }
    }
  }

  @Test
  void promptMessagesAndIds_areThreeWaysToAsk() {
    try (Model model = Remask.load(Remask.defaultModel(), software())) {
      GenerateResult byText =
          model.generate(
              GenerateRequest.builder()
                  .prompt("What is 47 + 38?")
                  .options(SHORT)
                  .trace(true)
                  .build());
      GenerateResult byMessages =
          model.generate(
              GenerateRequest.builder()
                  .messages(List.of(new Message("user", "What is 47 + 38?")))
                  .options(SHORT)
                  .build());
      GenerateResult byIds =
          model.generate(
              GenerateRequest.builder().promptIds(byText.promptIds()).options(SHORT).build());
      assertArrayEquals(byText.outputIds(), byMessages.outputIds());
      assertArrayEquals(byText.outputIds(), byIds.outputIds());
      assertEquals(byText.text(), byIds.text());
      assertEquals(24, byText.trace().size());
      GenerateResult raw =
          model.generate(
              GenerateRequest.builder().prompt("In the").raw(true).options(SHORT).build());
      assertTrue(raw.promptIds().length < byText.promptIds().length, "no chat template");
    }
  }

  @Test
  void mistakes_areRequestExceptions_andTheModelStaysUsable() throws Exception {
    try (Model model = Remask.load(Remask.defaultModel(), software())) {
      refused(model, "gen_length", request().options(options().genLength(0).build()));
      refused(model, "temperature", request().options(options().temperature(-1).build()));
      refused(model, "prompt_ids", GenerateRequest.builder().promptIds(1, 2047));
      // A control token only gets in by --raw, and the mask not even then.
      refused(model, "prompt_ids", GenerateRequest.builder().prompt("<|mdm_mask|>").raw(true));
      model.generate(GenerateRequest.builder().prompt("a <|mdm_mask|> b").options(SHORT).build());
      assertThrows(RequestException.class, () -> GenerateRequest.builder().build());
      assertThrows(RequestException.class, () -> request().promptIds(1).build());
      assertThrows(
          RequestException.class, () -> GenerateRequest.builder().promptIds(1).raw(true).build());
    }
    LoadOptions small = software().withMaxTokens(60).withMaxRows(20).withMaxSequences(2);
    try (Model model = Remask.load(micro(), small)) {
      refused(model, "prompt", request());
      refused(
          model,
          "maxTokens",
          GenerateRequest.builder()
              .promptIds(new int[50])
              .options(options().genLength(11).build()));
      refused(
          model,
          "maxRows",
          GenerateRequest.builder().promptIds().options(options().genLength(21).build()));
      assertTrue(
          model
              .generate(
                  GenerateRequest.builder()
                      .promptIds()
                      .options(options().genLength(20).steps(4).build())
                      .build())
              .text()
              .isEmpty(),
          "no tokenizer, no text");
    }
    assertThrows(RequestException.class, () -> software().withMaxSequences(1));
    assertThrows(RequestException.class, () -> software().withMaxTokens(-1));
    assertThrows(RequestException.class, () -> software().withMaxCacheTokens(-2));
  }

  @Test
  void cacheMemory_isPlannedAtLoad() throws Exception {
    var cached =
        GenerateRequest.builder()
            .promptIds(1, 2, 3)
            .options(options().genLength(8).blockLength(4).cache(CacheMode.DUAL).build());
    long with;
    try (Model model = Remask.load(micro(), software())) {
      assertEquals(8, model.generate(cached.build()).outputIds().length);
      with = model.plannedBytes();
    }
    LoadOptions none = software().withMaxCacheTokens(LoadOptions.NO_CACHE);
    try (Model model = Remask.load(micro(), none)) {
      refused(model, "maxCacheTokens", cached);
      assertTrue(model.plannedBytes() < with);
    }
    try (Model model = Remask.load(micro(), software().withMaxCacheTokens(11))) {
      assertEquals(8, model.generate(cached.build()).outputIds().length, "11 positions fit");
    }
  }

  private static GenerateRequest.Builder request() {
    return GenerateRequest.builder().prompt("What is 1 + 1?");
  }

  private static DiffusionOptions.Builder options() {
    return DiffusionOptions.builder();
  }

  private static void refused(Model model, String field, GenerateRequest.Builder request) {
    var e = assertThrows(RequestException.class, () -> model.generate(request.build()));
    assertEquals(field, e.field(), e.getMessage());
    assertTrue(e.getMessage().startsWith(field), e.getMessage());
  }

  @Test
  void closedModel_saysSo_andClosingTwiceIsLegal() {
    Model model = Remask.load(Remask.defaultModel(), software());
    model.close();
    model.close();
    var e = assertThrows(IllegalStateException.class, () -> model.generate("What is 1 + 1?"));
    assertTrue(e.getMessage().contains("closed"), e.getMessage());
  }

  @Test
  void twoModels_liveSideBySide() throws Exception {
    var request = GenerateRequest.builder().promptIds(1, 2, 3).options(SHORT).build();
    try (Model micro = Remask.load(micro(), software())) {
      int[] microAnswer = micro.generate(request).outputIds();
      try (Model tiny = Remask.load(Remask.defaultModel(), software().withDType(DType.F32))) {
        int[] tinyAnswer = tiny.generate(request).outputIds();
        assertArrayEquals(microAnswer, micro.generate(request).outputIds());
        assertArrayEquals(tinyAnswer, tiny.generate(request).outputIds());
      }
      assertArrayEquals(microAnswer, micro.generate(request).outputIds());
    }
  }

  @Test
  void loadThatFails_leavesNothing(@TempDir Path empty) throws Exception {
    long threads = deviceThreads(); // those of contexts that other tests share
    assertThrows(ModelException.class, () -> Remask.load(empty, software()));
    Path broken = Files.createDirectories(empty.resolve("broken"));
    Files.copy(micro().resolve("config.json"), broken.resolve("config.json"));
    Files.write(broken.resolve("model.safetensors"), new byte[100]);
    assertThrows(ModelException.class, () -> Remask.load(broken, software()));
    for (int nth = 1; nth <= 3; nth++) {
      SoftwareDevice.setFault("cuMemAlloc:" + nth + ":OUT_OF_MEMORY");
      assertThrows(CudaException.class, () -> Remask.load(Remask.defaultModel(), software()));
      SoftwareDevice.setFault(null);
      assertEquals(allocations, SoftwareDevice.liveAllocations());
    }
    assertEquals(threads, deviceThreads(), "the device thread ended with each failed load");
  }

  private static long deviceThreads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith("remask-device"))
        .count();
  }

  @Test
  void progress_reachesTheEnd() {
    var last = new AtomicLong(-1);
    var total = new AtomicLong();
    LoadOptions options =
        software()
            .withProgress((done, all) -> {
              assertTrue(done > last.getAndSet(done));
              total.set(all);
            });
    Remask.load(Remask.defaultModel(), options).close();
    assertEquals(total.get(), last.get());
  }

  @Test
  void manyThreads_shareAModel() throws Exception {
    try (Model model = Remask.load(Remask.defaultModel(), software())) {
      var failures = new ArrayList<Throwable>();
      var threads = new ArrayList<Thread>();
      for (int i = 0; i < 6; i++) {
        threads.add(
            Thread.ofVirtual()
                .uncaughtExceptionHandler((thread, e) -> {
                  synchronized (failures) {
                    failures.add(e);
                  }
                })
                .start(() ->
                    assertEquals(
                        "47 + 38 = 85",
                        model
                            .generate(
                                GenerateRequest.builder()
                                    .prompt("What is 47 + 38?")
                                    .options(SHORT)
                                    .build())
                            .text()
                            .orElseThrow())));
      }
      for (Thread thread : threads) {
        thread.join();
      }
      assertEquals(List.of(), failures);
    }
  }
}
