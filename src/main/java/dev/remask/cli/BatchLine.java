package dev.remask.cli;

import dev.remask.GenerateRequest;
import dev.remask.diffusion.Remasking;
import dev.remask.text.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.json.JsonMapper;

/// Reads a line of a batch. Whatever is wrong with it is a [UsageException] that names the key.
final class BatchLine {
  private static final List<String> PROMPTS = List.of("prompt", "messages", "prompt_ids");
  private static final Set<String> KEYS = Set.of("prompt", "messages", "prompt_ids", "options");
  private static final List<String> OPTIONS =
      List.of(
          "gen_length",
          "block_length",
          "steps",
          "temperature",
          "cfg_scale",
          "remasking",
          "suppress_eos",
          "defer_eos",
          "seed");
  private static final Set<String> MESSAGE_KEYS = Set.of("role", "content");

  /// A key that stands twice would silently lose one of its values.
  private final JsonMapper mapper =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private final OptionValues base;
  private final boolean raw;
  private final boolean trace;

  /// `base` holds the options of the command line, which a line may change; `raw` and `trace` hold
  /// for all lines.
  BatchLine(OptionValues base, boolean raw, boolean trace) {
    this.base = base;
    this.raw = raw;
    this.trace = trace;
  }

  /// The request of a line.
  GenerateRequest parse(String line) {
    JsonNode json = readObject(line);
    refuseUnknown(json, KEYS, "", "prompt, messages, prompt_ids and options");
    if (PROMPTS.stream().filter(json::has).count() != 1) {
      throw new UsageException("exactly one of prompt, messages and prompt_ids must be there");
    }
    var request = GenerateRequest.builder().trace(trace);
    if (json.has("prompt")) {
      request.prompt(string(json.get("prompt"), "prompt")).raw(raw);
    } else if (json.has("messages")) {
      request.messages(messages(json.get("messages")));
    } else {
      request.promptIds(ids(json.get("prompt_ids")));
    }
    JsonNode options = json.path("options");
    if (options.isMissingNode()) {
      return request.options(base.toOptions()).build();
    }
    return request.options(options(options).over(base).toOptions()).build();
  }

  private JsonNode readObject(String line) {
    JsonNode json;
    try {
      json = mapper.readTree(line);
    } catch (MismatchedInputException e) {
      // Jackson's message speaks of its own classes and settings.
      throw new UsageException("not valid JSON: more than one value on the line");
    } catch (JacksonException e) {
      throw new UsageException("not valid JSON: " + e.getOriginalMessage());
    }
    if (!json.isObject()) {
      throw new UsageException("must be a JSON object, got " + kind(json));
    }
    return json;
  }

  private static OptionValues options(JsonNode options) {
    if (!options.isObject()) {
      throw new UsageException("options must be an object, got " + kind(options));
    }
    refuseUnknown(options, Set.copyOf(OPTIONS), "options.", String.join(", ", OPTIONS));
    JsonNode remasking = options.path("remasking");
    JsonNode seed = options.path("seed");
    if (!seed.isMissingNode() && !(seed.isIntegralNumber() && seed.canConvertToLong())) {
      throw new UsageException("options.seed must be a whole number, got " + seed);
    }
    return new OptionValues(
        integer(options, "gen_length"),
        integer(options, "block_length"),
        integer(options, "steps"),
        number(options, "temperature"),
        number(options, "cfg_scale"),
        remasking.isMissingNode() ? null : Remasking.parse(string(remasking, "options.remasking")),
        truth(options, "suppress_eos"),
        truth(options, "defer_eos"),
        seed.isMissingNode() ? null : Long.valueOf(seed.longValue()));
  }

  private static List<Message> messages(JsonNode turns) {
    if (!turns.isArray() || turns.isEmpty()) {
      throw new UsageException("messages must be a list of at least one message");
    }
    List<Message> messages = new ArrayList<>();
    for (int i = 0; i < turns.size(); i++) {
      JsonNode turn = turns.get(i);
      String name = "messages[" + i + "]";
      if (!turn.isObject()) {
        throw new UsageException(name + " must be an object, got " + kind(turn));
      }
      refuseUnknown(turn, MESSAGE_KEYS, name + ".", "role and content");
      messages.add(
          new Message(
              string(turn.path("role"), name + ".role"),
              string(turn.path("content"), name + ".content")));
    }
    return messages;
  }

  private static int[] ids(JsonNode ids) {
    if (!ids.isArray()) {
      throw new UsageException("prompt_ids must be a list of token ids, got " + kind(ids));
    }
    int[] values = new int[ids.size()];
    for (int i = 0; i < values.length; i++) {
      JsonNode id = ids.get(i);
      if (!id.isIntegralNumber() || !id.canConvertToInt()) {
        throw new UsageException("prompt_ids[" + i + "] must be a token id, got " + id);
      }
      values[i] = id.intValue();
    }
    return values;
  }

  private static void refuseUnknown(
      JsonNode object, Set<String> known, String prefix, String allowed) {
    for (Map.Entry<String, JsonNode> entry : object.properties()) {
      if (!known.contains(entry.getKey())) {
        throw new UsageException(
            "unknown key " + prefix + entry.getKey() + "; known are " + allowed);
      }
    }
  }

  private static String string(JsonNode value, String name) {
    if (!value.isString()) {
      throw new UsageException(name + " must be a text, got " + kind(value));
    }
    return value.stringValue();
  }

  private static Integer integer(JsonNode options, String key) {
    JsonNode value = options.path(key);
    if (value.isMissingNode()) {
      return null;
    }
    if (!value.isIntegralNumber() || !value.canConvertToInt()) {
      throw new UsageException("options." + key + " must be a whole number, got " + value);
    }
    return value.intValue();
  }

  private static Double number(JsonNode options, String key) {
    JsonNode value = options.path(key);
    if (value.isMissingNode()) {
      return null;
    }
    if (!value.isNumber()) {
      throw new UsageException("options." + key + " must be a number, got " + value);
    }
    return value.doubleValue();
  }

  private static Boolean truth(JsonNode options, String key) {
    JsonNode value = options.path(key);
    if (value.isMissingNode()) {
      return null;
    }
    if (!value.isBoolean()) {
      throw new UsageException("options." + key + " must be true or false, got " + value);
    }
    return value.booleanValue();
  }

  private static String kind(JsonNode value) {
    return value.isMissingNode() ? "nothing" : value.toString();
  }
}
