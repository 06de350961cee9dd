package dev.remask.cli;

import dev.remask.GenerateResult;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Results and errors of a batch as JSON, one object a line; each has the number of its request's
/// line, counted from 1, and its id where the request had one.
final class ResultJson {
  private final JsonMapper mapper = new JsonMapper();

  /// A result.
  String line(GenerateResult result, long line, JsonNode idOrNull) {
    var json = (ObjectNode) mapper.readTree(result.toJson());
    return finished(json, line, idOrNull);
  }

  /// What a line of a batch gets instead of a result.
  String errorLine(String message, long line, JsonNode idOrNull) {
    return finished(mapper.createObjectNode().put("error", message), line, idOrNull);
  }

  private String finished(ObjectNode json, long line, JsonNode idOrNull) {
    json.put("line", line);
    if (idOrNull != null) {
      json.set("id", idOrNull);
    }
    return mapper.writeValueAsString(json);
  }
}
