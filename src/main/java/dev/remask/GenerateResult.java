package dev.remask;

import dev.remask.diffusion.Commit;
import dev.remask.kernel.DType;
import dev.remask.model.Quantization;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// An answer.
///
/// @param promptIds the ids the model saw before the answer, in a canvas those before its first
///   mask; not copied
/// @param outputIds ids of the answer: gen_length of them (with automatic length as many as it
///   took), or those of a canvas's masks; with early_stop they end with the EOS. Not copied
/// @param text the answer's text up to the first EOS or EoT (with suppress_eos all of it); of a
///   canvas all of its text, fixed tokens included; empty if the model has no tokenizer
/// @param finishReason why it ends
/// @param canvasIds the filled canvas, where one was given: [GenerateRequest#MASK] where an early
///   stop left a position open; not copied
/// @param forwardPasses passes of the mask predictor; a step with guidance counts two
/// @param trace which step committed what, by step and then position; empty if not asked for
/// @param device name of the device that ran it
/// @param dtype type it ran in
/// @param quantization how the model's matrices are kept
/// @param timing how long it took
public record GenerateResult(
    int[] promptIds,
    int[] outputIds,
    Optional<String> text,
    FinishReason finishReason,
    Optional<int[]> canvasIds,
    int forwardPasses,
    List<Commit> trace,
    String device,
    DType dtype,
    Quantization quantization,
    Timing timing) {

  private static final double THOUSANDTHS = 1000;

  /// Times in milliseconds.
  ///
  /// @param loadMs loading the model, once for all its answers
  /// @param totalMs from the call to the result, waiting for the device included
  /// @param msPerStep mean of the denoising steps, from the first launch to the last result
  public record Timing(double loadMs, double totalMs, double msPerStep) {}

  /// {@return the answer as a JSON object on one line} The trace is there where it was asked for;
  /// in it and in canvas_ids null is a masked position.
  public String toJson() {
    ObjectNode json = JsonFields.MAPPER.createObjectNode();
    RequestWriter.add(json.putArray("prompt_ids"), promptIds);
    RequestWriter.add(json.putArray("output_ids"), outputIds);
    json.put("text", text.orElse(null));
    json.put("finish_reason", finishReason.jsonName());
    canvasIds.ifPresent(
        ids -> RequestWriter.addWithNulls(json.putArray("canvas_ids"), ids, GenerateRequest.MASK));
    json.put("forward_passes", forwardPasses);
    if (!trace.isEmpty()) {
      ArrayNode commits = json.putArray("trace");
      trace.forEach(commit -> add(commits.addObject(), commit));
    }
    json.put("device", device);
    json.put("dtype", dtype.name().toLowerCase(Locale.ROOT));
    json.put("quantize", quantization.toString());
    json.putObject("timing")
        .put("load_ms", rounded(timing.loadMs()))
        .put("total_ms", rounded(timing.totalMs()))
        .put("ms_per_step", rounded(timing.msPerStep()));
    return JsonFields.MAPPER.writeValueAsString(json);
  }

  private static void add(ObjectNode json, Commit commit) {
    json.put("step", commit.step()).put("position", commit.position());
    if (commit.token() < 0) {
      json.putNull("token"); // masked again
    } else {
      json.put("token", commit.token());
    }
    json.put("confidence", commit.confidence());
  }

  private static double rounded(double milliseconds) {
    return Math.round(milliseconds * THOUSANDTHS) / THOUSANDTHS;
  }
}
