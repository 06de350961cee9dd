package dev.remask.diffusion;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.model.Batch;

/// The forward pass's side of a step: what selection reads and commit writes.
///
/// T packed tokens, R rows of logits, E columns.
///
/// @param canvas i32[T], the pass's input tokens; commit writes into them
/// @param rowIndex i32[R], the packed index of each row; advance moves it to the next block
/// @param logits f32[R, E]
record StepBuffers(DeviceBuffer canvas, DeviceBuffer rowIndex, DeviceBuffer logits) {
  static StepBuffers of(Batch batch) {
    return new StepBuffers(batch.tokens(), batch.rowIndex(), batch.logits());
  }
}
