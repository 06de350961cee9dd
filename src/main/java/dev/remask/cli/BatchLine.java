package dev.remask.cli;

import dev.remask.GenerateRequest;
import dev.remask.RequestException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Reads a line of a batch: a request as [GenerateRequest#fromJson(String)] has it, over what the
/// command line says for all lines, and beside it an `id` of the caller's, which the result
/// repeats.
final class BatchLine {
  private static final String ID = "id";

  private final JsonMapper mapper =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private final GenerateRequest.Builder defaults;

  /// `defaults` holds the options of the command line, raw and trace.
  BatchLine(GenerateRequest.Builder defaults) {
    this.defaults = defaults;
  }

  /// A line's caller's name for it, null if it has none, and what is left of it.
  record Named(JsonNode id, String request) {}

  /// Takes the id out; a line that is no JSON object is left for [#parse] to complain about.
  Named named(String line) {
    try {
      if (mapper.readTree(line) instanceof ObjectNode object && object.has(ID)) {
        JsonNode id = object.remove(ID);
        return new Named(id, mapper.writeValueAsString(object));
      }
    } catch (JacksonException e) {
      // parse says it better
    }
    return new Named(null, line);
  }

  /// The request of a line without its id. Whatever is wrong with it is a [RequestException] that
  /// names the key.
  GenerateRequest parse(Named line) {
    if (line.id() != null && !line.id().isString() && !line.id().isIntegralNumber()) {
      throw new RequestException(ID, "id must be a text or a whole number, got " + line.id());
    }
    return GenerateRequest.fromJson(line.request(), defaults);
  }
}
