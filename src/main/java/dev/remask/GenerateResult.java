package dev.remask;

import dev.remask.diffusion.Commit;
import dev.remask.kernel.DType;
import java.util.List;
import java.util.Optional;

/// An answer.
///
/// @param promptIds the ids the model saw before the answer; not copied
/// @param outputIds gen_length ids of the answer; not copied
/// @param text the answer's text up to the first EOS or EoT (with suppress_eos all of it); empty if
///   the model has no tokenizer
/// @param forwardPasses passes of the mask predictor; a step with guidance counts two
/// @param trace which step committed what, by step and then position; empty if not asked for
/// @param device name of the device that ran it
/// @param dtype type it ran in
/// @param timing how long it took
public record GenerateResult(
    int[] promptIds,
    int[] outputIds,
    Optional<String> text,
    int forwardPasses,
    List<Commit> trace,
    String device,
    DType dtype,
    Timing timing) {

  /// Times in milliseconds.
  ///
  /// @param loadMs loading the model, once for all its answers
  /// @param totalMs from the call to the result, waiting for the device included
  /// @param msPerStep mean of the denoising steps, from the first launch to the last result
  public record Timing(double loadMs, double totalMs, double msPerStep) {}
}
