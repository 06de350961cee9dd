package dev.remask.model;

import dev.remask.kernel.Attention;
import java.nio.IntBuffer;

/// Where the tables of a pass stand in their part of the workspace, which one copy fills: a
/// function of the pass's key, so that a captured graph finds the next pass's at the same places.
/// Positions are in ints.
final class PassTables {
  /// Ints between aligned places: 256 bytes.
  private static final int ALIGNMENT = WeightLayout.ALIGNMENT / Integer.BYTES;

  /// Tables of one attention launch; all empty for a pass without such sequences.
  record Attending(int queryOffsets, int keyOffsets, int work, int workInts) {}

  final int rowIndex;
  final int positions;
  final int tokenIndex;
  final int cacheRows;
  final Attending whole;
  final Attending cached;
  private int ints;

  PassTables(PassKey key) {
    rowIndex = take(key.rows());
    positions = take(key.tokens());
    tokenIndex = take(key.tokens());
    cacheRows = take(key.tokens());
    whole = take(key.whole(), false);
    cached = take(key.cached(), true);
  }

  private int take(int count) {
    int begin = ints;
    ints += Math.ceilDiv(count, ALIGNMENT) * ALIGNMENT;
    return begin;
  }

  private Attending take(PassKey.Attending key, boolean ownKeys) {
    if (key.sequences() == 0) {
      return new Attending(0, 0, 0, 0);
    }
    int queryOffsets = take(key.sequences() + 1);
    int keyOffsets = ownKeys ? take(key.sequences() + 1) : queryOffsets;
    int workInts = (key.items() + key.combines()) * Attention.WORK_ITEM_INTS;
    return new Attending(queryOffsets, keyOffsets, take(workInts), workInts);
  }

  /// Ints of all tables.
  int ints() {
    return ints;
  }

  /// Most ints of the tables of a pass within these limits.
  static long maxInts(WorkspaceLimits limits) {
    long sequences = 2L * PassShape.bucket(limits.maxSequences(), 1) + 2;
    long work = Attention.maxWorkInts(limits.maxSequences(), limits.maxTokens());
    // Padding adds at most an eighth of the items, and of the combine items.
    long padded = work + work / 8 + 2 * Attention.WORK_ITEM_INTS;
    int tables = 9;
    return limits.maxRows()
        + 3L * limits.maxTokens()
        + 3 * sequences
        + 2 * padded
        + (long) tables * ALIGNMENT;
  }

  /// Writes the tables of a pass of this key into `to`, from its position 0 on.
  void write(IntBuffer to, PassShape shape, AttentionGroup wholeGroup, AttentionGroup cachedGroup) {
    fill(to, rowIndex, positions, 0);
    fill(to, positions, tokenIndex, 0);
    fill(to, tokenIndex, ints, -1);
    int packed = 0;
    for (int i = 0; i < shape.sequences().size(); i++) {
      PassSequence sequence = shape.packed(i);
      for (int q = 0; q < sequence.queries(); q++, packed++) {
        int position = sequence.firstPosition() + q;
        to.put(positions + packed, position);
        to.put(tokenIndex + packed, sequence.canvasBegin() + position);
        if (sequence.cached()) {
          to.put(cacheRows + packed, sequence.cacheBegin() + position);
        }
      }
    }
    if (wholeGroup != null) {
      wholeGroup.write(to, whole);
    }
    if (cachedGroup != null) {
      cachedGroup.write(to, cached);
    }
  }

  private static void fill(IntBuffer to, int begin, int end, int value) {
    for (int i = begin; i < end; i++) {
      to.put(i, value);
    }
  }
}
