package dev.remask;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.json.JsonMapper;

/// Strict reading of a JSON object: whatever is wrong with a field is a [RequestException] that
/// names it. A field that is not there reads as null; JSON's null is a wrong type unless the caller
/// asks for it.
final class JsonFields {
  /// A key that stands twice would silently lose one of its values.
  static final JsonMapper MAPPER =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private final String prefix;
  private final JsonNode object;

  private JsonFields(String prefix, JsonNode object) {
    this.prefix = prefix;
    this.object = object;
  }

  /// Reads one object of text.
  static JsonFields parse(String text) {
    JsonNode json;
    try {
      json = MAPPER.readTree(text);
    } catch (MismatchedInputException e) {
      // Jackson's message speaks of its own classes and settings.
      throw new RequestException("json", "not valid JSON: more than one value on the line");
    } catch (JacksonException e) {
      throw new RequestException("json", "not valid JSON: " + e.getOriginalMessage());
    }
    if (!json.isObject()) {
      throw new RequestException("json", "must be a JSON object, got " + kind(json));
    }
    return new JsonFields("", json);
  }

  /// The names that are there, in order.
  Collection<String> names() {
    return object.propertyNames();
  }

  /// Whether the field is there, null or not.
  boolean has(String name) {
    return object.has(name);
  }

  /// Whether the field is there and null.
  boolean isNull(String name) {
    return object.path(name).isNull();
  }

  /// The field's value as it is.
  JsonNode node(String name) {
    return object.path(name);
  }

  /// Refuses any name that is not in `known`.
  JsonFields only(Collection<String> known) {
    for (String name : names()) {
      if (!known.contains(name)) {
        throw new RequestException(
            name, "unknown key " + prefix + name + "; known are " + String.join(", ", known));
      }
    }
    return this;
  }

  /// Refuses the field.
  RequestException wrong(String name, String rule) {
    String what = prefix + name + " " + rule + ", got " + kind(object.path(name));
    return new RequestException(name, what);
  }

  JsonFields object(String name) {
    return child(prefix + name, object.path(name));
  }

  private static JsonFields child(String path, JsonNode node) {
    if (!node.isObject()) {
      throw new RequestException(path, path + " must be an object, got " + kind(node));
    }
    return new JsonFields(path + ".", node);
  }

  String string(String name) {
    return read(name, JsonNode::isString, JsonNode::stringValue, "must be a text");
  }

  Integer integer(String name) {
    return read(name, JsonFields::isInt, JsonNode::intValue, "must be a whole number");
  }

  Long longInteger(String name) {
    return read(
        name,
        node -> node.isIntegralNumber() && node.canConvertToLong(),
        JsonNode::longValue,
        "must be a whole number");
  }

  Double number(String name) {
    return read(name, JsonNode::isNumber, JsonNode::doubleValue, "must be a number");
  }

  Boolean truth(String name) {
    return read(name, JsonNode::isBoolean, JsonNode::booleanValue, "must be true or false");
  }

  private <T> T read(
      String name, Function<JsonNode, Boolean> right, Function<JsonNode, T> value, String rule) {
    JsonNode node = object.path(name);
    if (node.isMissingNode()) {
      return null;
    }
    if (!right.apply(node)) {
      throw wrong(name, rule);
    }
    return value.apply(node);
  }

  /// A list of ids.
  int[] ids(String name) {
    return object.has(name) ? ids(prefix + name, object.get(name), null) : null;
  }

  /// A list of ids in which null stands for `ofNull`.
  int[] ids(String name, int ofNull) {
    return object.has(name) ? ids(prefix + name, object.get(name), ofNull) : null;
  }

  /// A list of lists of ids in which null stands for `ofNull`.
  int[][] idLists(String name, int ofNull) {
    List<JsonNode> lists = elements(name);
    if (lists == null) {
      return null;
    }
    int[][] values = new int[lists.size()][];
    for (int i = 0; i < values.length; i++) {
      values[i] = ids(prefix + name + "[" + i + "]", lists.get(i), ofNull);
    }
    return values;
  }

  private static int[] ids(String path, JsonNode list, Integer ofNullOrNone) {
    if (!list.isArray()) {
      throw new RequestException(path, path + " must be a list of token ids, got " + kind(list));
    }
    int[] values = new int[list.size()];
    for (int i = 0; i < values.length; i++) {
      JsonNode id = list.get(i);
      if (id.isNull() && ofNullOrNone != null) {
        values[i] = ofNullOrNone;
        continue;
      }
      // A negative id would pass for the masked position that it stands for inside.
      if (!isInt(id) || (ofNullOrNone != null && id.intValue() < 0)) {
        String orNull = ofNullOrNone == null ? "" : " or null";
        throw new RequestException(
            path, path + "[" + i + "] must be a token id" + orNull + ", got " + kind(id));
      }
      values[i] = id.intValue();
    }
    return values;
  }

  /// A list of numbers.
  double[] numbers(String name) {
    List<JsonNode> list = elements(name);
    if (list == null) {
      return null;
    }
    for (int i = 0; i < list.size(); i++) {
      if (!list.get(i).isNumber()) {
        throw new RequestException(
            name, prefix + name + "[" + i + "] must be a number, got " + kind(list.get(i)));
      }
    }
    return list.stream().mapToDouble(JsonNode::doubleValue).toArray();
  }

  /// A list of texts.
  List<String> strings(String name) {
    List<JsonNode> list = elements(name);
    if (list == null) {
      return null;
    }
    for (int i = 0; i < list.size(); i++) {
      if (!list.get(i).isString()) {
        throw new RequestException(
            name, prefix + name + "[" + i + "] must be a text, got " + kind(list.get(i)));
      }
    }
    return list.stream().map(JsonNode::stringValue).toList();
  }

  /// A list of objects.
  List<JsonFields> objects(String name) {
    List<JsonNode> list = elements(name);
    if (list == null) {
      return null;
    }
    var objects = new ArrayList<JsonFields>();
    for (int i = 0; i < list.size(); i++) {
      objects.add(child(prefix + name + "[" + i + "]", list.get(i)));
    }
    return objects;
  }

  private List<JsonNode> elements(String name) {
    JsonNode list = object.path(name);
    if (list.isMissingNode()) {
      return null;
    }
    if (!list.isArray()) {
      throw wrong(name, "must be a list");
    }
    return list.valueStream().toList();
  }

  /// The fields of an object whose names are ids and whose values are numbers.
  Map<Integer, Float> numbersById(String name) {
    if (!object.has(name)) {
      return null;
    }
    JsonFields fields = object(name);
    var values = new java.util.TreeMap<Integer, Float>();
    for (String id : fields.names()) {
      double value = fields.number(id);
      try {
        values.put(Integer.valueOf(id), (float) value);
      } catch (NumberFormatException e) {
        throw new RequestException(name, prefix + name + " must have token ids as keys, got " + id);
      }
    }
    return values;
  }

  private static boolean isInt(JsonNode node) {
    return node.isIntegralNumber() && node.canConvertToInt();
  }

  private static String kind(JsonNode value) {
    return value.isMissingNode() ? "nothing" : value.toString();
  }
}
