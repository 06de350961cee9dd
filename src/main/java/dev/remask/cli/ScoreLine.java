package dev.remask.cli;

import dev.remask.ScoreRequest;
import java.util.stream.Stream;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Reads a line of a batch of scores; what it does not say, the command line does.
///
/// @param draws null: not given
record ScoreLine(Integer draws, long seed, double cfgScale, boolean raw, boolean greedy) {
  /// As strict as the request's own reader, so that nothing is lost before that sees it.
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  /// The `id` of a line, which its result repeats; null where it has none.
  static JsonNode id(String line) {
    try {
      return MAPPER.readTree(line).get("id");
    } catch (JacksonException e) {
      return null;
    }
  }

  /// The request of a line; `RequestException` for a bad one.
  ScoreRequest parse(String line) {
    JsonNode json;
    try {
      json = MAPPER.readTree(line);
    } catch (JacksonException e) {
      return ScoreRequest.fromJson(line); // which says what is wrong with it
    }
    if (!(json instanceof ObjectNode object)) {
      return ScoreRequest.fromJson(line);
    }
    object.remove("id");
    if (Stream.of("masked", "conditional").noneMatch(object::has)) {
      if (draws != null && !object.has("draws")) {
        object.put("draws", draws);
      }
      if (!object.has("seed")) {
        object.put("seed", seed);
      }
    }
    if (cfgScale != 0 && !object.has("cfg_scale")) {
      object.put("cfg_scale", cfgScale);
    }
    if (raw && object.has("prompt") && !object.has("raw")) {
      object.put("raw", true);
    }
    if (greedy && !object.has("greedy")) {
      object.put("greedy", true);
    }
    return ScoreRequest.fromJson(object.toString());
  }
}
