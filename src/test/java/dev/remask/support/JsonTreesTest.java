package dev.remask.support;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.core.JacksonException;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class JsonTreesTest {
  private static final JsonFactory FACTORY = new JsonFactory();

  private static JsonNode read(String json) {
    return JsonTrees.read(FACTORY, json.getBytes(StandardCharsets.UTF_8));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "[]",
        "null",
        " true ",
        "\"a\\u00e9\\n\"",
        "{\"a\": [1, -2147483648, 2147483648, 9223372036854775808, 1.5, 1e400, {\"b\": []}], \"c\":"
            + " {\"a\": false, \"b\": null}}"
      })
  void tree_isThatOfTheMapper(String json) {
    assertEquals(new JsonMapper().readTree(json), read(json));
  }

  @ParameterizedTest
  @ValueSource(strings = {"{", "[1", "{\"a\" 1}", "{} {}", "1 2", "nul", "]"})
  void brokenText_isRefused(String json) {
    assertThrows(JacksonException.class, () -> read(json));
  }

  @Test
  void nothing_isAMissingNode() {
    assertTrue(read(" ").isMissingNode());
  }

  @Test
  void depth_isBounded() {
    assertThrows(JacksonException.class, () -> read("[".repeat(100_000)));
  }
}
