package dev.remask.bench;

import java.util.List;
import java.util.OptionalLong;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A result for programs: every figure with the samples it is the median of. Times are in
/// milliseconds, sizes in bytes.
public final class BenchJson {
  private final JsonMapper mapper = new JsonMapper();

  private BenchJson() {}

  /// {@return one JSON object, indented}
  ///
  /// @param result to be told
  public static String of(BenchResult result) {
    var writer = new BenchJson();
    return writer.mapper.writerWithDefaultPrettyPrinter().writeValueAsString(writer.root(result));
  }

  private ObjectNode root(BenchResult result) {
    ObjectNode root = mapper.createObjectNode();
    ObjectNode model = root.putObject("model");
    result.model().forEach(model::put);
    ObjectNode machine = root.putObject("machine");
    result.machine().forEach(machine::put);
    root.put("rounds", result.rounds());
    ObjectNode load = root.putObject("load");
    load.put("first_ms", rounded(result.load().firstMs()));
    add(load.putObject("again_ms"), result.load().ms());
    load.put("first_step_ms", rounded(result.load().firstStepMs()));
    add(load.putObject("first_step_again_ms"), result.load().stepMs());
    addMemory(root.putObject("memory"), result.memory());
    var steps = root.putArray("steps");
    for (BenchResult.StepTime step : result.steps()) {
      ObjectNode json = steps.addObject();
      json.put("tokens", step.shape().length());
      json.put("batch", step.shape().batch());
      json.put("masks", step.masks());
      add(json.putObject("ms"), step.ms());
    }
    addLines(root, result.steps());
    var answers = root.putArray("answers");
    for (BenchResult.DecodingTime answer : result.decodings()) {
      ObjectNode json = answers.addObject();
      json.put("decoding", answer.decoding().text());
      json.put("prompt_tokens", answer.promptLength());
      json.put("answer_tokens", answer.decoding().options().genLength());
      json.put("passes", answer.passes());
      json.put("tokens_per_second", rounded(answer.tokensPerSecond()));
      add(json.putObject("ms"), answer.ms());
    }
    addProfile(root.putObject("profile"), result.profile());
    result.notes().forEach(root.putArray("notes")::add);
    return root;
  }

  private void addMemory(ObjectNode json, BenchResult.Memory memory) {
    json.put("planned_bytes", memory.plannedBytes());
    json.put("device_bytes", memory.deviceBytes());
    json.put("weight_file_bytes", memory.weightFileBytes());
    put(json, "host_before_bytes", memory.hostBeforeBytes());
    put(json, "host_peak_bytes", memory.hostPeakBytes());
  }

  private void addLines(ObjectNode root, List<BenchResult.StepTime> steps) {
    var lines = root.putArray("lines");
    steps.stream()
        .map(step -> step.shape().batch())
        .distinct()
        .forEach(batch -> {
          List<BenchResult.StepTime> own =
              steps.stream().filter(step -> step.shape().batch() == batch).toList();
          if (own.size() > 2) {
            Line line = Line.through(own);
            ObjectNode json = lines.addObject();
            json.put("batch", batch);
            json.put("ms", rounded(line.ms()));
            json.put("ms_per_token", line.msPerToken());
            json.put("deviation", rounded(line.deviation()));
          }
        });
  }

  private void addProfile(ObjectNode json, KernelProfile profile) {
    json.put("tokens", profile.shape().length());
    json.put("batch", profile.shape().batch());
    json.put("steps", profile.steps());
    json.put("kernels_ms", rounded(profile.kernelMs()));
    add(json.putObject("step_ms"), profile.stepMs());
    var kernels = json.putArray("kernels");
    for (KernelProfile.Group group : profile.kernels()) {
      ObjectNode kernel = kernels.addObject();
      kernel.put("label", group.label());
      kernel.put("kernel", group.kernel());
      kernel.put("launches", group.launches());
      if (group.flops() > 0) {
        kernel.put("gflops", rounded(group.gigaflops()));
      }
      add(kernel.putObject("ms"), group.ms());
    }
  }

  private static void add(ObjectNode json, Samples samples) {
    if (samples.count() > 0) {
      json.put("median", rounded(samples.median()));
      json.put("spread", rounded(samples.spread()));
      json.put("least", rounded(samples.least()));
      json.put("most", rounded(samples.most()));
    }
    var values = json.putArray("samples");
    samples.values().forEach(value -> values.add(rounded(value)));
  }

  private static void put(ObjectNode json, String name, OptionalLong value) {
    if (value.isPresent()) {
      json.put(name, value.getAsLong());
    } else {
      json.putNull(name);
    }
  }

  private static double rounded(double value) {
    return Math.round(value * 1e4) / 1e4;
  }
}
