package dev.remask.support;

import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.exc.StreamReadException;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.MissingNode;
import tools.jackson.databind.node.ObjectNode;

/// Reads JSON into a tree, as `JsonMapper.readTree` does, without the mapper: data binding, which
/// takes some 20 ms to start, is not used for it. Any thread.
public final class JsonTrees {
  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

  private JsonTrees() {}

  /// The one value in `json`, or a missing node if there is none. Throws `JacksonException` for
  /// text that is no JSON, or that has more than one value.
  public static JsonNode read(JsonFactory factory, byte[] json) {
    return read(factory, json, 0, json.length);
  }

  /// The same of a part of `json`.
  public static JsonNode read(JsonFactory factory, byte[] json, int begin, int length) {
    try (JsonParser parser = factory.createParser(ObjectReadContext.empty(), json, begin, length)) {
      if (parser.nextToken() == null) {
        return MissingNode.getInstance();
      }
      JsonNode value = value(parser);
      JsonToken more = parser.nextToken();
      if (more != null) {
        throw new StreamReadException(parser, "Trailing token (" + more + ") after the value");
      }
      return value;
    }
  }

  /// The value at whose first token the parser is; leaves it at the last. As deep as the parser
  /// lets a document be (Jackson's default is 500).
  private static JsonNode value(JsonParser parser) {
    return switch (parser.currentToken()) {
      case START_OBJECT -> {
        ObjectNode object = NODES.objectNode();
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
          String name = parser.currentName();
          parser.nextToken();
          object.set(name, value(parser));
        }
        yield object;
      }
      case START_ARRAY -> {
        ArrayNode array = NODES.arrayNode();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
          array.add(value(parser));
        }
        yield array;
      }
      case VALUE_STRING -> NODES.stringNode(parser.getString());
      case VALUE_NUMBER_INT ->
          switch (parser.getNumberType()) {
            case INT -> NODES.numberNode(parser.getIntValue());
            case LONG -> NODES.numberNode(parser.getLongValue());
            default -> NODES.numberNode(parser.getBigIntegerValue());
          };
      case VALUE_NUMBER_FLOAT -> NODES.numberNode(parser.getDoubleValue());
      case VALUE_TRUE -> NODES.booleanNode(true);
      case VALUE_FALSE -> NODES.booleanNode(false);
      case VALUE_NULL -> NODES.nullNode();
      default -> throw new StreamReadException(parser, "Unexpected " + parser.currentToken());
    };
  }
}
