package dev.remask.model;

import dev.remask.support.JsonTrees;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Reads the JSON files of a model folder: strictly, since a key that stands twice or text after
/// the end means a damaged or hostile file.
final class JsonFiles {
  /// Makes parsers that refuse a key that stands twice in an object.
  static final JsonFactory STRICT =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private JsonFiles() {}

  /// The object a file holds; a ModelException if it is missing, larger than `maxBytes`, not valid
  /// JSON or not an object.
  static ObjectNode readObject(Path file, long maxBytes) {
    try (InputStream in = Files.newInputStream(file)) {
      byte[] bytes = in.readNBytes(Math.toIntExact(maxBytes + 1));
      if (bytes.length > maxBytes) {
        throw ModelException.unsuitable(
            file, "the file", "larger than " + maxBytes + " bytes", "at most that");
      }
      if (JsonTrees.read(STRICT, bytes) instanceof ObjectNode object) {
        return object;
      }
      throw ModelException.unsuitable(file, "the content", "no JSON object", "one JSON object");
    } catch (JacksonException e) {
      throw new ModelException(file + ": not valid JSON: " + reason(e), e);
    } catch (NoSuchFileException e) {
      throw new ModelException(file + ": no such file", e);
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be read: " + ModelException.quoted(e), e);
    }
  }

  /// What Jackson says is wrong, and where, without a dump of the source.
  static String reason(JacksonException e) {
    var where = e.getLocation();
    String place =
        where == null || where.getLineNr() < 0
            ? ""
            : " (line " + where.getLineNr() + ", column " + where.getColumnNr() + ")";
    return ModelException.quoted(e.getOriginalMessage()) + place;
  }

  /// The value of a key, where null counts as absent; null if absent.
  static JsonNode value(ObjectNode object, String key) {
    JsonNode node = object.get(key);
    return node == null || node.isNull() ? null : node;
  }
}
