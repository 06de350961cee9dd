package dev.remask;

import dev.remask.diffusion.AnswerScore;
import dev.remask.diffusion.ScoreMethod;
import dev.remask.text.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Score requests and results as JSON. Whatever is wrong with a request is a [RequestException]
/// that names the key.
final class ScoreJson {
  private static final List<String> KEYS =
      List.of(
          "prompt",
          "messages",
          "prompt_ids",
          "raw",
          "answer",
          "answer_ids",
          "choices",
          "choice_ids",
          "masked",
          "draws",
          "seed",
          "conditional",
          "cfg_scale",
          "greedy");

  private static final List<String> MESSAGE_FIELDS = List.of("role", "content");

  private ScoreJson() {}

  static ScoreRequest request(String text) {
    JsonFields fields = JsonFields.parse(text).only(KEYS);
    var request = ScoreRequest.builder();
    given(fields.string("prompt"), request::prompt);
    if (fields.has("messages")) {
      request.messages(messages(fields));
    }
    given(fields.ids("prompt_ids"), request::promptIds);
    given(fields.truth("raw"), request::raw);
    given(fields.string("answer"), request::answer);
    given(fields.ids("answer_ids"), request::answerIds);
    given(fields.strings("choices"), request::choices);
    if (fields.has("choice_ids")) {
      request.choiceIds(List.of(fields.idLists("choice_ids", -1)));
    }
    given(fields.ids("masked"), request::masked);
    given(fields.integer("draws"), request::draws);
    given(fields.longInteger("seed"), request::seed);
    given(fields.string("conditional"), word -> request.conditional(conditional(word)));
    given(fields.number("cfg_scale"), request::cfgScale);
    given(fields.truth("greedy"), request::greedy);
    return request.build();
  }

  private static <T> void given(T value, Consumer<T> use) {
    if (value != null) {
      use.accept(value);
    }
  }

  private static List<Message> messages(JsonFields fields) {
    var messages = new ArrayList<Message>();
    for (JsonFields turn : fields.objects("messages")) {
      turn.only(MESSAGE_FIELDS);
      messages.add(new Message(required(turn, "role"), required(turn, "content")));
    }
    if (messages.isEmpty()) {
      throw fields.wrong("messages", "must be a list of at least one message");
    }
    return messages;
  }

  private static String required(JsonFields turn, String name) {
    if (!turn.has(name)) {
      throw turn.wrong(name, "must be a text");
    }
    return turn.string(name);
  }

  private static ScoreMethod.Given conditional(String word) {
    for (ScoreMethod.Given given : ScoreMethod.Given.values()) {
      if (given.name().toLowerCase(Locale.ROOT).equals(word)) {
        return given;
      }
    }
    throw new RequestException("conditional", "conditional must be others or left, got " + word);
  }

  static String result(ScoreResult result) {
    ObjectNode json = JsonFields.MAPPER.createObjectNode();
    if (!result.asksChoice()) {
      add(json, result.answers().getFirst());
      return JsonFields.MAPPER.writeValueAsString(json);
    }
    ArrayNode choices = json.putArray("choices");
    result.answers().forEach(answer -> add(choices.addObject(), answer));
    json.put("best", result.best());
    json.put("best_per_token", result.bestPerToken());
    return JsonFields.MAPPER.writeValueAsString(json);
  }

  private static void add(ObjectNode json, ScoreResult.Answer answer) {
    AnswerScore score = answer.score();
    boolean estimated = score.negativeLogLikelihoods().length == 0;
    if (!estimated) {
      ArrayNode losses = json.putArray("negative_log_likelihoods");
      for (double loss : score.negativeLogLikelihoods()) {
        losses.add(loss);
      }
    }
    if (answer.method() instanceof ScoreMethod.FixedMask) {
      json.put("weighted_sum", score.weightedSum());
    } else {
      json.put("log_likelihood", score.logLikelihood());
    }
    if (estimated) {
      double error = score.standardError();
      json.put("standard_error", Double.isNaN(error) ? null : Double.valueOf(error));
    }
    answer.greedy().ifPresent(greedy -> json.put("is_greedy", greedy));
  }
}
