package dev.remask.diffusion;

import dev.remask.cuda.Stream;
import dev.remask.kernel.Commit;
import dev.remask.kernel.MaskedSelect;
import dev.remask.kernel.Operations;
import dev.remask.kernel.SpecialTokens;

/// What follows the forward pass in a step: choose a token for every masked position of the current
/// blocks, commit the surest, move every sequence to its next plan entry. Device thread only.
final class StepTail {
  private StepTail() {}

  /// Enqueues on `stream` and returns; can be captured. `buffers.logits()` has `columns` columns.
  static void enqueue(
      Stream stream,
      Operations operations,
      DenoiserMemory memory,
      StepBuffers buffers,
      Packing packing,
      int columns,
      SpecialTokens tokens) {
    var select =
        new MaskedSelect.Buffers(
            buffers.logits(),
            memory.sequences,
            memory.plan,
            memory.rowSequence,
            buffers.canvas(),
            memory.partials,
            memory.candidates,
            memory.keys);
    operations.maskedSelect().launch(stream, select, packing.rows, columns, tokens);
    var commit =
        new Commit.Buffers(
            buffers.canvas(),
            memory.traceStep,
            memory.traceConfidence,
            memory.keys,
            memory.candidates,
            memory.sequences,
            memory.plan);
    operations.commit().launch(stream, commit, packing.slots.size());
    operations
        .commit()
        .advance(stream, memory.sequences, buffers.rowIndex(), memory.plan, packing.slots.size());
  }
}
