package dev.remask;

import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.Constraints;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.InvalidOptionException;
import dev.remask.diffusion.Remasking;
import dev.remask.diffusion.Schedule;
import dev.remask.text.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/// Reads a [GenerateRequest] from JSON.
final class RequestReader {
  /// What says what is asked: exactly one of them.
  private static final List<String> ASKED =
      List.of("prompt", "messages", "prompt_ids", "canvas", "canvas_ids");

  /// What may stand beside `options` or inside it.
  private static final List<String> EITHER_PLACE =
      List.of(
          "negative_prompt",
          "negative_prompt_ids",
          "allowed_tokens",
          "banned_tokens",
          "logit_bias",
          "choices",
          "choice_ids");

  private static final List<String> FIELDS =
      Stream.of(ASKED, EITHER_PLACE, List.of("raw", "trace", "timeout_ms", "options"))
          .flatMap(List::stream)
          .toList();

  private static final List<String> OPTIONS =
      Stream.of(DiffusionOptions.names(), EITHER_PLACE).flatMap(List::stream).toList();

  private static final Set<String> TEXTS = Set.of("prompt", "canvas");
  private static final Set<String> CANVASES = Set.of("canvas", "canvas_ids");
  private static final List<String> MESSAGE_FIELDS = List.of("role", "content");
  private static final List<String> TOKEN_SET_FIELDS = List.of("position", "ids");

  private final JsonFields fields;
  private final GenerateRequest.Builder request;
  private final Constraints.Builder constraints = Constraints.builder();
  private boolean constrained;

  private RequestReader(JsonFields fields, GenerateRequest.Builder request) {
    this.fields = fields;
    this.request = request;
  }

  static GenerateRequest read(String json, GenerateRequest.Builder defaults) {
    JsonFields fields = JsonFields.parse(json);
    for (String name : fields.names()) {
      if (DiffusionOptions.names().contains(name)) {
        throw new RequestException(
            name,
            "unknown key " + name + "; it is an option: {\"options\": {\"" + name + "\": …}}");
      }
    }
    try {
      return new RequestReader(fields.only(FIELDS), defaults.copy()).read();
    } catch (InvalidOptionException e) {
      throw new RequestException(e.field(), e.getMessage());
    }
  }

  private GenerateRequest read() {
    String asked = asked();
    if (!TEXTS.contains(asked)) {
      request.raw(false);
    }
    if (CANVASES.contains(asked)) {
      request.options(
          request.options().toBuilder().unset("gen_length").unset("max_gen_length").build());
    }
    switch (asked) {
      case "prompt" -> request.prompt(fields.string(asked));
      case "messages" -> request.messages(messages());
      case "prompt_ids" -> request.promptIds(fields.ids(asked));
      case "canvas" -> request.canvas(fields.string(asked));
      default -> request.canvasIds(fields.ids(asked, GenerateRequest.MASK));
    }
    given(fields.truth("raw"), request::raw);
    given(fields.truth("trace"), request::trace);
    given(fields.longInteger("timeout_ms"), request::timeoutMs);
    readEitherPlace(fields);
    if (fields.has("options")) {
      JsonFields options = fields.object("options").only(OPTIONS);
      for (String name : EITHER_PLACE) {
        if (fields.has(name) && options.has(name)) {
          throw new RequestException(
              name, name + " must stand once, got it twice: in options, too");
        }
      }
      readEitherPlace(options);
      request.options(options(options, request.options().toBuilder()));
    }
    return constrained ? request.constraints(constraints.build()).build() : request.build();
  }

  private String asked() {
    List<String> given = ASKED.stream().filter(fields::has).toList();
    if (given.size() != 1) {
      throw new RequestException(
          "prompt",
          "exactly one of prompt, messages, prompt_ids, canvas and canvas_ids must be there, got "
              + (given.isEmpty() ? "none" : String.join(" and ", given)));
    }
    return given.getFirst();
  }

  private List<Message> messages() {
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

  private void readEitherPlace(JsonFields from) {
    given(from.string("negative_prompt"), request::negativePrompt);
    given(from.ids("negative_prompt_ids"), request::negativePromptIds);
    given(from.strings("choices"), request::choices);
    readTokenSets(from, "allowed_tokens", constraints::allow, constraints::allowAt);
    readTokenSets(from, "banned_tokens", constraints::ban, constraints::banAt);
    var bias = from.numbersById("logit_bias");
    if (bias != null) {
      bias.forEach(constraints::bias);
      constrained = true;
    }
    int[][] choiceIds = from.idLists("choice_ids", Constraints.ANY);
    if (choiceIds != null) {
      constraints.choices(choiceIds);
      constrained = true;
    }
  }

  private interface AtPosition {
    void put(int position, int... ids);
  }

  private void readTokenSets(
      JsonFields from, String name, Consumer<int[]> everywhere, AtPosition atPosition) {
    if (!from.has(name)) {
      return;
    }
    constrained = true;
    JsonNode list = from.node(name);
    if (!list.isArray()) {
      throw from.wrong(name, "must be a list of token ids or of {\"position\": …, \"ids\": […]}");
    }
    if (list.isEmpty() || !list.get(0).isObject()) {
      everywhere.accept(from.ids(name));
      return;
    }
    for (JsonFields set : from.objects(name)) {
      set.only(TOKEN_SET_FIELDS);
      Integer position = set.integer("position");
      int[] ids = set.ids("ids");
      if (ids == null) {
        throw set.wrong("ids", "must be a list of token ids");
      }
      if (position == null) {
        everywhere.accept(ids);
      } else {
        atPosition.put(position, ids);
      }
    }
  }

  private static DiffusionOptions options(JsonFields from, DiffusionOptions.Builder options) {
    for (String name : DiffusionOptions.names()) {
      if (from.isNull(name)) {
        options.unset(name);
      } else if (from.has(name)) {
        read(from, name, options);
      }
    }
    return options.build();
  }

  private static void read(JsonFields from, String name, DiffusionOptions.Builder options) {
    switch (name) {
      case "gen_length" -> options.genLength(from.integer(name));
      case "max_gen_length" -> options.maxGenLength(from.integer(name));
      case "block_length" -> options.blockLength(from.integer(name));
      case "steps" -> readSteps(from, name, options);
      case "schedule" -> options.schedule(schedule(from, name));
      case "remasking" -> options.remasking(Remasking.parse(from.string(name)));
      case "threshold" -> options.threshold(from.number(name));
      case "factor" -> options.factor(from.number(name));
      case "revision_budget" -> options.revisionBudget(from.integer(name));
      case "revision_threshold" -> options.revisionThreshold(from.number(name));
      case "temperature" -> options.temperature(from.number(name));
      case "top_k" -> options.topK(from.integer(name));
      case "top_p" -> options.topP(from.number(name));
      case "seed" -> options.seed(from.longInteger(name));
      case "cfg_scale" -> options.cfgScale(from.number(name));
      case "suppress_eos" -> options.suppressEos(from.truth(name));
      case "defer_eos" -> options.deferEos(from.truth(name));
      case "early_stop" -> options.earlyStop(from.truth(name));
      case "cache" -> options.cache(CacheMode.parse(from.string(name)));
      case "cache_refresh" -> options.cacheRefresh(from.integer(name));
      default -> throw new IllegalStateException("an option that is not read: " + name);
    }
  }

  private static void readSteps(JsonFields from, String name, DiffusionOptions.Builder options) {
    if (!from.node(name).isArray()) {
      options.steps(from.integer(name));
      return;
    }
    for (JsonNode count : from.node(name)) {
      if (!count.isIntegralNumber() || !count.canConvertToInt()) {
        throw from.wrong(name, "must be a whole number or a list of them");
      }
    }
    options.stepsPerBlock(from.node(name).valueStream().mapToInt(JsonNode::intValue).toArray());
  }

  private static Schedule schedule(JsonFields from, String name) {
    return from.node(name).isArray()
        ? Schedule.of(from.numbers(name))
        : Schedule.parse(from.string(name));
  }

  private static <T> void given(T value, Consumer<T> set) {
    if (value != null) {
      set.accept(value);
    }
  }
}
