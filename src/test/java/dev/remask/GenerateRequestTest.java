package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.Constraints;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.Remasking;
import dev.remask.diffusion.Schedule;
import dev.remask.text.Message;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.json.JsonMapper;

/// Requests in JSON, both ways.
class GenerateRequestTest {
  private static final int M = GenerateRequest.MASK;

  private static GenerateRequest.Builder request() {
    return GenerateRequest.builder();
  }

  private static DiffusionOptions.Builder options() {
    return DiffusionOptions.builder();
  }

  private static void roundTrip(String json, GenerateRequest.Builder request) {
    GenerateRequest built = request.build();
    assertEquals(json, built.toJson());
    assertEquals(built, GenerateRequest.fromJson(json));
    assertEquals(built.hashCode(), GenerateRequest.fromJson(json).hashCode());
  }

  private static void roundTripOption(String json, DiffusionOptions.Builder options) {
    roundTrip(
        "{\"prompt\":\"x\",\"options\":{" + json + "}}",
        request().prompt("x").options(options.build()));
  }

  @Test
  void everyField_hasItsJson() {
    roundTrip("{\"prompt\":\"What?\"}", request().prompt("What?"));
    roundTrip(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
        request().messages(List.of(new Message("user", "Hi"))));
    roundTrip("{\"prompt_ids\":[]}", request().promptIds());
    roundTrip("{\"prompt_ids\":[1,2]}", request().promptIds(1, 2));
    roundTrip("{\"canvas\":\"a <mask:2> b\"}", request().canvas("a <mask:2> b"));
    roundTrip("{\"canvas_ids\":[5,null,null,7]}", request().canvasIds(5, M, M, 7));
    roundTrip(
        "{\"prompt\":\"x\",\"negative_prompt\":\"y\"}", request().prompt("x").negativePrompt("y"));
    roundTrip(
        "{\"prompt\":\"x\",\"negative_prompt_ids\":[3]}",
        request().prompt("x").negativePromptIds(3));
    roundTrip(
        "{\"prompt\":\"x\",\"raw\":true,\"trace\":true,\"timeout_ms\":1500}",
        request().prompt("x").raw(true).trace(true).timeoutMs(1500));
    roundTrip(
        "{\"prompt\":\"x\",\"choices\":[\"Yes\",\"No\"]}",
        request().prompt("x").choices(List.of("Yes", "No")));
    roundTrip(
        "{\"prompt\":\"x\",\"choice_ids\":[[1,2],[3,null]]}",
        request()
            .prompt("x")
            .constraints(
                Constraints.builder().choices(new int[] {1, 2}, new int[] {3, M}).build()));
    roundTrip(
        "{\"prompt\":\"x\",\"allowed_tokens\":[1,2],\"banned_tokens\":[{\"ids\":[4]},"
            + "{\"position\":3,\"ids\":[5,6]}],\"logit_bias\":{\"7\":-1.5,\"9\":0.1}}",
        request()
            .prompt("x")
            .constraints(
                Constraints.builder()
                    .allow(1, 2)
                    .ban(4)
                    .banAt(3, 5, 6)
                    .bias(7, -1.5f)
                    .bias(9, 0.1f)
                    .build()));
  }

  @Test
  void everyOption_hasItsJson() {
    roundTripOption("\"gen_length\":64", options().genLength(64));
    roundTripOption("\"max_gen_length\":128", options().maxGenLength(128));
    roundTripOption("\"block_length\":8", options().blockLength(8));
    roundTripOption("\"steps\":8", options().steps(8));
    roundTripOption("\"steps\":[4,2]", options().stepsPerBlock(4, 2));
    roundTripOption("\"schedule\":\"cosine\"", options().schedule(Schedule.cosine()));
    roundTripOption("\"schedule\":[1.0,0.5,0.0]", options().schedule(Schedule.of(1, 0.5, 0)));
    roundTripOption("\"remasking\":\"margin\"", options().remasking(Remasking.MARGIN));
    roundTripOption("\"threshold\":0.9", options().threshold(0.9));
    roundTripOption("\"factor\":1.5", options().factor(1.5));
    roundTripOption("\"revision_budget\":3", options().revisionBudget(3));
    roundTripOption("\"revision_threshold\":0.2", options().revisionThreshold(0.2));
    roundTripOption("\"temperature\":0.7", options().temperature(0.7));
    roundTripOption("\"top_k\":5", options().topK(5));
    roundTripOption("\"top_p\":0.9", options().topP(0.9));
    roundTripOption("\"seed\":-9223372036854775808", options().seed(Long.MIN_VALUE));
    roundTripOption("\"cfg_scale\":1.25", options().cfgScale(1.25));
    roundTripOption("\"suppress_eos\":true", options().suppressEos(true));
    roundTripOption("\"defer_eos\":true", options().deferEos(true));
    roundTripOption("\"early_stop\":true", options().earlyStop(true));
    roundTripOption("\"cache\":\"dual\"", options().cache(CacheMode.DUAL));
    roundTripOption("\"cache_refresh\":4", options().cacheRefresh(4));
    assertEquals(21, DiffusionOptions.names().size() + 1, "each name is tested above");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "[1]                                        | json         | must be a JSON object",
        "{\"prompt\":                               | json         | not valid JSON",
        "{\"prompt\":\"x\"} {}                      | json         | more than one value",
        "{\"prompt\":\"x\",\"prompt\":\"y\"}        | json         | prompt",
        "{}                                         | prompt       | exactly one of prompt",
        "{\"prompt\":\"x\",\"canvas\":\"<mask>\"}   | prompt       | got prompt and canvas",
        "{\"promt\":\"x\"}                          | promt        | unknown key promt",
        "{\"prompt\":\"x\",\"gen_length\":3}        | gen_length   | it is an option",
        "{\"prompt\":null}                          | prompt       | must be a text, got null",
        "{\"prompt\":3}                             | prompt       | prompt must be a text, got 3",
        "{\"prompt\":\"x\",\"raw\":1}               | raw          | true or false, got 1",
        "{\"prompt_ids\":[1],\"raw\":true}          | raw          | needs a prompt",
        "{\"prompt\":\"x\",\"timeout_ms\":0}        | timeout_ms   | at least 1, got 0",
        "{\"messages\":[]}                          | messages     | at least one message",
        "{\"messages\":[{\"role\":\"user\"}]}       | content      | messages[0].content must be",
        "{\"messages\":[{\"role\":1,\"content\":\"\"}]} | role     | messages[0].role must be a text",
        "{\"messages\":[\"hi\"]}                    | messages[0]  | must be an object",
        "{\"prompt_ids\":[1,1.5]}                   | prompt_ids   | prompt_ids[1] must be a token id",
        "{\"prompt_ids\":[1,null]}                  | prompt_ids   | prompt_ids[1] must be a token id",
        "{\"prompt_ids\":5}                         | prompt_ids   | must be a list of token ids",
        "{\"canvas_ids\":[1,-1]}                    | canvas_ids   | must be a token id or null, got -1",
        "{\"prompt\":\"x\",\"options\":[]}          | options      | must be an object",
        "{\"prompt\":\"x\",\"options\":{\"top\":1}} | top          | unknown key options.top",
        "{\"prompt\":\"x\",\"options\":{\"steps\":\"8\"}} | steps  | options.steps must be a whole number",
        "{\"prompt\":\"x\",\"options\":{\"steps\":[8,1.5]}} | steps | list of them",
        "{\"prompt\":\"x\",\"options\":{\"top_k\":1e99}} | top_k   | whole number",
        "{\"prompt\":\"x\",\"options\":{\"seed\":1.5}} | seed      | options.seed must be a whole number",
        "{\"prompt\":\"x\",\"options\":{\"threshold\":\"high\"}} | threshold | must be a number",
        "{\"prompt\":\"x\",\"options\":{\"schedule\":[1,\"a\",0]}} | schedule | schedule[1] must be a number",
        "{\"prompt\":\"x\",\"options\":{\"schedule\":[1,0.5]}} | schedule | fall strictly from 1 to 0",
        "{\"prompt\":\"x\",\"options\":{\"schedule\":3}} | schedule | must be a text",
        "{\"prompt\":\"x\",\"options\":{\"remasking\":\"best\"}} | remasking | one of low_confidence",
        "{\"prompt\":\"x\",\"options\":{\"cache\":\"all\"}} | cache | one of none",
        "{\"prompt\":\"x\",\"negative_prompt\":\"a\",\"negative_prompt_ids\":[1]} | negative_prompt | at most one",
        "{\"prompt\":\"x\",\"negative_prompt\":\"a\",\"options\":{\"negative_prompt\":\"b\"}} | negative_prompt | once",
        "{\"prompt\":\"x\",\"choices\":[\"a\"],\"choice_ids\":[[1]]} | choices | at most one",
        "{\"prompt\":\"x\",\"choices\":\"a\"}       | choices      | must be a list",
        "{\"prompt\":\"x\",\"allowed_tokens\":{}}   | allowed_tokens | must be a list of token ids or",
        "{\"prompt\":\"x\",\"banned_tokens\":[{\"position\":1}]} | ids | ids must be a list",
        "{\"prompt\":\"x\",\"banned_tokens\":[{\"position\":-1,\"ids\":[1]}]} | banned_tokens | at least 0",
        "{\"prompt\":\"x\",\"banned_tokens\":[{\"ids\":[1]},{\"ids\":[2]}]} | banned_tokens | every position twice",
        "{\"prompt\":\"x\",\"logit_bias\":{\"a\":1}} | logit_bias  | token ids as keys, got a",
        "{\"prompt\":\"x\",\"logit_bias\":{\"5\":\"a\"}} | 5        | logit_bias.5 must be a number",
      })
  void whatIsWrong_isNamed(String json, String field, String mentioned) {
    var e = assertThrows(RequestException.class, () -> GenerateRequest.fromJson(json));
    assertEquals(field, e.field(), e.getMessage());
    assertTrue(e.getMessage().contains(mentioned), e.getMessage());
  }

  @Test
  void whatMayStandInOptions_isReadThereToo() {
    assertEquals(
        GenerateRequest.fromJson(
            "{\"prompt\":\"x\",\"negative_prompt\":\"y\",\"banned_tokens\":[3],"
                + "\"options\":{\"cfg_scale\":1}}"),
        GenerateRequest.fromJson(
            "{\"prompt\":\"x\",\"options\":{\"cfg_scale\":1,\"negative_prompt\":\"y\","
                + "\"banned_tokens\":[3]}}"));
  }

  @Test
  void defaults_holdWhereNothingIsSaid() {
    var defaults =
        request().options(options().genLength(16).steps(4).seed(3).build()).raw(true).trace(true);
    GenerateRequest read =
        GenerateRequest.fromJson("{\"prompt\":\"x\",\"options\":{\"steps\":8}}", defaults);
    assertEquals(options().genLength(16).steps(8).seed(3).build(), read.options());
    assertTrue(read.raw() && read.trace());
    GenerateRequest ids = GenerateRequest.fromJson("{\"prompt_ids\":[1]}", defaults);
    assertTrue(!ids.raw() && ids.trace(), "raw is for text");
    GenerateRequest unset =
        GenerateRequest.fromJson(
            "{\"prompt\":\"x\",\"options\":{\"steps\":null,\"threshold\":0.9}}", defaults);
    assertEquals(
        options().genLength(16).seed(3).threshold(0.9).build(), unset.options(), "null is default");
    GenerateRequest canvas = GenerateRequest.fromJson("{\"canvas_ids\":[null]}", defaults);
    assertEquals(options().steps(4).seed(3).build(), canvas.options(), "its masks are its length");
    GenerateRequest again = GenerateRequest.fromJson("{\"prompt\":\"z\"}", defaults);
    assertEquals("z", again.prompt().orElseThrow(), "the defaults are not touched");
  }

  @Test
  void equality_isByContent() {
    assertEquals(request().promptIds(1, 2).build(), request().promptIds(1, 2).build());
    assertNotEquals(request().promptIds(1, 2).build(), request().canvasIds(1, 2).build());
    assertNotEquals(
        request().prompt("x").build(),
        request().prompt("x").options(options().genLength(64).build()).build(),
        "a length that is set counts, even if it is the default's");
    int[] ids = {1, 2};
    GenerateRequest built = request().promptIds(ids).build();
    ids[0] = 9;
    assertArrayEquals(new int[] {1, 2}, built.promptIds().orElseThrow());
  }

  @Test
  void randomRequests_readBackAsThemselves() {
    long seed = System.nanoTime();
    var random = new Random(seed);
    for (int i = 0; i < 500; i++) {
      GenerateRequest request = RandomRequests.next(random, 500);
      String json = request.toJson();
      assertEquals(request, GenerateRequest.fromJson(json), "seed " + seed + " " + json);
      assertTrue(JsonMapper.shared().readTree(json).isObject() && !json.contains("\n"));
    }
  }
}
