package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.PinnedMemory;
import dev.remask.kernel.DiffusionState;
import dev.remask.model.WorkspaceLimits;

/// The buffers of a scoring pass, on the device and pinned, for the largest pass that the model was
/// loaded for. Device thread only.
final class ScoreMemory implements AutoCloseable {
  private static final long ALIGNMENT = 256;

  private final DeviceMemory device;

  /// Token ids of the packed canvases.
  final DeviceBuffer canvas;

  /// [DiffusionState.Sequence] of each part: its guidance.
  final DeviceBuffer sequences;

  /// [DiffusionState.Row] of each wanted position.
  final DeviceBuffer rows;

  final DeviceBuffer keys;
  final DeviceBuffer candidates;

  /// Tables up, keys down; or two rows of logits down.
  final PinnedMemory staging;

  private long allocated;

  ScoreMemory(Context context, WorkspaceLimits limits, int columns) {
    long[] bytes = sizes(limits);
    long total = alignedSum(bytes);
    // Besides canvas, sequences and rows the predictor's row index is staged; it has the size of
    // the candidates.
    long logits = 2L * Float.BYTES * columns;
    device = context.allocate(total);
    try {
      staging = context.allocatePinned(Math.max(total, logits));
    } catch (RuntimeException | Error e) {
      device.close();
      throw e;
    }
    canvas = next(bytes[0]);
    sequences = next(bytes[1]);
    rows = next(bytes[2]);
    keys = next(bytes[3]);
    candidates = next(bytes[4]);
  }

  /// Device memory that scoring takes for such limits.
  static long deviceBytes(WorkspaceLimits limits) {
    return alignedSum(sizes(limits));
  }

  /// Bytes of each part on the device, in the order in which they lie.
  private static long[] sizes(WorkspaceLimits limits) {
    return new long[] {
      Integer.BYTES * (long) limits.maxTokens(),
      DiffusionState.SEQUENCE_BYTES * (long) limits.maxSequences(),
      DiffusionState.ROW_BYTES * (long) limits.maxRows(),
      Float.BYTES * (long) limits.maxRows(),
      Integer.BYTES * (long) limits.maxRows()
    };
  }

  private static long alignedSum(long[] bytes) {
    long total = 0;
    for (long size : bytes) {
      total += aligned(size);
    }
    return total;
  }

  long deviceBytes() {
    return device.bytes();
  }

  static long aligned(long bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }

  private DeviceBuffer next(long bytes) {
    DeviceBuffer slice = device.slice(allocated, bytes);
    allocated += aligned(bytes);
    return slice;
  }

  @Override
  public void close() {
    try (device;
        staging) {
      // try-with-resources closes both even if one fails
    }
  }
}
