package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;

/// What every launcher does before it launches: check the buffers against the shape, size the grid.
final class Launch {
  /// Threads of a CTA in the kernels that have a row per CTA, at most (`kThreads` in kernels/).
  static final int ROW_THREADS = 256;

  /// Bytes of one thread's widest load or store.
  static final int VECTOR_BYTES = 16;

  /// Most CTAs along y and z of a grid.
  static final int GRID_LIMIT = 65_535;

  private static final int WARP_THREADS = 32;

  private Launch() {}

  /// Throws IllegalArgumentException unless `value` ≥ 1: a grid of no CTA is no legal launch.
  static void requirePositive(String operation, String name, int value) {
    if (value < 1) {
      throw new IllegalArgumentException(operation + ": " + name + " is " + value + "; wanted ≥ 1");
    }
  }

  /// Throws IllegalArgumentException if `value` exceeds what a kernel's grid can express.
  static void requireGrid(String operation, String name, int value) {
    if (value > GRID_LIMIT) {
      throw new IllegalArgumentException(
          operation + ": " + name + " is " + value + "; a launch takes at most " + GRID_LIMIT);
    }
  }

  /// Throws IllegalArgumentException unless the buffer holds `rows` × `columns` elements.
  static void requireBuffer(
      String operation,
      String name,
      DeviceBuffer buffer,
      int elementBytes,
      long rows,
      long columns) {
    // Two ints' product fits a long; its bytes might not.
    if (buffer.bytes() / elementBytes < rows * columns) {
      throw new IllegalArgumentException(
          "%s: %s holds %d bytes; [%d, %d] elements of %d bytes are wanted"
              .formatted(operation, name, buffer.bytes(), rows, columns, elementBytes));
    }
  }

  /// Throws IllegalArgumentException unless there is a row and a column and the buffers hold as
  /// many logits, as many rows and a sequence.
  static void requireRows(
      String operation,
      int rows,
      int columns,
      DeviceBuffer logits,
      DeviceBuffer rowTable,
      DeviceBuffer sequences) {
    requirePositive(operation, "rows", rows);
    requirePositive(operation, "columns", columns);
    requireBuffer(operation, "logits", logits, Float.BYTES, rows, columns);
    requireBuffer(operation, "rows", rowTable, DiffusionState.ROW_BYTES, rows, 1);
    requireBuffer(operation, "sequences", sequences, DiffusionState.SEQUENCE_BYTES, 1, 1);
  }

  /// Throws IllegalArgumentException unless the vocabulary is some or all of the columns.
  static void requireVocabulary(String operation, SpecialTokens tokens, int columns) {
    if (tokens.vocabulary() < 1 || tokens.vocabulary() > columns) {
      throw new IllegalArgumentException(
          "%s: a vocabulary of %d ids in rows of %d logits"
              .formatted(operation, tokens.vocabulary(), columns));
    }
  }

  /// Throws IllegalArgumentException unless the buffer holds `rows` rows of `columns` elements
  /// whose starts are `stride` elements apart.
  static void requireStrided(
      String operation,
      String name,
      DeviceBuffer buffer,
      int elementBytes,
      long rows,
      long columns,
      long stride) {
    if (columns > stride) {
      throw new IllegalArgumentException(
          "%s: %s rows of %d elements overlap at a stride of %d"
              .formatted(operation, name, columns, stride));
    }
    if (rows > 0) {
      requireBuffer(operation, name, buffer, elementBytes, 1, (rows - 1) * stride + columns);
    }
  }

  /// Threads for a CTA that has `items` independent pieces of work: whole warps, as few as will do.
  static int threads(int items) {
    return Math.min(ROW_THREADS, ceilDiv(items, WARP_THREADS) * WARP_THREADS);
  }

  /// CTAs along y that share a row of `items` pieces of work; the kernels stride over the rest.
  static int chunks(int items, int threads) {
    return Math.min(GRID_LIMIT, ceilDiv(items, threads));
  }

  static int ceilDiv(int items, int size) {
    return Math.ceilDiv(items, size);
  }
}
