package dev.remask;

import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DType;
import dev.remask.model.ProgressListener;
import java.util.Objects;

/// How a model is loaded: onto which device, in which type, with memory for how much.
///
/// All memory is planned from these limits at load; a request that needs more is refused by name,
/// never with an error from the device. Immutable: each setter returns a changed copy.
///
/// @param device where to run (default AUTO: a CUDA device if there is one, else the software
///   device)
/// @param dtype type of weights and activations (default BF16; accumulation is F32 in both)
/// @param maxTokens tokens of one pass over all packed sequences, guidance's copies included; 0:
///   twice the model's max_sequence_length, the longest request with guidance
/// @param maxRows rows of logits of one step, that is block_length for each sequence and each of
///   its copies; 0: as many as 256 MiB of logits hold, at least 64
/// @param maxSequences sequences of one pass, copies included (default 64)
/// @param progress told while weights are uploaded, on the device thread
public record LoadOptions(
    DeviceSpec device,
    DType dtype,
    int maxTokens,
    int maxRows,
    int maxSequences,
    ProgressListener progress) {

  private static final int DEFAULT_MAX_SEQUENCES = 64;
  private static final LoadOptions DEFAULTS =
      new LoadOptions(
          DeviceSpec.auto(), DType.BF16, 0, 0, DEFAULT_MAX_SEQUENCES, ProgressListener.NONE);

  /// Refuses negative limits with a [RequestException] that names the setting.
  public LoadOptions {
    Objects.requireNonNull(device, "device");
    Objects.requireNonNull(dtype, "dtype");
    Objects.requireNonNull(progress, "progress");
    check(maxTokens >= 0, "maxTokens", "must be at least 1 (0: the default), got " + maxTokens);
    check(maxRows >= 0, "maxRows", "must be at least 1 (0: the default), got " + maxRows);
    check(
        maxSequences >= 2,
        "maxSequences",
        "must be at least 2 (a sequence and its unconditional copy), got " + maxSequences);
  }

  /// Everything at its default.
  public static LoadOptions defaults() {
    return DEFAULTS;
  }

  /// Runs on `spec`.
  public LoadOptions withDevice(DeviceSpec spec) {
    return new LoadOptions(spec, dtype, maxTokens, maxRows, maxSequences, progress);
  }

  /// Computes in `type`.
  public LoadOptions withDType(DType type) {
    return new LoadOptions(device, type, maxTokens, maxRows, maxSequences, progress);
  }

  /// Plans memory for `tokens` in one pass.
  public LoadOptions withMaxTokens(int tokens) {
    return new LoadOptions(device, dtype, tokens, maxRows, maxSequences, progress);
  }

  /// Plans memory for `rows` of logits in one step.
  public LoadOptions withMaxRows(int rows) {
    return new LoadOptions(device, dtype, maxTokens, rows, maxSequences, progress);
  }

  /// Plans memory for `sequences` in one pass.
  public LoadOptions withMaxSequences(int sequences) {
    return new LoadOptions(device, dtype, maxTokens, maxRows, sequences, progress);
  }

  /// Reports the upload to `listener`.
  public LoadOptions withProgress(ProgressListener listener) {
    return new LoadOptions(device, dtype, maxTokens, maxRows, maxSequences, listener);
  }

  private static void check(boolean holds, String field, String rule) {
    if (!holds) {
      throw new RequestException(field, field + " " + rule);
    }
  }
}
