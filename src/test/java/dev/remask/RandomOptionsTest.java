package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.Constraints;
import dev.remask.diffusion.DenoisingTask;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.DType;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// No mixture of options crashes the loop: a request is refused by name, or it is answered as it
/// says.
class RandomOptionsTest {
  private static final int ROUNDS = 1200;

  /// One answer in so many is compared with that of the same request alone.
  private static final int ALONE_EVERY = 7;

  private record Submitted(GenerateRequest request, Generation generation) {}

  @Test
  void anyMixture_isRefusedByNameOrAnswered() throws Exception {
    Seed seed = Seed.fresh();
    var random = new Random(seed.random().nextLong());
    Path micro =
        Path.of(RandomOptionsTest.class.getResource("/golden/micro/config.json").toURI())
            .getParent();
    var options = LoadOptions.defaults().withDevice(TestDevices.software()).withDType(DType.F32);
    var used = new TreeSet<String>();
    int refused = 0;
    try (Model model = Remask.load(micro, options);
        Session session = model.session()) {
      var submitted = new ArrayList<Submitted>();
      for (int i = 0; i < ROUNDS; i++) {
        GenerateRequest request = RandomRequests.next(random, 499);
        try {
          submitted.add(new Submitted(request, session.submit(request)));
        } catch (RequestException e) {
          assertTrue(e.getMessage().startsWith(e.field() + " "), e.getMessage());
          refused++;
        }
      }
      for (int i = 0; i < submitted.size(); i++) {
        Submitted one = submitted.get(i);
        String what = seed + " " + one.request;
        try {
          GenerateResult result = one.generation.await();
          check(one.request, result, model, what);
          if (i % ALONE_EVERY == 0) {
            GenerateResult alone = model.generate(one.request);
            assertArrayEquals(alone.outputIds(), result.outputIds(), what);
            assertEquals(alone.trace(), result.trace(), what);
            assertEquals(alone.forwardPasses(), result.forwardPasses(), what);
          }
        } catch (RuntimeException e) {
          throw new AssertionError(what, e);
        }
        JsonNode json = JsonMapper.shared().readTree(one.request.toJson());
        used.addAll(json.propertyNames());
        used.addAll(json.path("options").propertyNames());
      }
      assertTrue(submitted.size() > ROUNDS / 4, "answered " + submitted.size());
      assertTrue(refused > ROUNDS / 10, "refused " + refused);
    }
    var expected = new TreeSet<>(DiffusionOptions.names());
    expected.addAll(
        List.of(
            "allowed_tokens",
            "banned_tokens",
            "canvas_ids",
            "choice_ids",
            "logit_bias",
            "negative_prompt_ids",
            "options",
            "prompt_ids",
            "trace"));
    assertEquals(expected, used, "every option was in a request that was answered, " + seed);
  }

  private static void check(
      GenerateRequest request, GenerateResult result, Model model, String what) {
    DiffusionOptions options = request.options();
    int eos = model.specialTokens().eos();
    int mask = model.specialTokens().mask();
    int[] output = result.outputIds();
    boolean stopped = options.earlyStop() && output[output.length - 1] == eos;
    for (int id : output) {
      assertTrue(id >= 0 && id < model.specialTokens().vocabulary() && id != mask, what);
      assertTrue(!options.suppressEos() || id != eos, what);
    }
    if (request.canvasIds().isPresent()) {
      int[] asked = request.canvasIds().get();
      int[] filled = result.canvasIds().orElseThrow();
      int next = 0;
      for (int i = 0; i < asked.length; i++) {
        int wanted = asked[i];
        if (wanted == GenerateRequest.MASK) {
          wanted = next < output.length ? output[next] : filled[i];
          next++;
        }
        assertEquals(wanted, filled[i], what);
      }
      assertTrue(stopped || next == output.length, what);
    } else {
      assertTrue(stopped || output.length >= options.genLength(), what);
      assertTrue(output.length <= options.maxGenLength(), what);
    }
    checkConstraints(request, output, what);
    checkPasses(request, result, what);
    assertEquals(request.trace(), !result.trace().isEmpty(), what);
  }

  private static void checkConstraints(GenerateRequest request, int[] output, String what) {
    Constraints rules = request.constraints();
    int[] positions =
        request
            .canvasIds()
            .map(ids ->
                IntStream.range(0, ids.length)
                    .filter(i -> ids[i] == GenerateRequest.MASK)
                    .toArray())
            .orElseGet(() -> IntStream.range(0, output.length).toArray());
    for (int i = 0; i < output.length; i++) {
      int id = output[i];
      for (int at : new int[] {Constraints.EVERYWHERE, positions[i]}) {
        int[] banned = rules.banned().getOrDefault(at, new int[0]);
        assertTrue(Arrays.stream(banned).noneMatch(no -> no == id), what);
        int[] allowed = rules.allowed().get(at);
        assertTrue(allowed == null || Arrays.stream(allowed).anyMatch(yes -> yes == id), what);
      }
    }
    assertTrue(
        rules.choices().length == 0
            || Arrays.stream(rules.choices()).anyMatch(choice -> agrees(choice, output)),
        what);
  }

  /// An early stop leaves the end open; choices shorter than the answer go on with EOS.
  private static boolean agrees(int[] choice, int[] output) {
    for (int i = 0; i < Math.min(choice.length, output.length); i++) {
      if (choice[i] != Constraints.ANY && choice[i] != output[i]) {
        return false;
      }
    }
    return true;
  }

  private static void checkPasses(GenerateRequest request, GenerateResult result, String what) {
    DiffusionOptions options = request.options();
    DenoisingTask task =
        request
            .canvasIds()
            .map(ids -> DenoisingTask.ofCanvas(ids, options))
            .orElseGet(() -> DenoisingTask.ofPrompt(request.promptIds().orElseThrow(), options));
    // A growing answer looks once more at each block that turned out not to be the last.
    int growing = options.autoLength() ? task.plan().blocks() : 0;
    int passes = (task.plan().maxPasses() + growing) * (options.guided() ? 2 : 1);
    assertTrue(result.forwardPasses() <= passes, result.forwardPasses() + " > " + passes + what);
  }
}
