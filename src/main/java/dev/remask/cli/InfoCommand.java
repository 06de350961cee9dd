package dev.remask.cli;

import dev.remask.bench.ByteSizes;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// `remask info`: what is here to run on, and what a model needs.
@Command(
    name = "info",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Shows devices, drivers, kernel images and the matrix multiplication in use; with --model"
          + " also what the model is and the memory it takes (it is loaded for that)."
    },
    footer = {
      "",
      "Examples:",
      "  remask info",
      "  remask info --device software --model DIR --dtype f32",
      "  remask info --format json"
    })
final class InfoCommand implements Callable<Integer> {
  private static final int NAME_WIDTH = 18;

  private final Surroundings surroundings;
  private final JsonMapper mapper = new JsonMapper();

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      defaultValue = "text",
      description = "text or json. (default: ${DEFAULT-VALUE})")
  private OutputFormat format;

  @Mixin private CommonOptions common;

  InfoCommand(Surroundings surroundings) {
    this.surroundings = surroundings;
  }

  @Override
  public Integer call() {
    var report = new InfoReport(mapper, surroundings, common);
    ObjectNode json = report.collect();
    if (format == OutputFormat.JSON) {
      surroundings.out().println(mapper.writeValueAsString(json));
    } else {
      write(json, "");
    }
    surroundings.out().flush();
    report
        .failure()
        .ifPresent(failure -> {
          throw failure;
        });
    return ExitStatus.DONE;
  }

  /// The same facts for people: one a line, nested ones indented.
  private void write(JsonNode node, String indent) {
    for (Map.Entry<String, JsonNode> entry : node.properties()) {
      String name = entry.getKey().replace('_', ' ');
      JsonNode value = entry.getValue();
      if (value.isObject()) {
        line(indent, name, "");
        write(value, indent + "  ");
      } else if (value.isArray() && value.path(0).isObject()) {
        for (JsonNode element : value) {
          line(indent, name.replaceFirst("s$", ""), "");
          write(element, indent + "  ");
        }
      } else {
        line(indent, name, text(entry.getKey(), value));
      }
    }
  }

  private void line(String indent, String name, String value) {
    int width = Math.max(1, NAME_WIDTH - indent.length());
    String padded = String.format("%-" + width + "s", name);
    surroundings.out().println((indent + padded + " " + value).stripTrailing());
  }

  private static String text(String key, JsonNode value) {
    if (value.isArray()) {
      var items = new StringBuilder();
      value.forEach(item -> items.append(items.isEmpty() ? "" : ", ").append(item.asString()));
      return items.isEmpty() ? "none" : items.toString();
    }
    if (value.isNull()) {
      return "none";
    }
    return key.endsWith("bytes") ? ByteSizes.text(value.longValue()) : value.asString();
  }
}
