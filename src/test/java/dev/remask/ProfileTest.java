package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.LaunchRecorder;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.DType;
import dev.remask.model.Quantization;
import dev.remask.testing.TestDevices;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// A step kernel by kernel, requests that join together, and memory known before a load.
class ProfileTest {
  private static final DiffusionOptions EIGHT_STEPS =
      DiffusionOptions.builder().genLength(16).steps(8).build();

  private static Path micro() throws Exception {
    return Path.of(ProfileTest.class.getResource("/golden/micro/config.json").toURI()).getParent();
  }

  private static LoadOptions options() {
    return LoadOptions.defaults().withDevice(TestDevices.software()).withDType(DType.F32);
  }

  private static GenerateRequest request(int... ids) {
    return GenerateRequest.builder().promptIds(ids).options(EIGHT_STEPS).build();
  }

  private static long count(List<LaunchRecorder.Launch> launches, String kernel) {
    return launches.stream().filter(launch -> launch.kernel().startsWith(kernel)).count();
  }

  @Test
  void everyStep_isToldKernelByKernel_andNothingElseChanges() throws Exception {
    try (Model model = Remask.load(micro(), options())) {
      int[] before = model.generate(request(3, 4, 5)).outputIds();
      List<LaunchRecorder.Launch> launches = model.profile(List.of(request(3, 4, 5)));
      assertEquals("lay_rows", launches.getFirst().kernel());
      assertEquals(8, count(launches, "lay_rows"));
      assertEquals(8, count(launches, "commit"));
      assertEquals(8L * model.config().layers(), count(launches, "attention"));
      assertEquals(0, launches.size() % 8, "every step has the same launches");
      // Graphs again, those of before included.
      assertArrayEquals(before, model.generate(request(3, 4, 5)).outputIds());
      assertEquals(launches.size(), model.profile(List.of(request(3, 4, 5))).size());
    }
  }

  @Test
  void batches_shareEveryStep() throws Exception {
    try (Model model = Remask.load(micro(), options())) {
      var requests = List.of(request(3), request(4, 4), request(5, 5, 5));
      assertEquals(8, count(model.profile(requests), "lay_rows"));
    }
  }

  @Test
  void badRequests_endTheProfile() throws Exception {
    try (Model model = Remask.load(micro(), options())) {
      assertThrows(RequestException.class, () -> model.profile(List.of(request(3), request(-7))));
      assertEquals(8, count(model.profile(List.of(request(3))), "lay_rows"));
    }
  }

  /// The others that were asked for end as well: the next profile sees its own steps only.
  @Test
  void interrupting_endsAllRequests() throws Exception {
    try (Model model = Remask.load(micro(), options())) {
      var longer =
          GenerateRequest.builder()
              .promptIds(7)
              .options(DiffusionOptions.builder().genLength(32).steps(32).build())
              .build();
      Thread.currentThread().interrupt();
      assertThrows(
          CancellationException.class, () -> model.profile(List.of(request(3), longer, longer)));
      assertTrue(Thread.interrupted());
      assertEquals(8, count(model.profile(List.of(request(3))), "lay_rows"));
    }
  }

  @Test
  void requestsOfASession_joinTogether() throws Exception {
    try (Model model = Remask.load(micro(), options());
        Session session = model.session()) {
      int[] alone = model.generate(request(3, 4)).outputIds();
      List<Generation> generations = session.submit(List.of(request(3, 4), request(9)));
      assertEquals(2, generations.size());
      assertArrayEquals(alone, generations.getFirst().await().outputIds());
      assertEquals(16, generations.getLast().await().outputIds().length);
      assertThrows(RequestException.class, () -> session.submit(List.of(request(3), request(-7))));
    }
  }

  @ParameterizedTest
  @EnumSource(DType.class)
  void requiredBytes_areWhatIsPlanned(DType dtype) throws Exception {
    for (Path folder : List.of(micro(), Remask.defaultModel())) {
      for (LoadOptions options :
          List.of(
              options().withDType(dtype),
              options().withDType(dtype).withMaxTokens(300).withMaxRows(40),
              options().withDType(dtype).withQuantization(Quantization.INT8),
              options().withDType(dtype).withMaxCacheTokens(LoadOptions.NO_CACHE))) {
        try (Model model = Remask.load(folder, options)) {
          long required = Remask.requiredBytes(model.config(), options);
          // What cuBLASLt works in comes on top.
          long more = model.plannedBytes() - required;
          assertTrue(more >= 0 && more <= 32 << 20, required + " required, " + more + " more");
        }
      }
    }
  }
}
