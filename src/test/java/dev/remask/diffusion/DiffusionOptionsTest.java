package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.DiffusionOptions.Builder;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.ModelConfig;
import java.util.List;
import org.junit.jupiter.api.Test;

class DiffusionOptionsTest {
  private static final ModelConfig CONFIG =
      ModelConfig.read(GoldenCases.GoldenModel.MICRO.checkpoint());
  private static final SpecialTokens TOKENS =
      new SpecialTokens(
          CONFIG.vocabSize(), CONFIG.maskTokenId(), CONFIG.eosTokenId(), CONFIG.eotTokenId());
  private static final int[] PROMPT = {3, 141, 59};

  private static Builder options() {
    return DiffusionOptions.builder();
  }

  private static void refused(
      Builder builder, int[] prompt, SpecialTokens tokens, String field, String... parts) {
    var e =
        assertThrows(
            InvalidOptionException.class,
            () -> DenoisingTask.ofPrompt(prompt, builder.build()).validate(CONFIG, tokens));
    assertEquals(field, e.field(), e.getMessage());
    for (String part : parts) {
      assertTrue(e.getMessage().contains(part), e.getMessage());
    }
    assertTrue(e.getMessage().startsWith(field + " "), e.getMessage());
  }

  private static void refused(Builder builder, String field, String... parts) {
    refused(builder, PROMPT, TOKENS, field, parts);
  }

  @Test
  void defaults_areTheDocumentedOnes() {
    DiffusionOptions defaults = DiffusionOptions.defaults();
    assertEquals(64, defaults.genLength());
    assertEquals(64, defaults.blockLength());
    assertEquals(64, DenoisingPlan.of(64, defaults).size());
    assertEquals(Remasking.LOW_CONFIDENCE, defaults.remasking());
    assertEquals(0, defaults.temperature());
    assertEquals("DiffusionOptions{}", defaults.toString());
    assertEquals(defaults, options().build());
    assertEquals(24, options().genLength(24).build().blockLength());
    assertEquals(24, DenoisingPlan.of(24, options().genLength(24).blockLength(8).build()).size());
  }

  @Test
  void schedule_rulesAreNamed() {
    refused(options().genLength(0), "gen_length", "at least 1", "got 0");
    refused(options().genLength(-3), "gen_length", "at least 1", "got -3");
    refused(options().blockLength(0), "block_length", "at least 1", "got 0");
    refused(options().genLength(10).blockLength(4), "block_length", "divide gen_length", "4", "10");
    refused(options().genLength(10).blockLength(20), "block_length", "divide gen_length", "20");
    refused(options().steps(0), "steps", "at least 1", "got 0");
    refused(
        options().genLength(12).blockLength(4).steps(7),
        "steps",
        "multiple of the number of blocks",
        "12 / 4 = 3",
        "got 7");
  }

  @Test
  void sampling_rulesAreNamed() {
    refused(options().temperature(-0.5), "temperature", "at least 0", "got -0.5");
    refused(options().temperature(Double.NaN), "temperature", "got NaN");
    refused(options().temperature(1e-60), "temperature", "got 1.0E-60"); // 0 as a float
    accepted(options().temperature(1e-40));
    refused(options().cfgScale(-1), "cfg_scale", "at least 0", "got -1.0");
    refused(options().cfgScale(Double.NaN), "cfg_scale", "finite", "got NaN");
    refused(options().cfgScale(Double.POSITIVE_INFINITY), "cfg_scale", "finite", "Infinity");
    refused(options().cfgScale(1e300), "cfg_scale", "finite", "got 1.0E300");
    refused(options().cfgScale(1001), "cfg_scale", "at most 1000", "got 1001");
    accepted(options().cfgScale(1000));
    var e = assertThrows(InvalidOptionException.class, () -> Remasking.parse("best"));
    assertEquals(
        "remasking must be one of low_confidence, random, entropy, margin, origin, got best",
        e.getMessage());
  }

  @Test
  void endOptions_needTheirIds() {
    var noEos = new SpecialTokens(500, 499, -1, 498);
    var noEot = new SpecialTokens(500, 499, 497, -1);
    refused(options().suppressEos(true), PROMPT, noEos, "suppress_eos", "EOS id");
    refused(options().deferEos(true), PROMPT, noEos, "defer_eos", "EOS id");
    refused(options().deferEos(true), PROMPT, noEot, "defer_eos", "EoT id", "eot_token_id");
    accepted(options().suppressEos(true), PROMPT, noEot);
    accepted(options().deferEos(true).suppressEos(true));
  }

  @Test
  void promptIds_stayInsideTheVocabularyAndHoldNoMask() {
    refused(options(), new int[] {1, 500}, TOKENS, "prompt_ids", "below vocab_size 500", "got 500");
    refused(options(), new int[] {-1}, TOKENS, "prompt_ids", "at least 0", "got -1 at index 0");
    refused(options(), new int[] {1, 2, 499}, TOKENS, "prompt_ids", "mask id 499", "index 2");
    accepted(options(), new int[0], TOKENS);
  }

  @Test
  void length_fitsTheModel() {
    int max = CONFIG.maxSequenceLength();
    accepted(options().genLength(max - 3));
    refused(
        options().genLength(max - 2),
        "gen_length",
        "prompt 3 + gen_length " + (max - 2),
        "max_sequence_length " + max,
        "at most " + (max - 3) + " fit");
    refused(options().genLength(Integer.MAX_VALUE), "gen_length", "max_sequence_length");
    refused(options(), new int[max - 50], TOKENS, "gen_length", "64 (the default)", "50 fit");
    refused(options(), new int[max + 5], TOKENS, "gen_length", "none fits");
  }

  @Test
  void goldenOptions_areValid() {
    for (GoldenCases.GoldenModel model : GoldenCases.GoldenModel.values()) {
      ModelConfig config = ModelConfig.read(model.checkpoint());
      var tokens =
          new SpecialTokens(config.vocabSize(), config.maskTokenId(), config.eosTokenId(), 5);
      List<GoldenCases.GoldenCase> cases = model.cases();
      assertTrue(cases.size() >= 5, model + " has goldens");
      cases.forEach(
          c -> DenoisingTask.ofPrompt(c.promptIds(), c.options()).validate(config, tokens));
    }
  }

  private static void refusedTask(DenoisingTask task, String field, String... parts) {
    var e = assertThrows(InvalidOptionException.class, () -> task.validate(CONFIG, TOKENS));
    assertEquals(field, e.field(), e.getMessage());
    for (String part : parts) {
      assertTrue(e.getMessage().contains(part), e.getMessage());
    }
    assertTrue(e.getMessage().startsWith(field + " "), e.getMessage());
  }

  private static void accepted(Builder builder) {
    accepted(builder, PROMPT, TOKENS);
  }

  private static void accepted(Builder builder, int[] prompt, SpecialTokens tokens) {
    DenoisingTask.ofPrompt(prompt, builder.build()).validate(CONFIG, tokens);
  }

  @Test
  void steps_beyondTheMasksAreLegal_exceptForOrigin() {
    accepted(options().genLength(8).steps(1));
    accepted(options().genLength(8).steps(2_000_000_000));
    accepted(options().genLength(8).remasking(Remasking.ORIGIN));
    accepted(options().genLength(8).steps(3).remasking(Remasking.ORIGIN));
    refused(
        options().genLength(8).steps(9).remasking(Remasking.ORIGIN), "steps", "origin", "got 9");
    refused(
        options().genLength(2).schedule(Schedule.of(1, 0.7, 0.4, 0)).remasking(Remasking.ORIGIN),
        "steps",
        "at most one a mask");
    refused(
        options().genLength(8).blockLength(1).stepsPerBlock(fill(8, 2_000_000_000)),
        "steps",
        "numbered");
    refused(
        options().genLength(8).blockLength(4).revisionBudget(2_000_000_000),
        "revision_budget",
        "at most 1000000");
  }

  private static int[] fill(int length, int value) {
    int[] list = new int[length];
    java.util.Arrays.fill(list, value);
    return list;
  }

  @Test
  void stepsPerBlock_areOneForEach() {
    accepted(options().genLength(8).blockLength(4).stepsPerBlock(1, 7));
    refused(options().genLength(8).blockLength(4).stepsPerBlock(1), "steps", "2 blocks", "1 num");
    refused(options().genLength(8).blockLength(4).stepsPerBlock(1, 0), "steps", "at least 1");
    refused(
        options().genLength(8).steps(2).schedule(Schedule.of(1, 0.5, 0)),
        "steps",
        "schedule that is a list",
        "2 steps a block");
  }

  @Test
  void commitRules_excludeEachOther() {
    accepted(options().threshold(0.9));
    accepted(options().threshold(1).remasking(Remasking.ENTROPY));
    accepted(options().factor(1.5).remasking(Remasking.MARGIN));
    refused(options().threshold(0), "threshold", "above 0 and at most 1", "got 0.0");
    refused(options().threshold(1.01), "threshold", "got 1.01");
    refused(options().threshold(Double.NaN), "threshold", "got NaN");
    refused(options().factor(0), "factor", "above 0");
    refused(options().factor(1e300), "factor", "finite");
    refused(options().threshold(0.9).factor(1), "threshold", "factor");
    refused(options().threshold(0.9).steps(8), "steps", "threshold");
    refused(options().factor(1).stepsPerBlock(8), "steps", "factor");
    refused(options().factor(1).schedule(Schedule.cosine()), "schedule", "factor", "cosine");
    refused(options().threshold(0.9).remasking(Remasking.RANDOM), "threshold", "random");
    refused(options().threshold(0.9).remasking(Remasking.ORIGIN), "threshold", "origin");
    refused(options().factor(1).remasking(Remasking.ORIGIN), "factor", "origin");
  }

  @Test
  void revision_rulesAreNamed() {
    accepted(options().revisionBudget(3));
    accepted(options().revisionBudget(3).revisionThreshold(0.5).threshold(0.9));
    refused(options().revisionBudget(-1), "revision_budget", "at least 0", "got -1");
    refused(options().revisionThreshold(0.2), "revision_threshold", "needs a revision_budget");
    refused(options().revisionBudget(1).revisionThreshold(0), "revision_threshold", "above 0");
    refused(options().revisionBudget(1).revisionThreshold(1), "revision_threshold", "below 1");
  }

  @Test
  void restrictions_needATemperature() {
    accepted(options().temperature(0.7).topK(5).topP(0.9));
    refused(options().topK(5), "top_k", "needs a temperature", "got top_k 5");
    refused(options().topP(0.9), "top_p", "needs a temperature", "0.9");
    refused(options().temperature(1).topK(-1), "top_k", "at least 0");
    refused(options().temperature(1).topP(0), "top_p", "above 0");
    refused(options().temperature(1).topP(1e-60), "top_p", "above 0");
    refused(options().temperature(1).topP(1.5), "top_p", "at most 1");
  }

  @Test
  void ends_rulesAreNamed() {
    var noEos = new SpecialTokens(500, 499, -1, 498);
    accepted(options().earlyStop(true));
    accepted(options().genLength(8).maxGenLength(24));
    accepted(options().genLength(8).maxGenLength(8).earlyStop(true));
    refused(options().earlyStop(true), PROMPT, noEos, "early_stop", "EOS id");
    refused(options().maxGenLength(128), PROMPT, noEos, "max_gen_length", "EOS id");
    refused(options().earlyStop(true).suppressEos(true), "early_stop", "suppress_eos");
    refused(options().earlyStop(true).revisionBudget(2), "early_stop", "revision_budget");
    refused(options().deferEos(true).remasking(Remasking.ORIGIN), "defer_eos", "origin");
    refused(options().genLength(8).maxGenLength(7), "max_gen_length", "at least gen_length 8");
    refused(
        options().genLength(8).maxGenLength(12), "max_gen_length", "multiple", "block_length 8");
    refused(
        options().genLength(8).maxGenLength(16).suppressEos(true),
        "max_gen_length",
        "suppress_eos");
    refused(options().genLength(8).maxGenLength(16).deferEos(true), "max_gen_length", "defer_eos");
    refused(
        options().genLength(8).maxGenLength(16).remasking(Remasking.RANDOM),
        "max_gen_length",
        "random");
    int max = CONFIG.maxSequenceLength();
    refused(
        options().genLength(1).maxGenLength(max - 2),
        "max_gen_length",
        "prompt 3 + max_gen_length " + (max - 2));
  }

  @Test
  void cache_rulesAreNamed() {
    accepted(options().cache(CacheMode.PREFIX).cacheRefresh(4));
    accepted(options().cache(CacheMode.DUAL).threshold(0.9).cfgScale(1));
    refused(options().cacheRefresh(4), "cache_refresh", "needs a cache");
    refused(options().cache(CacheMode.DUAL).cacheRefresh(-4), "cache_refresh", "at least 0");
    var e = assertThrows(InvalidOptionException.class, () -> CacheMode.parse("all"));
    assertEquals("cache must be one of none, prefix, dual, got all", e.getMessage());
  }

  private static final int M = DenoisingTask.MASK;

  private static DenoisingTask canvas(Builder builder, int... ids) {
    return DenoisingTask.ofCanvas(ids, builder.build());
  }

  @Test
  void canvases_haveTheirOwnLength() {
    canvas(options(), 1, M, 2, M, M).validate(CONFIG, TOKENS);
    canvas(options().blockLength(2).steps(4), M, M, 1, M).validate(CONFIG, TOKENS);
    refusedTask(canvas(options().genLength(2), 1, M, M), "gen_length", "canvas");
    refusedTask(canvas(options().maxGenLength(64), 1, M), "max_gen_length", "canvas");
    refusedTask(canvas(options(), 1, 2), "canvas_ids", "at least one masked");
    refusedTask(canvas(options()), "canvas_ids", "at least one masked");
    refusedTask(canvas(options(), 499, M), "canvas_ids", "mask id 499", "null");
    refusedTask(canvas(options(), 500, M), "canvas_ids", "below vocab_size");
    refusedTask(
        canvas(options().blockLength(2).steps(3), M, M, 1, M, M, 2),
        "steps",
        "masks / block_length");
    int max = CONFIG.maxSequenceLength();
    canvas(options(), fill(max, M)).validate(CONFIG, TOKENS);
    refusedTask(canvas(options(), fill(max + 1, M)), "canvas_ids", "max_sequence_length " + max);
    canvas(options().earlyStop(true), 1, 2, M, M).validate(CONFIG, TOKENS);
    refusedTask(
        canvas(options().earlyStop(true), 1, M, 2, M), "early_stop", "fixed tokens", "position 1");
    refusedTask(canvas(options().earlyStop(true), 1, M, 2), "early_stop", "fixed tokens");
  }

  @Test
  void negativePrompts_needGuidance() {
    var guided = DenoisingTask.ofPrompt(PROMPT, options().cfgScale(2).build());
    guided.withNegativePrompt(new int[] {4, 5}).validate(CONFIG, TOKENS);
    guided.withNegativePrompt(new int[0]).validate(CONFIG, TOKENS);
    refusedTask(guided.withNegativePrompt(new int[] {499}), "negative_prompt_ids", "mask id 499");
    refusedTask(
        DenoisingTask.ofPrompt(PROMPT, options().build()).withNegativePrompt(new int[] {4}),
        "negative_prompt",
        "needs a cfg_scale");
    refusedTask(
        canvas(options().cfgScale(2), 1, M).withNegativePrompt(new int[] {4}),
        "negative_prompt",
        "canvas");
    refusedTask(
        guided.withNegativePrompt(new int[CONFIG.maxSequenceLength()]),
        "gen_length",
        "negative prompt " + CONFIG.maxSequenceLength());
  }

  private static DenoisingTask constrained(Builder builder, Constraints.Builder constraints) {
    return DenoisingTask.ofPrompt(PROMPT, builder.genLength(2).build())
        .withConstraints(constraints.build());
  }

  private static Constraints.Builder rules() {
    return Constraints.builder();
  }

  @Test
  void constraints_leaveATokenForEveryMask() {
    constrained(options(), rules().allow(1, 2).banAt(0, 1).banAt(1, 2)).validate(CONFIG, TOKENS);
    constrained(options(), rules().bias(3, -100)).validate(CONFIG, TOKENS);
    refusedTask(constrained(options(), rules().ban(499)), "banned_tokens", "mask id 499");
    refusedTask(constrained(options(), rules().allow(500)), "allowed_tokens", "vocab_size 500");
    refusedTask(constrained(options(), rules().bias(-1, 1)), "logit_bias", "got -1");
    refusedTask(
        constrained(options(), rules().bias(1, Float.NEGATIVE_INFINITY)), "logit_bias", "finite");
    refusedTask(constrained(options(), rules().allow()), "allowed_tokens", "leave a token");
    refusedTask(
        constrained(options(), rules().allow(1).banAt(1, 1)), "allowed_tokens", "position 1");
    refusedTask(
        constrained(options(), rules().allow(1, 2).allowAt(0, 3)), "allowed_tokens", "position 0");
    refusedTask(
        constrained(options().suppressEos(true), rules().allow(TOKENS.eos())),
        "allowed_tokens",
        "suppress_eos");
    int[] all = java.util.stream.IntStream.range(0, 499).toArray();
    refusedTask(constrained(options(), rules().banAt(1, all)), "banned_tokens", "position 1");
    refusedTask(constrained(options(), rules().banAt(2, 1)), "banned_tokens", "got position 2");
    refusedTask(
        canvas(options(), 5, M).withConstraints(rules().allowAt(0, 1).build()),
        "allowed_tokens",
        "masked positions",
        "got position 0");
    canvas(options(), 5, M).withConstraints(rules().allowAt(1, 1).build()).validate(CONFIG, TOKENS);
  }

  @Test
  void choices_commitOneByOne() {
    int[] one = {1, 2};
    int[] other = {3, Constraints.ANY};
    constrained(options(), rules().choices(one, other)).validate(CONFIG, TOKENS);
    constrained(options().steps(5), rules().choices(one, other)).validate(CONFIG, TOKENS);
    refusedTask(
        constrained(options().steps(1), rules().choices(one)), "choice_ids", "step for each mask");
    refusedTask(
        constrained(options().threshold(0.5), rules().choices(one)), "choice_ids", "threshold");
    refusedTask(constrained(options().factor(1), rules().choices(one)), "choice_ids", "factor");
    refusedTask(
        constrained(options().remasking(Remasking.ORIGIN), rules().choices(one)),
        "choice_ids",
        "origin");
    refusedTask(
        constrained(options().maxGenLength(4), rules().choices(fill(4, 1))),
        "choice_ids",
        "max_gen_length");
    refusedTask(
        constrained(options(), rules().choices(fill(3, 1))), "choice_ids", "2 masks", "got 3");
    refusedTask(constrained(options(), rules().choices(one).banAt(1, 2)), "choice_ids", "got id 2");
    refusedTask(
        constrained(options(), rules().choices(new int[] {1, 499})), "choice_ids", "mask id");
  }
}
