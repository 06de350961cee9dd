package dev.remask.diffusion;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Stream;
import dev.remask.kernel.Commit;
import dev.remask.kernel.Constrain;
import dev.remask.kernel.HeadSelect;
import dev.remask.kernel.LayRows;
import dev.remask.kernel.MaskedSelect;
import dev.remask.kernel.Operations;
import dev.remask.kernel.RestrictTokens;
import dev.remask.kernel.SpecialTokens;
import dev.remask.kernel.TargetOdds;
import dev.remask.model.Batch;
import dev.remask.model.MaskPredictor;
import java.util.function.Consumer;

/// The launches of one denoising step over a pass that is laid: rows, forward pass, what members
/// ask for of constraints and restrictions, choice, revision, commit. Where nobody asks for logits
/// and the device can choose without, they are not written. Can be captured: no launch has an
/// argument that changes from step to step. Device thread only.
final class Step implements Consumer<Stream> {
  private final Operations operations;
  private final Batch batch;
  private final SpecialTokens tokens;
  private final Layout.Key key;
  private final int rows;
  private final int columns;
  private final LayRows.Buffers lay;
  private final Constrain.Buffers constrain;
  private final RestrictTokens.Buffers restrict;
  private final MaskedSelect.Buffers select;
  private final TargetOdds.Buffers odds;

  /// What chooses without logits, and its buffers; null where the step needs logits.
  private final HeadSelect headSelect;

  private final HeadSelect.Buffers head;
  private final Commit.Buffers commit;

  Step(
      MaskPredictor predictor,
      Batch batch,
      LoopMemory memory,
      Layout.Key key,
      SpecialTokens tokens) {
    operations = predictor.operations();
    this.batch = batch;
    this.tokens = tokens;
    this.key = key;
    rows = batch.rowCount();
    columns = predictor.config().embeddingSize();
    lay =
        new LayRows.Buffers(
            memory.rows,
            batch.rowIndex(),
            memory.sequences,
            memory.progress,
            memory.plan,
            memory.maskPositions,
            memory.canvas,
            memory.members);
    DeviceBuffer logits = batch.logits();
    constrain =
        new Constrain.Buffers(
            logits,
            memory.rows,
            memory.sequences,
            memory.constraints,
            memory.constraints,
            memory.canvas,
            memory.maskPositions);
    restrict = new RestrictTokens.Buffers(logits, memory.rows, memory.sequences, memory.floors);
    select =
        new MaskedSelect.Buffers(
            logits,
            memory.rows,
            memory.sequences,
            key.restricted() ? memory.floors : null,
            memory.partials,
            memory.candidates,
            memory.keys);
    odds =
        new TargetOdds.Buffers(
            logits, memory.rows, memory.sequences, memory.keys, memory.candidates);
    headSelect =
        key.usesLogits()
            ? null
            : operations.headSelect().filter(kernel -> kernel.takes(batch.head())).orElse(null);
    head =
        new HeadSelect.Buffers(
            batch.hidden(),
            batch.head(),
            memory.rows,
            memory.sequences,
            memory.partials,
            memory.candidates,
            memory.keys);
    commit =
        new Commit.Buffers(
            memory.canvas,
            memory.progress,
            memory.logBuffer(),
            memory.logHeads(),
            memory.keys,
            memory.candidates,
            memory.rows,
            memory.sequences,
            memory.plan,
            memory.maskPositions,
            memory.members);
  }

  /// Enqueues one step on `stream`, the predictor's.
  @Override
  public void accept(Stream stream) {
    operations.layRows().launch(stream, lay, key.members(), tokens.mask());
    if (headSelect != null) {
      batch.forwardHidden();
      headSelect.launch(stream, head, rows, tokens);
    } else {
      batch.forward();
      chooseFromLogits(stream);
    }
    operations.commit().launch(stream, commit, key.members(), tokens);
  }

  private void chooseFromLogits(Stream stream) {
    if (key.constrained()) {
      operations.constrain().launch(stream, constrain, rows, columns, tokens);
    }
    if (key.restricted()) {
      operations.restrictTokens().launch(stream, restrict, rows, columns, tokens);
    }
    operations.maskedSelect().launch(stream, select, rows, columns, tokens);
    if (key.revised()) {
      operations.targetOdds().launch(stream, odds, rows, columns, tokens);
    }
  }
}
