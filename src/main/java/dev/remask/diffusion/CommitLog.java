package dev.remask.diffusion;

import dev.remask.cuda.PinnedMemory;
import dev.remask.kernel.DiffusionState;

/// The commits of one slot so far, in the order of their steps, read from memory that the device
/// writes while it runs. Device thread (so inside onPoll too); not after the slot's release.
final class CommitLog {
  private final PinnedMemory mapped;
  private final long head;
  private final long records;

  /// `head` and `records`: byte offsets of the slot's count and of its first record.
  CommitLog(PinnedMemory mapped, long head, long records) {
    this.mapped = mapped;
    this.head = head;
    this.records = records;
  }

  /// Records that are complete; only grows.
  int size() {
    return mapped.loadInt(head);
  }

  /// Step, canvas position, token (-1: the position was masked again) and confidence of the record,
  /// `index` below [#size]. Within a step positions ascend, those masked again after those
  /// committed.
  Commit get(int index) {
    DiffusionState.CommitRecord record =
        DiffusionState.readCommitRecord(
            mapped, records + (long) index * DiffusionState.COMMIT_RECORD_BYTES);
    return new Commit(record.step(), record.position(), record.token(), record.confidence());
  }
}
