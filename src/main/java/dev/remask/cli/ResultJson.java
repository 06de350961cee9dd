package dev.remask.cli;

import dev.remask.GenerateResult;
import dev.remask.diffusion.Commit;
import java.util.Locale;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Results and errors as JSON, one object a line.
final class ResultJson {
  private static final double THOUSANDTHS = 1000;

  private final JsonMapper mapper;

  ResultJson(JsonMapper mapper) {
    this.mapper = mapper;
  }

  /// A result; `trace` says whether it was asked for.
  String line(GenerateResult result, boolean trace) {
    ObjectNode json = mapper.createObjectNode();
    addAll(json.putArray("prompt_ids"), result.promptIds());
    addAll(json.putArray("output_ids"), result.outputIds());
    json.put("text", result.text().orElse(null));
    json.put("forward_passes", result.forwardPasses());
    if (trace) {
      ArrayNode commits = json.putArray("trace");
      for (Commit commit : result.trace()) {
        commits
            .addObject()
            .put("step", commit.step())
            .put("position", commit.position())
            .put("token", commit.token())
            .put("confidence", commit.confidence());
      }
    }
    json.put("device", result.device());
    json.put("dtype", result.dtype().name().toLowerCase(Locale.ROOT));
    json.putObject("timing")
        .put("load_ms", rounded(result.timing().loadMs()))
        .put("total_ms", rounded(result.timing().totalMs()))
        .put("ms_per_step", rounded(result.timing().msPerStep()));
    return mapper.writeValueAsString(json);
  }

  /// What a line of a batch gets instead of a result.
  String errorLine(String message, long line) {
    return mapper.writeValueAsString(
        mapper.createObjectNode().put("error", message).put("line", line));
  }

  private static void addAll(ArrayNode array, int[] ids) {
    for (int id : ids) {
      array.add(id);
    }
  }

  private static double rounded(double milliseconds) {
    return Math.round(milliseconds * THOUSANDTHS) / THOUSANDTHS;
  }
}
