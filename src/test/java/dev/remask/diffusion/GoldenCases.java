package dev.remask.diffusion;

import dev.remask.Remask;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The official implementation's generations, `generate.json` of the golden models.
final class GoldenCases {
  /// The models with goldens; each is a folder below `/golden`.
  enum GoldenModel {
    TINY("tiny-llada"),
    MICRO("micro");

    private final String folder;

    GoldenModel(String folder) {
      this.folder = folder;
    }

    /// The model folder; the default model's is unpacked where the product is a jar.
    Path checkpoint() {
      return this == TINY
          ? Remask.defaultModel()
          : resource("/golden/" + folder + "/config.json").getParent();
    }

    /// Generations of Fast-dLLM; without traces.
    List<GoldenCase> accelerated() {
      return read(this, resource("/golden/" + folder + "/cases/accelerated.json"));
    }

    List<GoldenCase> cases() {
      return read(this, resource("/golden/" + folder + "/cases/generate.json"));
    }
  }

  /// How far a case binds (the README of the goldens).
  enum Stable {
    NO,
    F32,
    BF16
  }

  /// One generation. `text` is null where the model has no tokenizer.
  record GoldenCase(
      GoldenModel model,
      String name,
      int[] promptIds,
      DiffusionOptions options,
      int[] outputIds,
      String text,
      Stable stable,
      boolean traceStable,
      int forwardPasses,
      List<Commit> trace) {

    boolean bindsF32() {
      return stable != Stable.NO;
    }

    boolean bindsBf16() {
      return stable == Stable.BF16;
    }

    @Override
    public String toString() {
      return model.folder + "/" + name;
    }
  }

  /// Options as the goldens (and docs/options.md) spell them.
  private static final Set<String> KNOWN_OPTIONS =
      Set.of(
          "gen_length",
          "block_length",
          "steps",
          "cfg_scale",
          "suppress_eos",
          "defer_eos",
          "cache",
          "threshold");

  private GoldenCases() {}

  static List<GoldenCase> all() {
    var cases = new ArrayList<GoldenCase>();
    for (GoldenModel model : GoldenModel.values()) {
      cases.addAll(model.cases());
    }
    return cases;
  }

  /// The binding part of a trace: which step committed what where.
  static Set<String> commits(List<Commit> trace) {
    var set = new TreeSet<String>();
    for (Commit commit : trace) {
      set.add(
          "step %3d position %3d token %d"
              .formatted(commit.step(), commit.position(), commit.token()));
    }
    return set;
  }

  private static List<GoldenCase> read(GoldenModel model, Path file) {
    var cases = new ArrayList<GoldenCase>();
    for (JsonNode node : JsonMapper.shared().readTree(file.toFile()).get("cases")) {
      cases.add(
          new GoldenCase(
              model,
              node.get("name").asString(),
              ints(node.get("prompt_ids")),
              options(node.get("options")),
              ints(node.get("output_ids")),
              node.get("text").isNull() ? null : node.get("text").asString(),
              Stable.valueOf(node.get("stable").asString().toUpperCase(java.util.Locale.ROOT)),
              node.has("trace") && node.get("trace_stable").asBoolean(),
              node.get("forward_passes").asInt(),
              node.has("trace") ? trace(node.get("trace")) : List.of()));
    }
    return cases;
  }

  private static DiffusionOptions options(JsonNode node) {
    for (String name : node.propertyNames()) {
      if (!KNOWN_OPTIONS.contains(name)) {
        throw new IllegalArgumentException("unknown option in the goldens: " + name);
      }
    }
    var builder = DiffusionOptions.builder();
    builder.genLength(node.get("gen_length").asInt());
    if (node.has("block_length")) {
      builder.blockLength(node.get("block_length").asInt());
    }
    if (node.has("steps")) {
      builder.steps(node.get("steps").asInt());
    }
    if (node.has("cfg_scale")) {
      builder.cfgScale(node.get("cfg_scale").asDouble());
    }
    if (node.has("cache")) {
      builder.cache(CacheMode.parse(node.get("cache").asString()));
    }
    if (node.has("threshold")) {
      builder.threshold(node.get("threshold").asDouble());
    }
    return builder
        .suppressEos(node.has("suppress_eos") && node.get("suppress_eos").asBoolean())
        .deferEos(node.has("defer_eos") && node.get("defer_eos").asBoolean())
        .build();
  }

  private static List<Commit> trace(JsonNode node) {
    var trace = new ArrayList<Commit>();
    for (JsonNode commit : node) {
      trace.add(
          new Commit(
              commit.get("step").asInt(),
              commit.get("position").asInt(),
              commit.get("token").asInt(),
              (float) commit.get("confidence").asDouble()));
    }
    return trace;
  }

  private static int[] ints(JsonNode node) {
    int[] values = new int[node.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = node.get(i).asInt();
    }
    return values;
  }

  private static Path resource(String name) {
    var url = GoldenCases.class.getResource(name);
    if (url == null) {
      throw new IllegalStateException("test resource missing: " + name);
    }
    try {
      Path path = Path.of(url.toURI());
      if (!Files.isReadable(path)) {
        throw new UncheckedIOException(new IOException(path + " is not readable"));
      }
      return path;
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }
}
