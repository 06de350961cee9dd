package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Finds, for every row that is sampled, the smallest logit that top-k and top-p leave.
public final class RestrictTokens {
  private static final String OPERATION = "restrict";
  private static final int THREADS = 512;

  private final Kernel kernel;

  /// What a launch reads and writes, all device memory: logits f32[Rall, columns] (rows of the
  /// block first, those of unconditional copies after), rows and sequences as [DiffusionState] lays
  /// them out; out floors f32[rows], which [MaskedSelect] takes.
  public record Buffers(
      DeviceBuffer logits, DeviceBuffer rows, DeviceBuffer sequences, DeviceBuffer floors) {}

  RestrictTokens(Module module) {
    kernel =
        module.kernel(
            "restrict_tokens",
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32,
            Parameter.SPECIAL_TOKENS);
  }

  /// Writes every row's floor: −∞ where nothing is cut off, for rows of another kind than CHOOSE,
  /// at temperature 0 and where `top_k` is 0 and `top_p` 1.
  ///
  /// Of the (guided) logits that may be chosen, below the vocabulary's end, not the mask, not a
  /// suppressed EOS, with weights exp((l − max) / temperature): `top_k` leaves those that fewer
  /// than top_k others exceed; `top_p`, after it, those that others of less than top_p of the
  /// weight left exceed. Ties stay together, the largest always stays. Weights are integers of 2⁻⁴⁰
  /// of the largest, so that no order of additions matters. A `top_k` beyond the vocabulary and a
  /// `top_p` of 1 or more cut nothing off; a `top_p` of 0 leaves the largest.
  ///
  /// Only the choice is restricted: confidences stay those of the whole softmax. Enqueues on
  /// `stream` and returns. Device thread only. Throws IllegalArgumentException if a buffer is too
  /// small or a size out of range, CudaException if the launch is refused. The order is that of
  /// Hugging Face's TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper.
  public void launch(Stream stream, Buffers buffers, int rows, int columns, SpecialTokens tokens) {
    Launch.requireRows(OPERATION, rows, columns, buffers.logits, buffers.rows, buffers.sequences);
    Launch.requireVocabulary(OPERATION, tokens, columns);
    Launch.requireBuffer(OPERATION, "floors", buffers.floors, Float.BYTES, rows, 1);
    kernel.set(0, buffers.floors).set(1, buffers.logits).set(2, buffers.rows);
    kernel.set(3, buffers.sequences).set(4, rows).set(5, columns);
    kernel.setInts(6, tokens.vocabulary(), tokens.mask(), tokens.eos(), tokens.eot());
    kernel.launch(stream, rows, 1, 1, THREADS, 0);
  }
}
