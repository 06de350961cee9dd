package dev.remask.bundle;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// What has been run so far: `<part>.jsonl` in the results folder, a line for each task that ended.
/// It is the state too: a task with a line there is not run again.
final class Results {
  private static final JsonMapper MAPPER = JsonMapper.shared();

  private final Path folder;

  Results(Path folder) {
    this.folder = folder;
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static ObjectNode object() {
    return MAPPER.createObjectNode();
  }

  Path folder() {
    return folder;
  }

  /// The last line of each task of a part, by name, in the order in which they ended.
  Map<String, JsonNode> of(String part) {
    var lines = new LinkedHashMap<String, JsonNode>();
    Path file = file(part);
    if (Files.exists(file)) {
      try {
        for (String line : Files.readAllLines(file)) {
          JsonNode result = MAPPER.readTree(line);
          lines.put(result.get("name").stringValue(), result);
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    return lines;
  }

  Optional<JsonNode> find(String part, String task) {
    return Optional.ofNullable(of(part).get(task));
  }

  void add(String part, ObjectNode result) {
    write(
        file(part),
        MAPPER.writeValueAsString(result) + "\n",
        StandardOpenOption.CREATE,
        StandardOpenOption.APPEND);
  }

  /// Forgets the tasks whose name `filter` finds, so that they run again.
  void forget(String part, String filter) {
    var kept = new ArrayList<String>();
    of(part)
        .forEach((name, result) -> {
          if (!name.contains(filter)) {
            kept.add(MAPPER.writeValueAsString(result) + "\n");
          }
        });
    write(file(part), String.join("", kept));
  }

  void write(String name, String text) {
    write(folder.resolve(name), text);
  }

  static List<String> texts(JsonNode array) {
    var texts = new ArrayList<String>();
    array.forEach(text -> texts.add(text.stringValue()));
    return texts;
  }

  private Path file(String part) {
    return folder.resolve(part + ".jsonl");
  }

  private static void write(Path file, String text, StandardOpenOption... options) {
    try {
      Files.writeString(file, text, options);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
