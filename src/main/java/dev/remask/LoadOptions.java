package dev.remask;

import dev.remask.cuda.Attachment;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DType;
import dev.remask.model.ProgressListener;
import dev.remask.model.Quantization;
import dev.remask.model.WeightMemory;
import java.util.Objects;
import java.util.Optional;

/// How a model is loaded: onto which device, in which type, with memory for how much.
///
/// All memory is planned from these limits at load; a request that needs more is refused by name,
/// never with an error from the device. Immutable: each setter returns a changed copy.
///
/// @param device where to run (default AUTO: a CUDA device if there is one, else the software
///   device)
/// @param dtype type of weights and activations (default BF16; accumulation is F32 in both)
/// @param quantization how the weights' matrices are kept (default NONE: in that type); INT8 takes
///   about half the memory of BF16 and is approximate
/// @param maxTokens tokens of one pass over all packed sequences, guidance's copies included; 0:
///   twice the model's max_sequence_length, the longest request with guidance
/// @param maxRows rows of logits of one step, that is block_length for each sequence and each of
///   its copies; 0: as many as 256 MiB of logits hold, at least 64
/// @param maxSequences sequences of one pass, copies included (default 64)
/// @param maxCacheTokens positions whose keys and values the caches of all requests hold together,
///   for the option cache; 0: as many as 256 MiB hold, at most maxTokens; [#NO_CACHE]: none
/// @param attachment the caller's CUDA context (and stream, and thread) to load into; empty: the
///   device's primary context, with a stream and a device thread of the model's own
/// @param weightMemory device memory of the caller's that takes the weights or holds them already;
///   empty: the model's own
/// @param progress told while weights are uploaded, on the device thread
public record LoadOptions(
    DeviceSpec device,
    DType dtype,
    Quantization quantization,
    int maxTokens,
    int maxRows,
    int maxSequences,
    int maxCacheTokens,
    Optional<Attachment> attachment,
    Optional<WeightMemory> weightMemory,
    ProgressListener progress) {

  /// No memory for caches: requests with one are refused.
  public static final int NO_CACHE = -1;

  /// Sequences of one pass if nothing else is said.
  public static final int DEFAULT_MAX_SEQUENCES = 64;

  private static final LoadOptions DEFAULTS =
      new LoadOptions(
          DeviceSpec.auto(),
          DType.BF16,
          Quantization.NONE,
          0,
          0,
          DEFAULT_MAX_SEQUENCES,
          0,
          Optional.empty(),
          Optional.empty(),
          ProgressListener.NONE);

  /// Refuses negative limits with a [RequestException] that names the setting.
  public LoadOptions {
    Objects.requireNonNull(device, "device");
    Objects.requireNonNull(dtype, "dtype");
    Objects.requireNonNull(quantization, "quantization");
    Objects.requireNonNull(attachment, "attachment");
    Objects.requireNonNull(weightMemory, "weightMemory");
    Objects.requireNonNull(progress, "progress");
    check(maxTokens >= 0, "maxTokens", "must be at least 1 (0: the default), got " + maxTokens);
    check(maxRows >= 0, "maxRows", "must be at least 1 (0: the default), got " + maxRows);
    check(
        maxSequences >= 2,
        "maxSequences",
        "must be at least 2 (a sequence and its unconditional copy), got " + maxSequences);
    check(
        maxCacheTokens >= NO_CACHE,
        "maxCacheTokens",
        "must be at least 1 (0: the default, -1: none), got " + maxCacheTokens);
  }

  /// {@return everything at its default}
  public static LoadOptions defaults() {
    return DEFAULTS;
  }

  /// Runs on `spec`.
  ///
  /// @param spec which device
  /// @return a changed copy
  public LoadOptions withDevice(DeviceSpec spec) {
    return new LoadOptions(
        spec,
        dtype,
        quantization,
        maxTokens,
        maxRows,
        maxSequences,
        maxCacheTokens,
        attachment,
        weightMemory,
        progress);
  }

  /// Computes in `type`.
  ///
  /// @param type of weights and activations
  /// @return a changed copy
  public LoadOptions withDType(DType type) {
    return new LoadOptions(
        device,
        type,
        quantization,
        maxTokens,
        maxRows,
        maxSequences,
        maxCacheTokens,
        attachment,
        weightMemory,
        progress);
  }

  /// Keeps the weights' matrices otherwise than in the dtype.
  ///
  /// @param how NONE or INT8
  /// @return a changed copy
  public LoadOptions withQuantization(Quantization how) {
    return new LoadOptions(
        device,
        dtype,
        how,
        maxTokens,
        maxRows,
        maxSequences,
        maxCacheTokens,
        attachment,
        weightMemory,
        progress);
  }

  /// Plans memory for `tokens` in one pass.
  ///
  /// @param tokens how many; 0: the default
  /// @return a changed copy
  public LoadOptions withMaxTokens(int tokens) {
    return new LoadOptions(
        device,
        dtype,
        quantization,
        tokens,
        maxRows,
        maxSequences,
        maxCacheTokens,
        attachment,
        weightMemory,
        progress);
  }

  /// Plans memory for `rows` of logits in one step.
  ///
  /// @param rows how many; 0: the default
  /// @return a changed copy
  public LoadOptions withMaxRows(int rows) {
    return new LoadOptions(
        device,
        dtype,
        quantization,
        maxTokens,
        rows,
        maxSequences,
        maxCacheTokens,
        attachment,
        weightMemory,
        progress);
  }

  /// Plans memory for `sequences` in one pass.
  ///
  /// @param sequences how many, at least 2
  /// @return a changed copy
  public LoadOptions withMaxSequences(int sequences) {
    return new LoadOptions(
        device,
        dtype,
        quantization,
        maxTokens,
        maxRows,
        sequences,
        maxCacheTokens,
        attachment,
        weightMemory,
        progress);
  }

  /// Plans memory for caches of `tokens` positions together; [#NO_CACHE]: none.
  ///
  /// @param tokens how many; 0: the default
  /// @return a changed copy
  public LoadOptions withMaxCacheTokens(int tokens) {
    return new LoadOptions(
        device,
        dtype,
        quantization,
        maxTokens,
        maxRows,
        maxSequences,
        tokens,
        attachment,
        weightMemory,
        progress);
  }

  /// Loads into a CUDA context of the caller's, which has to be of the device that is asked for.
  /// Closing the model leaves everything of the caller's as it is.
  ///
  /// @param callers what is the caller's
  /// @return a changed copy
  public LoadOptions withAttachment(Attachment callers) {
    return new LoadOptions(
        device,
        dtype,
        quantization,
        maxTokens,
        maxRows,
        maxSequences,
        maxCacheTokens,
        Optional.of(callers),
        weightMemory,
        progress);
  }

  /// Keeps the weights in memory of the caller's ([Remask#weightBytes] says how much they take), or
  /// uses what another model has there ([Model#weightMemory]).
  ///
  /// @param callers what is the caller's
  /// @return a changed copy
  public LoadOptions withWeightMemory(WeightMemory callers) {
    return new LoadOptions(
        device,
        dtype,
        quantization,
        maxTokens,
        maxRows,
        maxSequences,
        maxCacheTokens,
        attachment,
        Optional.of(callers),
        progress);
  }

  /// Reports the upload to `listener`.
  ///
  /// @param listener told how far the upload is
  /// @return a changed copy
  public LoadOptions withProgress(ProgressListener listener) {
    return new LoadOptions(
        device,
        dtype,
        quantization,
        maxTokens,
        maxRows,
        maxSequences,
        maxCacheTokens,
        attachment,
        weightMemory,
        listener);
  }

  private static void check(boolean holds, String field, String rule) {
    if (!holds) {
      throw new RequestException(field, field + " " + rule);
    }
  }
}
