package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
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
            InvalidOptionException.class, () -> builder.build().validate(CONFIG, tokens, prompt));
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
  void defaults_areTheContracts() {
    assertEquals(
        new DiffusionOptions(64, 64, 64, 0, 0, Remasking.LOW_CONFIDENCE, false, false, 0),
        DiffusionOptions.defaults());
    assertEquals(24, options().genLength(24).build().blockLength());
    assertEquals(24, options().genLength(24).blockLength(8).build().steps());
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
    refused(options().temperature(0.5), "temperature", "must be 0", "got 0.5");
    refused(options().temperature(Double.NaN), "temperature", "got NaN");
    refused(options().cfgScale(-1), "cfg_scale", "at least 0", "got -1.0");
    refused(options().cfgScale(Double.NaN), "cfg_scale", "finite", "got NaN");
    refused(options().cfgScale(Double.POSITIVE_INFINITY), "cfg_scale", "finite", "Infinity");
    refused(options().cfgScale(1e300), "cfg_scale", "finite", "got 1.0E300");
    refused(options().remasking(null), "remasking", "low_confidence or random");
    var e = assertThrows(InvalidOptionException.class, () -> Remasking.parse("best"));
    assertEquals("remasking must be low_confidence or random, got best", e.getMessage());
  }

  @Test
  void endOptions_needTheirIds() {
    var noEos = new SpecialTokens(500, 499, -1, 498);
    var noEot = new SpecialTokens(500, 499, 497, -1);
    refused(options().suppressEos(true), PROMPT, noEos, "suppress_eos", "EOS id");
    refused(options().deferEos(true), PROMPT, noEos, "defer_eos", "EOS id");
    refused(options().deferEos(true), PROMPT, noEot, "defer_eos", "EoT id", "eot_token_id");
    options().suppressEos(true).build().validate(CONFIG, noEot, PROMPT);
    options().deferEos(true).suppressEos(true).build().validate(CONFIG, TOKENS, PROMPT);
  }

  @Test
  void promptIds_stayInsideTheVocabularyAndHoldNoMask() {
    refused(options(), new int[] {1, 500}, TOKENS, "prompt_ids", "below vocab_size 500", "got 500");
    refused(options(), new int[] {-1}, TOKENS, "prompt_ids", "at least 0", "got -1 at index 0");
    refused(options(), new int[] {1, 2, 499}, TOKENS, "prompt_ids", "mask id 499", "index 2");
    assertDoesNotThrow(() -> options().build().validate(CONFIG, TOKENS, new int[0]));
  }

  @Test
  void length_fitsTheModel() {
    int max = CONFIG.maxSequenceLength();
    assertDoesNotThrow(() -> options().genLength(max - 3).build().validate(CONFIG, TOKENS, PROMPT));
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
      cases.forEach(c -> c.options().validate(config, tokens, c.promptIds()));
    }
  }
}
