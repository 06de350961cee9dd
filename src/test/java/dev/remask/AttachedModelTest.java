package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Attachment;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.Device;
import dev.remask.cuda.ForeignClient;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.DType;
import dev.remask.kernel.Weight;
import dev.remask.model.ModelException;
import dev.remask.model.WeightMemory;
import dev.remask.testing.TestDevices;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// A model inside of somebody else's CUDA context.
class AttachedModelTest {
  private static final Path FOLDER = Remask.defaultModel();

  private static final LoadOptions OPTIONS =
      LoadOptions.defaults()
          .withDevice(TestDevices.software())
          .withMaxTokens(128)
          .withMaxRows(32)
          .withMaxSequences(2)
          .withMaxCacheTokens(LoadOptions.NO_CACHE);

  private static int[] answer(Model model) {
    return model
        .generate(
            GenerateRequest.builder()
                .prompt("What is 47 + 38?")
                .options(DiffusionOptions.builder().genLength(16).blockLength(16).steps(8).build())
                .build())
        .outputIds();
  }

  private static Device device() {
    return TestDevices.context(TestDevices.software()).device();
  }

  @Test
  void answers_areTheSame_whateverTheModelIsAttachedTo() throws Exception {
    int[] expected;
    try (Model model = Remask.load(FOLDER, OPTIONS)) {
      expected = answer(model);
    }
    try (var caller = new ForeignClient(device());
        ExecutorService executor = Executors.newSingleThreadExecutor()) {
      long stream = caller.newStream();
      long allocations = SoftwareDevice.liveAllocations();
      Attachment context = Attachment.to(caller.context());
      for (Attachment attachment :
          new Attachment[] {
            context,
            context.withStream(stream),
            context.withStream(stream).withExecutor(executor),
            context.withExecutor(Runnable::run)
          }) {
        try (Model model = Remask.load(FOLDER, OPTIONS.withAttachment(attachment))) {
          assertArrayEquals(expected, answer(model));
          assertArrayEquals(expected, answer(model));
        }
        assertEquals(allocations, SoftwareDevice.liveAllocations(), attachment.toString());
        caller.checkIdle(stream);
      }
    }
  }

  private static void answerAndScore(Model model) {
    answer(model);
    var request = ScoreRequest.builder().prompt("1 + 1 =").answer(" 2").build();
    assertEquals(1, model.score(request).answers().size());
  }

  @Test
  @Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void model_worksOnTheExecutorsOwnThread() throws Exception {
    try (var caller = new ForeignClient(device());
        ExecutorService executor = Executors.newSingleThreadExecutor()) {
      Attachment context = Attachment.to(caller.context());
      var inPlace = OPTIONS.withAttachment(context.withExecutor(Runnable::run));
      try (Model model = Remask.load(FOLDER, inPlace)) {
        answerAndScore(model);
      }
      var onThread = OPTIONS.withAttachment(context.withExecutor(executor));
      try (Model model = Remask.load(FOLDER, onThread)) {
        executor.submit(() -> answerAndScore(model)).get();
        executor.submit(model::close).get();
      }
    }
  }

  @Test
  @Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void model_failsAndCloses_whereTheCallersContextIsGone() {
    var caller = new ForeignClient(device());
    try (ExecutorService executor = Executors.newSingleThreadExecutor()) {
      var attachment = Attachment.to(caller.context()).withExecutor(executor);
      Model model = Remask.load(FOLDER, OPTIONS.withAttachment(attachment));
      caller.close();
      assertThrows(CudaException.class, () -> answerAndScore(model));
      assertThrows(CudaException.class, model::close);
      model.close();
    }
  }

  @Test
  void weights_lieInTheCallersMemory_andAreShared() {
    long bytes = Remask.weightBytes(FOLDER, DType.BF16);
    try (var caller = new ForeignClient(device())) {
      long memory = caller.allocate(bytes);
      var options = OPTIONS.withAttachment(Attachment.to(caller.context()));
      var given = new WeightMemory(memory, bytes, false);
      try (Model first = Remask.load(FOLDER, options.withWeightMemory(given))) {
        assertEquals(new WeightMemory(memory, bytes, true), first.weightMemory());
        int[] expected = answer(first);
        long live = SoftwareDevice.liveBytes();
        try (Model second = Remask.load(FOLDER, options.withWeightMemory(first.weightMemory()))) {
          assertArrayEquals(expected, answer(second));
          assertTrue(
              SoftwareDevice.liveBytes() - live < bytes / 2 + second.plannedBytes() - bytes,
              "the second has no weights of its own");
        }
        assertArrayEquals(expected, answer(first));
      }
      // Still the caller's, with the weights in it.
      try (Model again =
          Remask.load(FOLDER, options.withWeightMemory(new WeightMemory(memory, bytes, true)))) {
        answer(again);
      }
      caller.free(memory);
    }
  }

  /// A model packs the weights in memory of its own, and says so when it hands them out.
  @Test
  void packedWeights_areShared_andRefusedWhereNothingReadsThem() {
    try (var caller = new ForeignClient(device())) {
      var options = OPTIONS.withAttachment(Attachment.to(caller.context()));
      try (Model first = Remask.load(FOLDER, options)) {
        int[] expected = answer(first);
        WeightMemory memory = first.weightMemory();
        assertEquals(Weight.Layout.PACKED, memory.layout());
        assertEquals("own, packed weights", first.gemmName());
        try (Model second = Remask.load(FOLDER, options.withWeightMemory(memory))) {
          assertEquals("own, packed weights", second.gemmName());
          assertArrayEquals(expected, answer(second));
        }
        assertArrayEquals(expected, answer(first));
        System.setProperty("remask.gemm", "cublaslt");
        refused(options.withWeightMemory(memory), "holds them PACKED");
      } finally {
        System.clearProperty("remask.gemm");
      }
      assertThrows(
          IllegalArgumentException.class,
          () -> new WeightMemory(4096, 1, false, Weight.Layout.PACKED));
    }
  }

  @Test
  void weightMemory_thatCannotHoldThem_isRefused() {
    long bytes = Remask.weightBytes(FOLDER, DType.BF16);
    assertThrows(IllegalArgumentException.class, () -> new WeightMemory(0, bytes, false));
    assertThrows(IllegalArgumentException.class, () -> new WeightMemory(4096 + 8, bytes, false));
    try (var caller = new ForeignClient(device())) {
      long memory = caller.allocate(bytes);
      long allocations = SoftwareDevice.liveAllocations();
      var options = OPTIONS.withAttachment(Attachment.to(caller.context()));
      refused(options.withWeightMemory(new WeightMemory(memory, bytes - 1, false)), "they take");
      refused(options.withWeightMemory(new WeightMemory(memory, bytes, true)), "does not hold");
      assertEquals(allocations, SoftwareDevice.liveAllocations());
    }
  }

  private static void refused(LoadOptions options, String words) {
    var e = assertThrows(ModelException.class, () -> Remask.load(FOLDER, options));
    assertTrue(e.getMessage().contains(words), e.getMessage());
  }
}
