package dev.remask.diffusion;

import dev.remask.kernel.DiffusionState;
import dev.remask.model.PassSequence;

/// A request's place in the device loop, from [DeviceLoop#admit] to [DeviceLoop#release]. Device
/// thread only.
final class Slot {
  /// Its place in the state arrays, 0 to maxSequences - 1; free for another after release.
  final int index;

  final SlotRequest request;

  /// Positions of the canvas's masks, ascending.
  final int[] maskPositions;

  /// Where it lies in the arenas of canvases, mask positions and plans.
  final int begin;

  /// First entries in the arenas of constraints and of the log, first row of the cache (the copy's
  /// rows follow the canvas's).
  final int constraintBegin;

  /// Entries of constraints, their data included.
  final int constraintEntries;

  int constraintCount;
  final int logBegin;
  final int cacheBegin;

  /// Masks that take part; fewer than there are while automatic length may grow.
  int activeMasks;

  /// Whether an answer without a confident EOS may still ask for more length.
  boolean mayGrow;

  boolean released;

  private DiffusionState.Progress progress;

  Slot(
      int index,
      SlotRequest request,
      int[] maskPositions,
      int begin,
      int constraintBegin,
      int constraintEntries,
      int logBegin,
      int cacheBegin) {
    this.index = index;
    this.request = request;
    this.maskPositions = maskPositions;
    this.begin = begin;
    this.constraintBegin = constraintBegin;
    this.constraintEntries = constraintEntries;
    this.logBegin = logBegin;
    this.cacheBegin = cacheBegin;
    activeMasks = request.initialMasks();
    mayGrow = activeMasks < maskPositions.length;
  }

  /// Where it stood after the last run, or what it begins with; nothing is copied from the device.
  DiffusionState.Progress progress() {
    return progress;
  }

  void progress(DiffusionState.Progress value) {
    progress = value;
  }

  boolean guided() {
    return request.unconditionalOrNull() != null;
  }

  boolean cached() {
    return request.options().cache() != CacheMode.NONE;
  }

  /// Whether its next pass computes a part of the positions, the others' keys and values standing
  /// in the cache.
  boolean nextPassCached() {
    return cached() && progress.sinceWhole() >= 0;
  }

  /// Positions that take part: all, but with automatic length none behind the last active mask.
  int length() {
    return activeMasks == maskPositions.length
        ? request.canvas().length
        : maskPositions[activeMasks - 1] + 1;
  }

  int blockLength() {
    return request.options().blockLength();
  }

  int canvasBegin() {
    return begin;
  }

  int copyBegin() {
    return begin + request.canvas().length;
  }

  /// One past the last plan entry of the active masks, an index of the plans' arena.
  int planEnd() {
    return begin + request.plan().end(activeMasks);
  }

  /// Steps it has left before its status can change, at least 1.
  int certainSteps() {
    DiffusionOptions options = request.options();
    if (options.earlyStop() || mayGrow || cached()) {
      return 1;
    }
    int entries = planEnd() - progress.cursor();
    boolean byQuota =
        !options.adaptive() && !options.revises() && options.remasking() != Remasking.ORIGIN;
    if (byQuota) {
      return entries;
    }
    // Every block takes a step at least.
    DenoisingPlan plan = request.plan();
    int last = plan.block(planEnd() - begin - 1);
    return last - plan.block(progress.cursor() - begin) + 1;
  }

  /// The first position that its next pass computes.
  int firstQuery() {
    return nextPassCached() ? maskPositions[blockBegin()] : 0;
  }

  /// One past the last position that its next pass computes.
  int queryEnd() {
    if (!nextPassCached() || request.options().cache() == CacheMode.PREFIX) {
      return length();
    }
    int end = Math.min(blockBegin() + blockLength(), activeMasks);
    return maskPositions[end - 1] + 1;
  }

  /// The first mask of the current block.
  private int blockBegin() {
    int entry = progress.cursor() - begin;
    return request.plan().block(entry) * blockLength();
  }

  /// Its canvas in the next pass.
  PassSequence sequence() {
    int first = firstQuery();
    return new PassSequence(
        canvasBegin(),
        first,
        queryEnd() - first,
        length(),
        cached() ? cacheBegin : PassSequence.UNCACHED);
  }

  /// Its copy in the next pass.
  PassSequence copy() {
    int shift = request.shift();
    boolean part = nextPassCached();
    int first = part ? firstQuery() + shift : 0;
    int length = length() + shift;
    int queries = part ? queryEnd() + shift - first : length;
    return new PassSequence(
        copyBegin(),
        first,
        queries,
        length,
        cached() ? cacheBegin + request.canvas().length : PassSequence.UNCACHED);
  }

  /// What is added to the copy's first query to give that of canvas position [#firstQuery].
  int copyQueryOffset() {
    return nextPassCached() ? 0 : request.shift();
  }
}
