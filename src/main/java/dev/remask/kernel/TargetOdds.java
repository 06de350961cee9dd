package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Says how sure the model is of tokens that are given: a likelihood's terms, and what decides
/// whether a committed token is masked again.
public final class TargetOdds {
  private static final String OPERATION = "odds";
  private static final int THREADS = 512;

  private final Kernel kernel;

  /// What a launch reads and writes, all device memory: logits f32[Rall, columns] (rows first,
  /// those of unconditional copies after), rows and sequences as [DiffusionState] lays them out;
  /// out keys f32[rows] and candidates i32[rows].
  public record Buffers(
      DeviceBuffer logits,
      DeviceBuffer rows,
      DeviceBuffer sequences,
      DeviceBuffer keys,
      DeviceBuffer candidates) {}

  TargetOdds(Module module) {
    kernel =
        module.kernel(
            "target_odds",
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.I32,
            Parameter.SPECIAL_TOKENS);
  }

  /// Writes, for every row of kind RECONSIDER, the odds against its target as its key and the
  /// target as its candidate. Other rows keep what they have, so that it goes behind
  /// [MaskedSelect], or works alone on rows that the host made: `sequence` 0, `target` the token,
  /// `unconditionalRow` −1 or the copy's row, and one sequence whose `flags` are 0 and whose
  /// `guidance` is cfg_scale + 1.
  ///
  /// key = (Σ exp(l) − exp(l_target)) / exp(l_target), the sum over all `columns`; log1p(key) is
  /// the target's negative log likelihood, to 1e-5 of it (beside what the mixing of guidance
  /// rounds). Keys end at the largest float, likelihoods at 88.7 nats. With a copy the logits are
  /// un + guidance · (cond − un). Logits −∞ and NaN count as absent, and so do EOS under
  /// SUPPRESS_EOS and EOS and EoT under DEFER_EOS; only where the target is one of the two,
  /// deferring leaves all of them in the sum. A target that is absent itself has the key ∞, one
  /// outside the columns key and candidate −1.
  ///
  /// Bits of a row depend on that row alone. Enqueues on `stream` and returns. Device thread only.
  /// Throws IllegalArgumentException if a buffer is too small or a size out of range, CudaException
  /// if the launch is refused. Source: LLaDA, get_log_likelihood.py (ML-GSAI/LLaDA).
  public void launch(Stream stream, Buffers buffers, int rows, int columns, SpecialTokens tokens) {
    Launch.requireRows(OPERATION, rows, columns, buffers.logits, buffers.rows, buffers.sequences);
    Launch.requireBuffer(OPERATION, "keys", buffers.keys, Float.BYTES, rows, 1);
    Launch.requireBuffer(OPERATION, "candidates", buffers.candidates, Integer.BYTES, rows, 1);
    kernel.set(0, buffers.keys).set(1, buffers.candidates).set(2, buffers.logits);
    kernel.set(3, buffers.rows).set(4, buffers.sequences).set(5, rows).set(6, columns);
    kernel.setInts(7, tokens.vocabulary(), tokens.mask(), tokens.eos(), tokens.eot());
    kernel.launch(stream, rows, 1, 1, THREADS, 0);
  }
}
