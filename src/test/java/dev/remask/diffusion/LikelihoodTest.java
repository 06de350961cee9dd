package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.Stream;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.Batch;
import dev.remask.model.MaskPredictor;
import dev.remask.model.PassSequence;
import dev.remask.model.PassShape;
import dev.remask.model.ProgressListener;
import dev.remask.model.WorkspaceLimits;
import dev.remask.testing.DeviceData;
import dev.remask.testing.GpuTest;
import dev.remask.testing.TestDevices;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Scores against the official implementation's, and against themselves packed otherwise.
class LikelihoodTest {
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(512, 96, 16);

  /// What the goldens' README allows of a sum in f32.
  private static final double GOLDEN_TOLERANCE = 1e-4;

  /// bf16 keeps 8 bits: a logit of 20 moves by 0.08, a loss by about as much per token.
  private static final double BF16_TOLERANCE = 0.3;

  private record Golden(ScoreTask task, double[] losses, double weightedSum) {}

  /// A model loaded for scoring alone.
  private static final class Loaded implements AutoCloseable {
    final Context context;
    final MaskPredictor predictor;
    final Likelihood likelihood;

    Loaded(DeviceSpec device, GoldenModel model, DType dtype, WorkspaceLimits limits) {
      context = TestDevices.newContext(device);
      predictor =
          MaskPredictor.load(context, model.checkpoint(), dtype, limits, ProgressListener.NONE);
      SpecialTokens tokens = LoadedDenoiser.tokens(predictor.config());
      likelihood = Likelihood.create(context, predictor, tokens, context::run);
    }

    AnswerScore score(ScoreTask task) {
      return likelihood.score(List.of(task)).getFirst();
    }

    @Override
    public void close() {
      try (context;
          predictor;
          likelihood) {
        // closed last to first
      }
    }
  }

  private static List<Golden> goldens(GoldenModel model) throws Exception {
    var goldens = new ArrayList<Golden>();
    String folder = model == GoldenModel.TINY ? "tiny-llada" : "micro";
    try (var in =
        LikelihoodTest.class.getResourceAsStream("/golden/" + folder + "/cases/likelihood.json")) {
      for (JsonNode node : JsonMapper.shared().readTree(in).get("cases")) {
        goldens.add(
            new Golden(
                new ScoreTask(
                    ints(node.get("prompt_ids")),
                    ints(node.get("answer_ids")),
                    new ScoreMethod.FixedMask(ints(node.get("masked"))),
                    0),
                node.get("negative_log_likelihoods")
                    .valueStream()
                    .mapToDouble(JsonNode::asDouble)
                    .toArray(),
                node.get("weighted_sum").asDouble()));
      }
    }
    assertTrue(goldens.size() >= 5, "the cases were found");
    return goldens;
  }

  private static int[] ints(JsonNode node) {
    return node.valueStream().mapToInt(JsonNode::asInt).toArray();
  }

  private static void goldensComeOut(DeviceSpec device, GoldenModel model, DType dtype)
      throws Exception {
    List<Golden> goldens = goldens(model);
    try (var loaded = new Loaded(device, model, dtype, LIMITS)) {
      List<AnswerScore> scores =
          loaded.likelihood.score(goldens.stream().map(Golden::task).toList());
      for (int i = 0; i < goldens.size(); i++) {
        Golden golden = goldens.get(i);
        AnswerScore score = scores.get(i);
        int count = golden.losses.length;
        double allowed =
            dtype == DType.F32
                ? GOLDEN_TOLERANCE * golden.weightedSum
                : BF16_TOLERANCE * golden.task.answerIds().length;
        String name = model + " case " + i + " " + dtype;
        assertEquals(golden.weightedSum, score.weightedSum(), allowed, name);
        assertEquals(-score.weightedSum(), score.logLikelihood(), name);
        assertEquals(count, score.negativeLogLikelihoods().length, name);
        double each = allowed * count / golden.task.answerIds().length;
        assertArrayEquals(golden.losses, score.negativeLogLikelihoods(), each, name);
      }
    }
  }

  @Test
  void fixedMasks_areTheReferences() throws Exception {
    for (GoldenModel model : GoldenModel.values()) {
      goldensComeOut(TestDevices.software(), model, DType.F32);
      goldensComeOut(TestDevices.software(), model, DType.BF16);
    }
  }

  @Test
  void fixedMasks_areTheReferencesInTheEmulator() throws Exception {
    goldensComeOut(TestDevices.emulator(), GoldenModel.MICRO, DType.F32);
  }

  @GpuTest
  void fixedMasks_areTheReferences_gpu(DeviceSpec gpu) throws Exception {
    for (GoldenModel model : GoldenModel.values()) {
      goldensComeOut(gpu, model, DType.F32);
      goldensComeOut(gpu, model, DType.BF16);
    }
  }

  /// Tasks of every method, with and without guidance, on micro's ids.
  private static List<ScoreTask> mixed() {
    var random = new Random(7);
    var tasks = new ArrayList<ScoreTask>();
    for (int i = 0; i < 12; i++) {
      int[] prompt = random.ints(random.nextInt(9), 0, 400).toArray();
      int[] answer = random.ints(1 + random.nextInt(9), 0, 400).toArray();
      ScoreMethod method =
          switch (i % 3) {
            case 0 -> new ScoreMethod.MonteCarlo(9, i);
            case 1 ->
                new ScoreMethod.Conditional(
                    i % 2 == 0 ? ScoreMethod.Given.LEFT : ScoreMethod.Given.OTHERS);
            default -> new ScoreMethod.FixedMask(answer.length - 1);
          };
      tasks.add(new ScoreTask(prompt, answer, method, i % 4 == 3 ? 1.5 : 0));
    }
    return tasks;
  }

  @Test
  void scores_areTheSameBitsHoweverTheyArePacked() {
    for (DType dtype : DType.values()) {
      List<ScoreTask> tasks = mixed();
      var alone = new ArrayList<AnswerScore>();
      try (var loaded = new Loaded(TestDevices.software(), GoldenModel.MICRO, dtype, LIMITS)) {
        tasks.forEach(task -> alone.add(loaded.score(task)));
        assertSame(tasks, alone, tasks, loaded.likelihood.score(tasks), dtype + " together");
        var shuffled = new ArrayList<>(tasks);
        Collections.shuffle(shuffled, new Random(3));
        assertSame(tasks, alone, shuffled, loaded.likelihood.score(shuffled), dtype + " shuffled");
      }
      var narrow = new WorkspaceLimits(64, 5, 3);
      try (var loaded = new Loaded(TestDevices.software(), GoldenModel.MICRO, dtype, narrow)) {
        assertSame(tasks, alone, tasks, loaded.likelihood.score(tasks), dtype + " few rows");
      }
    }
  }

  private static void assertSame(
      List<ScoreTask> tasks,
      List<AnswerScore> expected,
      List<ScoreTask> order,
      List<AnswerScore> found,
      String what) {
    for (int i = 0; i < order.size(); i++) {
      AnswerScore alone = expected.get(tasks.indexOf(order.get(i)));
      assertEquals(alone.logLikelihood(), found.get(i).logLikelihood(), what);
      assertEquals(alone.standardError(), found.get(i).standardError(), what);
      assertArrayEquals(
          alone.negativeLogLikelihoods(), found.get(i).negativeLogLikelihoods(), what);
    }
  }

  @Test
  void conditionalScores_areThoseOfTheirMasks() {
    int[] prompt = {5, 6, 7};
    int[] answer = {20, 300, 4, 90};
    try (var loaded = new Loaded(TestDevices.software(), GoldenModel.MICRO, DType.F32, LIMITS)) {
      for (ScoreMethod.Given given : ScoreMethod.Given.values()) {
        AnswerScore score =
            loaded.score(new ScoreTask(prompt, answer, new ScoreMethod.Conditional(given), 0));
        double sum = 0;
        for (int i = 0; i < answer.length; i++) {
          int[] masked =
              given == ScoreMethod.Given.OTHERS
                  ? new int[] {i}
                  : java.util.stream.IntStream.range(i, answer.length).toArray();
          AnswerScore one =
              loaded.score(new ScoreTask(prompt, answer, new ScoreMethod.FixedMask(masked), 0));
          assertEquals(
              one.negativeLogLikelihoods()[0], score.negativeLogLikelihoods()[i], given + " " + i);
          sum += one.negativeLogLikelihoods()[0];
        }
        assertEquals(-sum, score.logLikelihood(), 1e-12 * sum);
      }
    }
  }

  @Test
  void monteCarlo_estimatesTheMeanOverAllMasks() {
    int[] prompt = {5, 6, 7};
    int[] answer = {20, 300, 4};
    try (var loaded = new Loaded(TestDevices.software(), GoldenModel.MICRO, DType.F32, LIMITS)) {
      // E over l ~ U{1..3} and the subsets of that size, each term Σ CE · 3 / l.
      int[][] subsets = {{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}};
      double expected = 0;
      for (int[] subset : subsets) {
        double weight = 1.0 / 3 / (subset.length == 3 ? 1 : 3);
        var task = new ScoreTask(prompt, answer, new ScoreMethod.FixedMask(subset), 0);
        expected += weight * loaded.score(task).weightedSum();
      }
      AnswerScore estimate =
          loaded.score(new ScoreTask(prompt, answer, new ScoreMethod.MonteCarlo(4000, 42), 0));
      assertTrue(estimate.standardError() > 0);
      assertEquals(-expected, estimate.logLikelihood(), 4 * estimate.standardError());
      assertEquals(0, estimate.negativeLogLikelihoods().length);

      int[] token = {20};
      AnswerScore certain =
          loaded.score(new ScoreTask(prompt, token, new ScoreMethod.MonteCarlo(128, 1), 0));
      AnswerScore exact =
          loaded.score(new ScoreTask(prompt, token, new ScoreMethod.FixedMask(0), 0));
      assertEquals(exact.logLikelihood(), certain.logLikelihood(), 1e-12);
      assertEquals(0, certain.standardError(), "one token can only be masked");
      AnswerScore single =
          loaded.score(new ScoreTask(prompt, answer, new ScoreMethod.MonteCarlo(1, 1), 0));
      assertTrue(Double.isNaN(single.standardError()), "one draw tells nothing of its error");
    }
  }

  @Test
  void guidance_movesTheScoresAwayFromThePromptlessOnes() {
    int[] prompt = {5, 6, 7};
    int[] answer = {20, 300, 4};
    try (var loaded = new Loaded(TestDevices.software(), GoldenModel.MICRO, DType.F32, LIMITS)) {
      var method = new ScoreMethod.FixedMask(0, 2);
      double plain = loaded.score(new ScoreTask(prompt, answer, method, 0)).weightedSum();
      double little = loaded.score(new ScoreTask(prompt, answer, method, 1e-6)).weightedSum();
      double much = loaded.score(new ScoreTask(prompt, answer, method, 2)).weightedSum();
      assertEquals(plain, little, 1e-4 * plain, "w → 0 is no guidance");
      assertTrue(Math.abs(plain - much) > 1e-3 * plain, plain + " and " + much);
      // A promptless answer is its own copy: guidance changes nothing.
      double none = loaded.score(new ScoreTask(new int[0], answer, method, 0)).weightedSum();
      double same = loaded.score(new ScoreTask(new int[0], answer, method, 2)).weightedSum();
      assertEquals(none, same, 1e-5 * none);
    }
  }

  /// −ln p of the token at `position` of a canvas, from logits in double; `copyOrNull` guides.
  private static double lossFromLogits(
      Loaded loaded, int[] canvas, int[] copyOrNull, double scale, int position, int token) {
    double[] values = logits(loaded, canvas, position);
    double[] unconditional = copyOrNull == null ? values : logits(loaded, copyOrNull, position);
    double largest = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < values.length; i++) {
      values[i] = unconditional[i] + (scale + 1) * (values[i] - unconditional[i]);
      largest = Math.max(largest, values[i]);
    }
    double sum = 0;
    for (double value : values) {
      sum += Math.exp(value - largest);
    }
    return largest + Math.log(sum) - values[token];
  }

  private static double[] logits(Loaded loaded, int[] canvas, int position) {
    return loaded.context.call(() -> {
      Stream stream = loaded.predictor.stream();
      try (DeviceMemory ids = DeviceData.i32(loaded.context, stream, canvas);
          DeviceMemory index = DeviceData.i32(loaded.context, stream, position)) {
        var sequence = PassSequence.whole(0, canvas.length);
        Batch batch = loaded.predictor.prepare(PassShape.of(List.of(sequence), 1), ids.buffer());
        stream.fill(batch.rowIndex(), (byte) 0);
        stream.copy(batch.rowIndex(), index.buffer(), Integer.BYTES);
        batch.forward();
        int columns = loaded.predictor.config().embeddingSize();
        float[] row =
            DeviceData.readF32(
                loaded.context, stream, batch.logits().slice(0, (long) Float.BYTES * columns));
        double[] values = new double[columns];
        for (int i = 0; i < columns; i++) {
          values[i] = row[i];
        }
        return values;
      }
    });
  }

  @Test
  void guidedLosses_areThoseOfTheMixedLogitsAlsoBeyondAFloatsOdds() {
    int[] prompt = {5, 6, 7};
    int[] answer = {20, 300, 4};
    try (var loaded = new Loaded(TestDevices.software(), GoldenModel.MICRO, DType.F32, LIMITS)) {
      int mask = loaded.predictor.config().maskTokenId();
      int[] canvas = {5, 6, 7, mask, 300, mask};
      int[] copy = {mask, mask, mask, mask, 300, mask};
      double largest = 0;
      for (double scale : new double[] {0.5, 3, 1000}) {
        double[] losses =
            loaded
                .score(new ScoreTask(prompt, answer, new ScoreMethod.FixedMask(2, 0), scale))
                .negativeLogLikelihoods();
        for (int i = 0; i < 2; i++) {
          int position = i == 0 ? 5 : 3;
          double expected =
              lossFromLogits(loaded, canvas, copy, scale, position, answer[position - 3]);
          // Mixing in f32 loses an ulp of (w + 1) · (cond − un), which is of the loss's size.
          assertEquals(expected, losses[i], 1e-4 * Math.max(1, expected), "w " + scale);
          largest = Math.max(largest, losses[i]);
        }
      }
      assertTrue(largest > 89, "one of them has odds beyond a float: " + largest);
    }
  }

  @Test
  void mistakes_areNamed() {
    try (var loaded =
        new Loaded(
            TestDevices.software(), GoldenModel.MICRO, DType.F32, new WorkspaceLimits(40, 8, 2))) {
      int[] ids = {1, 2, 3};
      var mask = new ScoreMethod.FixedMask(0);
      refused(loaded, "answer_ids", new ScoreTask(ids, new int[0], mask, 0));
      refused(loaded, "answer_ids", new ScoreTask(ids, new int[] {500}, mask, 0));
      refused(loaded, "prompt_ids", new ScoreTask(new int[] {-1}, ids, mask, 0));
      int hole = loaded.predictor.config().maskTokenId();
      refused(loaded, "prompt_ids", new ScoreTask(new int[] {hole}, ids, mask, 0));
      refused(loaded, "masked", new ScoreTask(ids, ids, new ScoreMethod.FixedMask(), 0));
      refused(loaded, "masked", new ScoreTask(ids, ids, new ScoreMethod.FixedMask(3), 0));
      refused(loaded, "masked", new ScoreTask(ids, ids, new ScoreMethod.FixedMask(1, 1), 0));
      refused(loaded, "draws", new ScoreTask(ids, ids, new ScoreMethod.MonteCarlo(0, 1), 0));
      refused(loaded, "cfg_scale", new ScoreTask(ids, ids, mask, -1));
      refused(loaded, "cfg_scale", new ScoreTask(ids, ids, mask, Double.NaN));
      refused(loaded, "maxTokens", new ScoreTask(new int[38], ids, mask, 0));
      refused(loaded, "maxTokens", new ScoreTask(new int[20], ids, mask, 1));
      assertTrue(loaded.score(new ScoreTask(ids, ids, mask, 1)).weightedSum() > 0, "still usable");
    }
  }

  private static void refused(Loaded loaded, String field, ScoreTask task) {
    var failure = assertThrows(InvalidOptionException.class, () -> loaded.score(task));
    assertEquals(field, failure.field(), failure.getMessage());
  }

  @Test
  void interrupt_endsTheScoring() {
    try (var loaded = new Loaded(TestDevices.software(), GoldenModel.MICRO, DType.F32, LIMITS)) {
      var task = new ScoreTask(new int[] {1}, new int[] {2}, new ScoreMethod.FixedMask(0), 0);
      Thread.currentThread().interrupt();
      assertThrows(CancellationException.class, () -> loaded.score(task));
      assertTrue(Thread.interrupted(), "the flag is kept");
      assertTrue(loaded.score(task).weightedSum() > 0);
    }
  }
}
