package dev.remask.text;

import dev.remask.support.JsonTrees;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// What a model folder says about its special tokens and its chat template.
///
/// @param namedTokens literals by their names in a template: `bos_token` → `<|startoftext|>`
/// @param specialLiterals every literal that is named or marked as special
/// @param template the chat template's source, if there is one
record TextSettings(
    Map<String, String> namedTokens, Set<String> specialLiterals, Optional<String> template) {
  private static final String CONFIG_FILE = "tokenizer_config.json";
  private static final String TOKENS_FILE = "special_tokens_map.json";
  private static final String TEMPLATE_FILE = "chat_template.jinja";
  private static final String NAME_SUFFIX = "_token";

  /// Reads the folder's files; each may be missing. A chat_template.jinja goes before the template
  /// in tokenizer_config.json, as in the transformers library.
  static TextSettings read(Path folder) {
    JsonNode config = readObject(folder.resolve(CONFIG_FILE));
    Map<String, String> named = new HashMap<>();
    Set<String> special = new HashSet<>();
    collectTokens(readObject(folder.resolve(TOKENS_FILE)), named, special);
    collectTokens(config, named, special);
    return new TextSettings(
        Map.copyOf(named), Set.copyOf(special), readTemplate(folder, config.path("chat_template")));
  }

  private static void collectTokens(
      JsonNode settings, Map<String, String> named, Set<String> special) {
    for (Map.Entry<String, JsonNode> setting : settings.properties()) {
      if (setting.getKey().endsWith(NAME_SUFFIX)) {
        literalOf(setting.getValue())
            .ifPresent(literal -> {
              named.put(setting.getKey(), literal);
              special.add(literal);
            });
      }
    }
    for (JsonNode token : settings.path("additional_special_tokens")) {
      literalOf(token).ifPresent(special::add);
    }
    for (JsonNode token : settings.path("added_tokens_decoder")) {
      if (token.path("special").asBoolean(false)) {
        literalOf(token).ifPresent(special::add);
      }
    }
  }

  /// A token is written as its literal or as an object that has it as `content`.
  private static Optional<String> literalOf(JsonNode token) {
    JsonNode literal = token.isObject() ? token.path("content") : token;
    return literal.isString() && !literal.stringValue().isEmpty()
        ? Optional.of(literal.stringValue())
        : Optional.empty();
  }

  private static Optional<String> readTemplate(Path folder, JsonNode inConfig) {
    Path file = folder.resolve(TEMPLATE_FILE);
    if (Files.isRegularFile(file)) {
      try {
        return Optional.of(Files.readString(file));
      } catch (IOException e) {
        throw new TextException(file + " cannot be read: " + e.getMessage(), e);
      }
    }
    if (inConfig.isMissingNode() || inConfig.isNull()) {
      return Optional.empty();
    }
    if (inConfig.isString()) {
      return Optional.of(inConfig.stringValue());
    }
    for (JsonNode named : inConfig) {
      if (named.path("name").asString("").equals("default") && named.path("template").isString()) {
        return Optional.of(named.path("template").stringValue());
      }
    }
    throw new TextException(
        folder.resolve(CONFIG_FILE)
            + ": chat_template must be a text, or a list with a template named default",
        null);
  }

  private static JsonNode readObject(Path file) {
    if (!Files.isRegularFile(file)) {
      return JsonNodeFactory.instance.objectNode();
    }
    try {
      JsonNode node = JsonTrees.read(TokenizerFile.JSON, Files.readAllBytes(file));
      if (!node.isObject()) {
        throw new TextException(file + " must hold a JSON object", null);
      }
      return node;
    } catch (IOException e) {
      throw new TextException(file + " cannot be read: " + e.getMessage(), e);
    } catch (JacksonException e) {
      throw new TextException(file + " is not valid JSON: " + e.getOriginalMessage(), e);
    }
  }
}
