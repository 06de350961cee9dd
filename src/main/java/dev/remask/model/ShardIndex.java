package dev.remask.model;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Reads `model.safetensors.index.json`: which shard holds which tensor.
final class ShardIndex {
  static final String FILE = "model.safetensors.index.json";

  /// LLaDA-8B has 25 kilobytes.
  private static final long MAX_FILE_BYTES = 64 << 20;

  private ShardIndex() {}

  /// Tensor name to shard. A shard outside the index's folder is refused (a link in the folder may
  /// point anywhere: that is how the hub's cache keeps its files).
  static Map<String, Path> read(Path index) {
    JsonNode map = JsonFiles.value(JsonFiles.readObject(index, MAX_FILE_BYTES), "weight_map");
    if (!(map instanceof ObjectNode entries) || entries.isEmpty()) {
      throw ModelException.unsuitable(
          index, "weight_map", map == null ? "absent" : map, "an object: tensor name to file name");
    }
    var shards = new LinkedHashMap<String, Path>();
    for (Map.Entry<String, JsonNode> entry : entries.properties()) {
      shards.put(entry.getKey(), shard(index, entry.getKey(), entry.getValue()));
    }
    return shards;
  }

  private static Path shard(Path index, String tensor, JsonNode name) {
    try {
      if (name.isString() && !name.stringValue().isEmpty()) {
        Path path = index.resolveSibling(name.stringValue());
        boolean plain = Path.of(name.stringValue()).getNameCount() == 1;
        if (plain
            && path.normalize().equals(path)
            && Objects.equals(index.getParent(), path.getParent())) {
          return path;
        }
      }
    } catch (InvalidPathException e) {
      // Falls through to the same message.
    }
    throw ModelException.unsuitable(
        index, "weight_map." + tensor, name, "the name of a file in the index's folder");
  }
}
