package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.kernel.SpecialTokens;
import dev.remask.testing.GpuTest;
import dev.remask.testing.TestDevices;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Whole generations with options of every kind against a sampler in plain Java.
class InferenceTest {
  private static final int SOFTWARE_TASKS = Integer.getInteger("remask.inference.tasks", 150);

  /// So many that none lacks a feature but by a rare defect of the draws.
  private static final int MOST_TASKS = 10 * SOFTWARE_TASKS;

  private static final int EMULATED_TASKS = 40;
  private static final String LOOP = "remask.loop";
  private static final float CONFIDENCE_TOLERANCE = 1e-4f;

  private enum Feature {
    GUIDANCE,
    NEGATIVE_PROMPT,
    CANVAS,
    CONSTRAINTS,
    CHOICES,
    THRESHOLD,
    FACTOR,
    ORIGIN,
    REVISED,
    RESTRICTED,
    STOPPED,
    GREW,
    PREFIX,
    DUAL
  }

  @AfterEach
  void anyLoop() {
    System.clearProperty(LOOP);
  }

  @ParameterizedTest
  @ValueSource(strings = {"while", "steps"})
  void software_equalsThePlainSampler(String mode) {
    System.setProperty(LOOP, mode);
    Map<Feature, Integer> seen = check(TestDevices.software(), SOFTWARE_TASKS, MOST_TASKS, 24);
    for (Feature feature : Feature.values()) {
      assertTrue(seen.getOrDefault(feature, 0) > 0, "no task had " + feature + ": " + seen);
    }
  }

  @Test
  void emulator_equalsThePlainSampler() {
    check(TestDevices.emulator(), EMULATED_TASKS, EMULATED_TASKS, 6);
  }

  @GpuTest
  void cuda_equalsThePlainSampler(DeviceSpec gpu) {
    check(gpu, SOFTWARE_TASKS, SOFTWARE_TASKS, 24);
  }

  /// At least `least` tasks; more, up to `most`, while some feature has not been drawn.
  private static Map<Feature, Integer> check(DeviceSpec device, int least, int most, int longest) {
    long seed = Long.getLong("remask.inference.seed", System.nanoTime());
    var seen = new EnumMap<Feature, Integer>(Feature.class);
    try (var loaded = LoadedDenoiser.open(device, DType.F32, GoldenModel.MICRO);
        var model = new PlainModel(loaded.context, loaded.predictor)) {
      SpecialTokens tokens = LoadedDenoiser.tokens(loaded.predictor.config());
      var tasks = new RandomTasks(seed, loaded.predictor.config(), tokens);
      int features = Feature.values().length;
      for (int i = 0; i < least || (i < most && seen.size() < features); i++) {
        DenoisingTask task = tasks.next(longest);
        try {
          PlainSampler.Answer expected = PlainSampler.run(tokens, model, task);
          check(task, expected, loaded.run(task, true));
          features(task, expected).forEach(feature -> seen.merge(feature, 1, Integer::sum));
        } catch (AssertionError | RuntimeException e) {
          throw new AssertionError(
              "seed " + seed + ", task " + i + ": " + describe(task) + ": " + e.getMessage(), e);
        }
      }
    }
    return seen;
  }

  private static String describe(DenoisingTask task) {
    return (task.isCanvas() ? "canvas " : "prompt ")
        + Arrays.toString(task.ids())
        + " "
        + task.options()
        + (task.constraints().isEmpty() ? "" : " constrained")
        + (task.constraints().choices().length > 0 ? " choices" : "");
  }

  private static void check(DenoisingTask task, PlainSampler.Answer expected, Denoised answer) {
    int begin = task.answerBegin();
    List<String> commits = expected.commits().stream().map(c -> commit(c, begin)).toList();
    assertEquals(
        String.join("\n", commits),
        String.join("\n", answer.trace().stream().map(c -> commit(c, 0)).toList()),
        "commits");
    int[] canvas = expected.canvas();
    int[] ids = answer.outputIds();
    int[] masks = Arrays.stream(task.maskPositions()).filter(at -> at < canvas.length).toArray();
    int[] tokens = Arrays.stream(masks).map(at -> canvas[at]).toArray();
    assertArrayEquals(Arrays.copyOf(tokens, ids.length), ids, "tokens");
    if (!expected.stopped()) {
      assertEquals(tokens.length, ids.length, "length");
    }
    int copies = task.options().guided() ? 2 : 1;
    assertEquals(copies * expected.passes(), answer.forwardPasses(), "passes");
    for (int i = 0; i < answer.trace().size(); i++) {
      assertEquals(
          expected.commits().get(i).confidence(),
          answer.trace().get(i).confidence(),
          CONFIDENCE_TOLERANCE,
          "confidence of " + commits.get(i));
    }
  }

  private static String commit(Commit commit, int begin) {
    return "step %d position %d token %d"
        .formatted(commit.step(), commit.position() - begin, commit.token());
  }

  private static List<Feature> features(DenoisingTask task, PlainSampler.Answer answer) {
    DiffusionOptions options = task.options();
    boolean[] has = new boolean[Feature.values().length];
    has[Feature.GUIDANCE.ordinal()] = options.guided();
    has[Feature.NEGATIVE_PROMPT.ordinal()] = task.negativePromptIds().isPresent();
    has[Feature.CANVAS.ordinal()] = task.isCanvas();
    has[Feature.CONSTRAINTS.ordinal()] = !task.constraints().isEmpty();
    has[Feature.CHOICES.ordinal()] = task.constraints().choices().length > 0;
    has[Feature.THRESHOLD.ordinal()] = options.threshold().isPresent();
    has[Feature.FACTOR.ordinal()] = options.factor().isPresent();
    has[Feature.ORIGIN.ordinal()] = options.remasking() == Remasking.ORIGIN;
    has[Feature.REVISED.ordinal()] = answer.commits().stream().anyMatch(c -> c.token() < 0);
    has[Feature.RESTRICTED.ordinal()] = options.topK() > 0 || options.topP() < 1;
    has[Feature.STOPPED.ordinal()] = answer.stopped();
    has[Feature.GREW.ordinal()] =
        options.autoLength() && answer.canvas().length > task.answerBegin() + options.genLength();
    has[Feature.PREFIX.ordinal()] = options.cache() == CacheMode.PREFIX;
    has[Feature.DUAL.ordinal()] = options.cache() == CacheMode.DUAL;
    return IntStream.range(0, has.length)
        .filter(i -> has[i])
        .mapToObj(i -> Feature.values()[i])
        .toList();
  }
}
