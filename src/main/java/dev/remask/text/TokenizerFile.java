package dev.remask.text;

import dev.remask.support.JsonTrees;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;

/// A tokenizer.json taken apart: the added tokens, and the same file without them.
///
/// The library gets the file without added tokens, so that no text whatever can make it produce
/// one: that is what keeps control tokens out of plain text. Truncation, padding and the
/// post-processor (which would add special tokens) are cut out as well. The file is spliced, not
/// parsed and written again: those of real models are 10 MB, nearly all of it vocabulary.
///
/// @param addedTokens every added token of the file, in its order
/// @param withoutAddedTokens UTF-8 text of the file without them
record TokenizerFile(List<AddedToken> addedTokens, byte[] withoutAddedTokens) {
  static final JsonFactory JSON = new JsonFactory();

  private static final Map<String, String> REPLACED =
      Map.of(
          "added_tokens", "[]",
          "truncation", "null",
          "padding", "null",
          "post_processor", "null");

  /// Reads a tokenizer.json. `specialLiterals` are those that tokenizer_config.json names: they are
  /// control tokens even if this file does not say so.
  static TokenizerFile read(Path file, Set<String> specialLiterals) {
    try {
      return parse(file, Files.readAllBytes(file), specialLiterals);
    } catch (IOException e) {
      throw new TextException(file + " cannot be read: " + e.getMessage(), e);
    } catch (JacksonException e) {
      throw new TextException(file + " is not valid JSON: " + e.getOriginalMessage(), e);
    }
  }

  private static TokenizerFile parse(Path file, byte[] json, Set<String> specialLiterals) {
    List<AddedToken> added = new ArrayList<>();
    var spliced = new ByteArrayOutputStream(json.length);
    int copied = 0;
    try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), json)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw new TextException(file + " must hold a JSON object", null);
      }
      while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
        String name = parser.currentName();
        parser.nextToken();
        int begin = Math.toIntExact(parser.currentTokenLocation().getByteOffset());
        parser.skipChildren();
        parser.finishToken();
        int end = Math.toIntExact(parser.currentLocation().getByteOffset());
        if (name.equals("added_tokens")) {
          readAddedTokens(
              file, JsonTrees.read(JSON, json, begin, end - begin), specialLiterals, added);
        }
        String replacement = REPLACED.get(name);
        if (replacement != null) {
          spliced.write(json, copied, begin - copied);
          spliced.writeBytes(replacement.getBytes(StandardCharsets.UTF_8));
          copied = end;
        }
      }
    }
    spliced.write(json, copied, json.length - copied);
    return new TokenizerFile(List.copyOf(added), spliced.toByteArray());
  }

  private static void readAddedTokens(
      Path file, JsonNode tokens, Set<String> specialLiterals, List<AddedToken> added) {
    for (JsonNode token : tokens) {
      JsonNode literal = token.path("content");
      JsonNode id = token.path("id");
      if (!literal.isString() || literal.stringValue().isEmpty() || !id.canConvertToInt()) {
        throw new TextException(
            file + ": added_tokens must have a content and an id, got " + token, null);
      }
      String content = literal.stringValue();
      boolean control =
          token.path("special").asBoolean(false)
              || specialLiterals.contains(content)
              || content.startsWith("<|") && content.endsWith("|>");
      added.add(
          new AddedToken(
              content,
              id.intValue(),
              control,
              token.path("lstrip").asBoolean(false),
              token.path("rstrip").asBoolean(false),
              token.path("single_word").asBoolean(false)));
    }
  }
}
