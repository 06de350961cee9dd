package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.PinnedMemory;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.MaskedSelect;
import dev.remask.model.WorkspaceLimits;

/// Every buffer of the diffusion loop, on the device and pinned, for the largest batch the model
/// was loaded for: nothing is allocated by a generation.
final class DenoiserMemory implements AutoCloseable {
  /// Slices begin where any vector access of a kernel is aligned.
  private static final long ALIGNMENT = 256;

  /// Steps that may be queued on the device before the host waits for the oldest: enough to hide
  /// the host, few enough for a cancellation to take effect at once.
  static final int STEPS_IN_FLIGHT = 4;

  private final DeviceMemory device;
  final DeviceBuffer sequences;
  final DeviceBuffer plan;
  final DeviceBuffer rowSequence;
  final DeviceBuffer traceStep;
  final DeviceBuffer traceConfidence;
  final DeviceBuffer partials;
  final DeviceBuffer candidates;
  final DeviceBuffer keys;

  /// Uploads before the loop, downloads after it.
  final PinnedMemory staging;

  /// One canvas per step in flight, for a listener.
  final PinnedMemory watched;

  private long allocated;

  DenoiserMemory(Context context, WorkspaceLimits limits, int columns) {
    long tokens = limits.maxTokens();
    long rows = limits.maxRows();
    long[] bytes = {
      DiffusionState.SEQUENCE_BYTES * (long) limits.maxSequences(),
      DiffusionState.PLAN_ENTRY_BYTES * tokens,
      Integer.BYTES * rows,
      Integer.BYTES * tokens,
      Float.BYTES * tokens,
      MaskedSelect.partialBytes(limits.maxRows(), columns),
      Integer.BYTES * rows,
      Float.BYTES * rows
    };
    long total = 0;
    for (long size : bytes) {
      total += aligned(size);
    }
    device = context.allocate(total);
    try {
      staging = context.allocatePinned(stagingBytes(limits));
    } catch (RuntimeException e) {
      device.close();
      throw e;
    }
    try {
      watched = context.allocatePinned(Integer.BYTES * tokens * STEPS_IN_FLIGHT);
    } catch (RuntimeException e) {
      staging.close();
      device.close();
      throw e;
    }
    sequences = next(bytes[0]);
    plan = next(bytes[1]);
    rowSequence = next(bytes[2]);
    traceStep = next(bytes[3]);
    traceConfidence = next(bytes[4]);
    partials = next(bytes[5]);
    candidates = next(bytes[6]);
    keys = next(bytes[7]);
  }

  /// Bytes of device memory.
  long deviceBytes() {
    return device.bytes();
  }

  private DeviceBuffer next(long bytes) {
    DeviceBuffer slice = device.slice(allocated, bytes);
    allocated += aligned(bytes);
    return slice;
  }

  private static long stagingBytes(WorkspaceLimits limits) {
    // Up: canvas, sequences, plan, row tables. Down: canvas, trace steps, trace confidences.
    long tokens = limits.maxTokens();
    long up =
        Integer.BYTES * tokens
            + DiffusionState.SEQUENCE_BYTES * (long) limits.maxSequences()
            + DiffusionState.PLAN_ENTRY_BYTES * tokens
            + 2L * Integer.BYTES * limits.maxRows();
    long down = (2L * Integer.BYTES + Float.BYTES) * tokens;
    return Math.max(up, down);
  }

  private static long aligned(long bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }

  @Override
  public void close() {
    try (device;
        staging;
        watched) {
      // try-with-resources closes all three even if one fails
    }
  }
}
