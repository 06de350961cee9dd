package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.PinnedMemory;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.MaskedSelect;
import dev.remask.model.WorkspaceLimits;

/// Every buffer of the diffusion loop, on the device, pinned and mapped, for the limits the model
/// was loaded for: neither admission nor a step allocates.
final class LoopMemory implements AutoCloseable {
  /// Slices begin where any vector access of a kernel is aligned.
  private static final long ALIGNMENT = 256;

  /// Arena elements for a token of a pass. First fit needs at most log2(longest range) times what
  /// is in use to find a place in any order of arrivals; at 40 bytes an element that is cheap.
  private static final int ARENA_TOKENS = 8;

  /// Records of the commit log for a token of a pass: one for its commit, and room for revisions.
  private static final int LOG_RECORDS = 4;

  /// Bytes of an entry of the constraints arena.
  static final int CONSTRAINT_BYTES = 16;

  private final DeviceMemory device;
  private long taken;

  /// i32[arena]: the slots' canvases and their unconditional copies.
  final DeviceBuffer canvas;

  /// i32[arena]: the slots' masked positions, ascending.
  final DeviceBuffer maskPositions;

  /// PlanEntry[arena].
  final DeviceBuffer plan;

  /// 16-byte entries and their data.
  final DeviceBuffer constraints;

  final DeviceBuffer sequences;
  final DeviceBuffer progress;
  final DeviceBuffer members;
  final DeviceBuffer rows;
  final DeviceBuffer floors;
  final DeviceBuffer partials;
  final DeviceBuffer candidates;
  final DeviceBuffer keys;

  /// What admissions and layouts upload from.
  final PinnedMemory staging;

  /// What is copied back: the progress of every slot, then room for a canvas.
  final PinnedMemory readback;

  /// Mapped: the log's heads, then its records.
  final PinnedMemory mapped;

  private final int sequenceCount;
  final int arenaSize;
  final int constraintEntries;
  final int logRecords;

  LoopMemory(Context context, WorkspaceLimits limits, int columns) {
    arenaSize = Math.multiplyExact(ARENA_TOKENS, limits.maxTokens());
    constraintEntries = Math.addExact(ARENA_TOKENS * limits.maxTokens(), columns);
    logRecords = Math.multiplyExact(LOG_RECORDS, limits.maxTokens());
    int slots = limits.maxSequences();
    sequenceCount = slots;
    long[] bytes = sizes(limits, columns);
    long total = alignedSum(bytes);
    // One admission always fits into staging as a whole: arenas, constraints, its structs.
    long stagingBytes =
        bytes[0] + bytes[1] + bytes[2] + bytes[3] + 2L * ALIGNMENT + bytes[6] + bytes[7];
    DeviceMemory memory = context.allocate(total);
    PinnedMemory up = null;
    PinnedMemory down = null;
    try {
      up = context.allocatePinned(stagingBytes);
      down = context.allocatePinned(aligned(bytes[5]) + (long) arenaSize * Integer.BYTES);
      mapped =
          context.allocateMapped(
              logOffset(slots) + (long) logRecords * DiffusionState.COMMIT_RECORD_BYTES);
    } catch (RuntimeException | Error e) {
      closeAfter(e, down, up, memory);
      throw e;
    }
    device = memory;
    staging = up;
    readback = down;
    canvas = next(bytes[0]);
    maskPositions = next(bytes[1]);
    plan = next(bytes[2]);
    constraints = next(bytes[3]);
    sequences = next(bytes[4]);
    progress = next(bytes[5]);
    members = next(bytes[6]);
    rows = next(bytes[7]);
    floors = next(bytes[8]);
    partials = next(bytes[9]);
    candidates = next(bytes[10]);
    keys = next(bytes[11]);
  }

  /// Device memory that a loop takes for such limits and rows of so many logits.
  static long deviceBytes(WorkspaceLimits limits, int columns) {
    return alignedSum(sizes(limits, columns));
  }

  /// Bytes of each part on the device, in the order in which they lie.
  private static long[] sizes(WorkspaceLimits limits, int columns) {
    long arena = Math.multiplyExact(ARENA_TOKENS, limits.maxTokens());
    int slots = limits.maxSequences();
    int rowCount = limits.maxRows();
    return new long[] {
      arena * Integer.BYTES,
      arena * Integer.BYTES,
      arena * DiffusionState.PLAN_ENTRY_BYTES,
      Math.addExact(arena, columns) * CONSTRAINT_BYTES,
      (long) slots * DiffusionState.SEQUENCE_BYTES,
      (long) slots * DiffusionState.PROGRESS_BYTES,
      (long) slots * DiffusionState.MEMBER_BYTES,
      (long) rowCount * DiffusionState.ROW_BYTES,
      (long) rowCount * Float.BYTES,
      MaskedSelect.partialBytes(rowCount, columns),
      (long) rowCount * Integer.BYTES,
      (long) rowCount * Float.BYTES
    };
  }

  private static long alignedSum(long[] bytes) {
    long total = 0;
    for (long size : bytes) {
      total += aligned(size);
    }
    return total;
  }

  /// Byte offset of the log's heads in `mapped`, i32 for each slot.
  static int headsOffset() {
    return 0;
  }

  /// Byte offset of the log's records in `mapped`.
  static long logOffset(int slots) {
    return aligned(headsOffset() + (long) slots * Integer.BYTES);
  }

  /// i32[slots]: how many records of each slot are complete.
  DeviceBuffer logHeads() {
    return mapped.deviceBuffer().slice(headsOffset(), sequenceCount * (long) Integer.BYTES);
  }

  /// CommitRecord[logRecords].
  DeviceBuffer logBuffer() {
    return mapped
        .deviceBuffer()
        .slice(logOffset(sequenceCount), (long) logRecords * DiffusionState.COMMIT_RECORD_BYTES);
  }

  /// Byte offset of a canvas in `readback`.
  long canvasOffset() {
    return aligned(progress.bytes());
  }

  /// Bytes of device memory.
  long deviceBytes() {
    return device.bytes();
  }

  private DeviceBuffer next(long bytes) {
    DeviceBuffer slice = device.slice(taken, bytes);
    taken += aligned(bytes);
    return slice;
  }

  private static long aligned(long bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }

  private static void closeAfter(Throwable failure, AutoCloseable... opened) {
    for (AutoCloseable resource : opened) {
      try {
        if (resource != null) {
          resource.close();
        }
      } catch (Exception e) {
        failure.addSuppressed(e);
      }
    }
  }

  @Override
  public void close() {
    try (device;
        staging;
        readback;
        mapped) {
      // try-with-resources closes all of them even if one fails
    }
  }
}
