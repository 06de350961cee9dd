package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.ScoreMethod;
import dev.remask.kernel.DType;
import dev.remask.testing.TestDevices;
import dev.remask.text.Message;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Scoring as an embedder sees it: requests, results, their JSON.
class ScoreTest {
  private static final String QUESTION = "What is 47 + 38?";
  private static Model model;

  @BeforeAll
  static void load() {
    model =
        Remask.load(
            Remask.defaultModel(),
            LoadOptions.defaults().withDevice(TestDevices.software()).withDType(DType.F32));
  }

  @AfterAll
  static void close() {
    model.close();
  }

  @Test
  void choose_findsTheCapital() {
    ScoreResult result =
        model.choose(
            "What is the capital of France?",
            "The capital of France is Rome.",
            "The capital of France is Paris.",
            "The capital of France is Madrid.");
    assertEquals(1, result.best());
    assertEquals(1, result.bestPerToken());
    assertEquals(3, result.answers().size());
    assertEquals(result.score().logLikelihood(), result.answers().get(1).score().logLikelihood());
    for (ScoreResult.Answer answer : result.answers()) {
      assertTrue(answer.score().logLikelihood() <= result.score().logLikelihood());
      assertTrue(answer.greedy().isEmpty());
    }
  }

  @Test
  void greedy_isWhatTheModelGives() {
    var request =
        ScoreRequest.builder()
            .prompt("What is the capital of France?")
            .choices(List.of("The capital of France is Paris.", "The capital of France is Rome."))
            .draws(4)
            .greedy(true)
            .build();
    ScoreResult result = model.score(request);
    assertTrue(result.answers().getFirst().greedy().orElseThrow());
    assertFalse(result.answers().get(1).greedy().orElseThrow());
  }

  @Test
  void textIdsAndMessages_areWaysToAskTheSame() {
    GenerateResult asked =
        model.generate(
            GenerateRequest.builder()
                .prompt(QUESTION)
                .options(DiffusionOptions.builder().genLength(16).build())
                .build());
    int[] answer = model.codec().orElseThrow().encode("47 + 38 = 85");
    var byIds =
        model.score(
            ScoreRequest.builder()
                .promptIds(asked.promptIds())
                .answerIds(answer)
                .draws(8)
                .seed(3)
                .build());
    var byText =
        model.score(
            ScoreRequest.builder()
                .prompt(QUESTION)
                .answer("47 + 38 = 85")
                .draws(8)
                .seed(3)
                .build());
    var byMessages =
        model.score(
            ScoreRequest.builder()
                .messages(List.of(new Message("user", QUESTION)))
                .answer("47 + 38 = 85")
                .draws(8)
                .seed(3)
                .build());
    assertEquals(byIds.score().logLikelihood(), byText.score().logLikelihood());
    assertEquals(byIds.score().logLikelihood(), byMessages.score().logLikelihood());
    assertEquals(byIds.score().standardError(), byText.score().standardError());
    assertArrayEquals(answer, byText.answers().getFirst().answerIds());
  }

  @Test
  void json_isTheDocumentedOne() {
    JsonNode fixed = json("{\"prompt_ids\":[5,6],\"answer_ids\":[7,8,9],\"masked\":[2,0]}");
    assertEquals(2, fixed.size(), fixed.toString());
    JsonNode losses = fixed.get("negative_log_likelihoods");
    assertEquals(2, losses.size());
    assertEquals(
        (losses.get(0).asDouble() + losses.get(1).asDouble()) * 3 / 2,
        fixed.get("weighted_sum").asDouble(),
        1e-9);

    JsonNode drawn = json("{\"prompt_ids\":[5,6],\"answer_ids\":[7,8,9],\"draws\":16,\"seed\":2}");
    assertEquals(2, drawn.size(), drawn.toString());
    assertTrue(drawn.get("log_likelihood").asDouble() < 0);
    assertTrue(drawn.get("standard_error").asDouble() > 0);
    JsonNode single = json("{\"prompt_ids\":[5,6],\"answer_ids\":[7,8,9],\"draws\":1}");
    assertTrue(single.get("standard_error").isNull(), single.toString());

    JsonNode left =
        json("{\"prompt_ids\":[],\"answer_ids\":[7,8,9],\"conditional\":\"left\",\"cfg_scale\":1}");
    assertEquals(3, left.get("negative_log_likelihoods").size());
    assertTrue(left.has("log_likelihood"));

    JsonNode choices =
        json("{\"prompt\":\"" + QUESTION + "\",\"choices\":[\"85\",\"Paris\"],\"draws\":8}");
    assertEquals(2, choices.get("choices").size());
    assertEquals(0, choices.get("best").asInt());
    assertEquals(0, choices.get("best_per_token").asInt());
    JsonNode byIds = json("{\"prompt_ids\":[5],\"choice_ids\":[[7],[8,9]],\"greedy\":true}");
    assertTrue(byIds.get("choices").get(0).get("is_greedy").isBoolean());
  }

  private static JsonNode json(String line) {
    return JsonMapper.shared().readTree(model.score(ScoreRequest.fromJson(line)).toJson());
  }

  @Test
  void mistakes_nameTheField() {
    refused("prompt", "{\"answer\":\"a\"}");
    refused("prompt", "{\"prompt\":\"a\",\"prompt_ids\":[1],\"answer\":\"a\"}");
    refused("answer", "{\"prompt\":\"a\"}");
    refused("answer", "{\"prompt\":\"a\",\"answer\":\"a\",\"choices\":[\"b\"]}");
    refused("choices", "{\"prompt\":\"a\",\"choices\":[]}");
    refused("choices", "{\"prompt\":\"a\",\"choices\":\"b\"}");
    refused("masked", "{\"prompt\":\"a\",\"answer\":\"b\",\"masked\":[0],\"draws\":3}");
    refused("masked", "{\"prompt\":\"a\",\"choices\":[\"b\"],\"masked\":[0]}");
    refused("masked", "{\"prompt\":\"a\",\"answer\":\"b\",\"masked\":[0.5]}");
    refused("masked", "{\"prompt\":\"a\",\"answer\":\"b\",\"masked\":[9]}");
    refused("draws", "{\"prompt\":\"a\",\"answer\":\"b\",\"draws\":\"many\"}");
    refused("draws", "{\"prompt\":\"a\",\"answer\":\"b\",\"draws\":0}");
    refused("seed", "{\"prompt\":\"a\",\"answer\":\"b\",\"seed\":1.5}");
    refused("conditional", "{\"prompt\":\"a\",\"answer\":\"b\",\"conditional\":\"right\"}");
    refused("cfg_scale", "{\"prompt\":\"a\",\"answer\":\"b\",\"cfg_scale\":-1}");
    refused("raw", "{\"prompt_ids\":[1],\"raw\":true,\"answer\":\"b\"}");
    refused("content", "{\"messages\":[{\"role\":\"user\"}],\"answer\":\"b\"}");
    refused("answer_ids", "{\"prompt_ids\":[1],\"answer_ids\":[]}");
    refused("answer_ids", "{\"prompt_ids\":[1],\"answer_ids\":[99999]}");
    refused("tempo", "{\"prompt\":\"a\",\"answer\":\"b\",\"tempo\":1}");
    refused("json", "[1]");
    refused("json", "{\"prompt\":");
  }

  private static void refused(String field, String line) {
    var failure =
        assertThrows(RequestException.class, () -> model.score(ScoreRequest.fromJson(line)), line);
    assertEquals(field, failure.field(), failure.getMessage());
  }

  @Test
  void requests_scoredTogetherAreThoseScoredAlone() {
    var first = ScoreRequest.fromJson("{\"prompt_ids\":[5,6],\"answer_ids\":[7,8,9],\"draws\":5}");
    var second =
        ScoreRequest.builder()
            .promptIds(1, 2, 3, 4)
            .answerIds(30, 40)
            .conditional(ScoreMethod.Given.OTHERS)
            .build();
    List<ScoreResult> both = model.score(List.of(first, second));
    assertEquals(model.score(first).toJson(), both.get(0).toJson());
    assertEquals(model.score(second).toJson(), both.get(1).toJson());
  }

  @Test
  void scoresBetweenTheStepsOfGenerations_changeNeither() throws Exception {
    var options = DiffusionOptions.builder().genLength(48).blockLength(16).build();
    GenerateRequest question =
        GenerateRequest.builder().prompt(QUESTION).options(options).trace(true).build();
    GenerateResult alone = model.generate(question);
    var request =
        ScoreRequest.builder().prompt(QUESTION).answer("47 + 38 = 85").draws(6).seed(5).build();
    String score = model.score(request).toJson();
    var scored = new java.util.ArrayList<String>();
    try (Session session = model.session()) {
      for (int round = 0; round < 4; round++) {
        var generations = List.of(session.submit(question), session.submit(question));
        do {
          scored.add(model.score(request).toJson());
        } while (!generations.getFirst().isDone());
        for (Generation generation : generations) {
          GenerateResult result = generation.await();
          assertArrayEquals(alone.outputIds(), result.outputIds());
          assertEquals(alone.trace(), result.trace());
        }
      }
    }
    assertTrue(scored.size() > 4, "some were scored while generations ran: " + scored.size());
    scored.forEach(found -> assertEquals(score, found));
  }
}
