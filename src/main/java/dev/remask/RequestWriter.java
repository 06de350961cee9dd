package dev.remask;

import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.Constraints;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.text.Message;
import java.util.Arrays;
import java.util.Map;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Writes a [GenerateRequest] as JSON, without what has its default.
final class RequestWriter {
  private RequestWriter() {}

  static String write(GenerateRequest request) {
    ObjectNode json = JsonFields.MAPPER.createObjectNode();
    request.prompt().ifPresent(text -> json.put("prompt", text));
    request
        .messages()
        .ifPresent(messages -> {
          ArrayNode turns = json.putArray("messages");
          for (Message message : messages) {
            turns.addObject().put("role", message.role()).put("content", message.content());
          }
        });
    request.promptIds().ifPresent(ids -> add(json.putArray("prompt_ids"), ids));
    request.canvas().ifPresent(text -> json.put("canvas", text));
    request
        .canvasIds()
        .ifPresent(ids -> addWithNulls(json.putArray("canvas_ids"), ids, GenerateRequest.MASK));
    request.negativePrompt().ifPresent(text -> json.put("negative_prompt", text));
    request.negativePromptIds().ifPresent(ids -> add(json.putArray("negative_prompt_ids"), ids));
    if (request.raw()) {
      json.put("raw", true);
    }
    if (request.trace()) {
      json.put("trace", true);
    }
    request.timeoutMs().ifPresent(milliseconds -> json.put("timeout_ms", milliseconds));
    if (!request.choices().isEmpty()) {
      ArrayNode choices = json.putArray("choices");
      request.choices().forEach(choices::add);
    }
    writeConstraints(json, request.constraints());
    ObjectNode options = JsonFields.MAPPER.createObjectNode();
    writeOptions(options, request.options());
    if (!options.isEmpty()) {
      json.set("options", options);
    }
    return JsonFields.MAPPER.writeValueAsString(json);
  }

  private static void writeConstraints(ObjectNode json, Constraints constraints) {
    writeTokenSets(json, "allowed_tokens", constraints.allowed());
    writeTokenSets(json, "banned_tokens", constraints.banned());
    if (!constraints.bias().isEmpty()) {
      ObjectNode bias = json.putObject("logit_bias");
      constraints.bias().forEach((id, value) -> bias.put(id.toString(), value));
    }
    if (constraints.choices().length > 0) {
      ArrayNode choices = json.putArray("choice_ids");
      for (int[] ids : constraints.choices()) {
        addWithNulls(choices.addArray(), ids, Constraints.ANY);
      }
    }
  }

  private static void writeTokenSets(ObjectNode json, String name, Map<Integer, int[]> sets) {
    if (sets.isEmpty()) {
      return;
    }
    ArrayNode list = json.putArray(name);
    if (sets.size() == 1 && sets.containsKey(Constraints.EVERYWHERE)) {
      add(list, sets.get(Constraints.EVERYWHERE));
      return;
    }
    sets.forEach((position, ids) -> {
      ObjectNode set = list.addObject();
      if (position != Constraints.EVERYWHERE) {
        set.put("position", position);
      }
      add(set.putArray("ids"), ids);
    });
  }

  private static void writeOptions(ObjectNode json, DiffusionOptions options) {
    DiffusionOptions defaults = DiffusionOptions.defaults();
    put(json, options.hasGenLength(), "gen_length", options.genLength());
    put(json, options.autoLength(), "max_gen_length", options.maxGenLength());
    put(json, options.hasBlockLength(), "block_length", options.blockLength());
    options.steps().ifPresent(steps -> json.put("steps", steps));
    if (options.stepsPerBlock() != null) {
      add(json.putArray("steps"), options.stepsPerBlock());
    }
    if (options.schedule().isList()) {
      ArrayNode times = json.putArray("schedule");
      Arrays.stream(options.schedule().times()).forEach(times::add);
    } else if (!options.schedule().equals(defaults.schedule())) {
      json.put("schedule", options.schedule().toString());
    }
    if (options.remasking() != defaults.remasking()) {
      json.put("remasking", options.remasking().jsonName());
    }
    options.threshold().ifPresent(value -> json.put("threshold", value));
    options.factor().ifPresent(value -> json.put("factor", value));
    put(json, options.revisionBudget() != 0, "revision_budget", options.revisionBudget());
    if (options.hasRevisionThreshold()) {
      json.put("revision_threshold", options.revisionThreshold());
    }
    if (options.temperature() != defaults.temperature()) {
      json.put("temperature", options.temperature());
    }
    put(json, options.topK() != defaults.topK(), "top_k", options.topK());
    if (options.topP() != defaults.topP()) {
      json.put("top_p", options.topP());
    }
    if (options.seed() != defaults.seed()) {
      json.put("seed", options.seed());
    }
    if (options.cfgScale() != defaults.cfgScale()) {
      json.put("cfg_scale", options.cfgScale());
    }
    put(json, options.suppressEos(), "suppress_eos");
    put(json, options.deferEos(), "defer_eos");
    put(json, options.earlyStop(), "early_stop");
    if (options.cache() != CacheMode.NONE) {
      json.put("cache", options.cache().jsonName());
    }
    put(json, options.cacheRefresh() != 0, "cache_refresh", options.cacheRefresh());
  }

  private static void put(ObjectNode json, boolean wanted, String name, int value) {
    if (wanted) {
      json.put(name, value);
    }
  }

  private static void put(ObjectNode json, boolean on, String name) {
    if (on) {
      json.put(name, true);
    }
  }

  static void add(ArrayNode array, int[] ids) {
    for (int id : ids) {
      array.add(id);
    }
  }

  /// Writes ids, null in the place of `ofNull`.
  static void addWithNulls(ArrayNode array, int[] ids, int ofNull) {
    for (int id : ids) {
      if (id == ofNull) {
        array.addNull();
      } else {
        array.add(id);
      }
    }
  }
}
