package dev.remask.model;

import dev.remask.kernel.Attention;
import dev.remask.kernel.AttentionWork;
import java.nio.IntBuffer;

/// The sequences of a pass that share one attention launch per layer: all that have no cache, or
/// all that have one.
///
/// The offsets of the attention kernels have no gaps, the cache has: each cached sequence is
/// followed by an empty one with no queries, whose keys are the rows up to the next. Entries after
/// the last sequence, at least one, are empty too: padding that inert work refers to.
final class AttentionGroup {
  /// Queries per CTA of the portable kernels, along the grid's x.
  private static final int QUERY_TILE = 64;

  private static final int FEW_PARTIAL_ROWS = 64;

  private final PassShape shape;
  private final boolean cached;
  private final int begin;
  private final int end;
  private final AttentionWork work;
  private final PassKey.Attending key;

  private AttentionGroup(Attention attention, PassShape shape, boolean cached, int begin, int end) {
    this.shape = shape;
    this.cached = cached;
    this.begin = begin;
    this.end = end;
    int entries = entries(end - begin, cached);
    int[] queryLengths = new int[entries];
    int[] keyLengths = new int[entries];
    int maxQueries = 0;
    for (int i = begin; i < end; i++) {
      PassSequence sequence = shape.packed(i);
      int entry = entry(i - begin);
      queryLengths[entry] = sequence.queries();
      keyLengths[entry] = sequence.length();
      maxQueries = Math.max(maxQueries, sequence.queries());
    }
    AttentionWork exact = attention.work(queryLengths, keyLengths);
    int items = PassShape.bucket(exact.items(), 1);
    int combines = PassShape.bucket(exact.combines(), 1);
    int rows = paddedPartialRows(exact.partialRows());
    work = exact.padded(items, combines, rows, entries - 1);
    int tiles = PassShape.bucket(Math.ceilDiv(maxQueries, QUERY_TILE), 1);
    key = new PassKey.Attending(entries, tiles * QUERY_TILE, items, combines, rows);
  }

  /// The group, or null where the pass has no such sequence.
  static AttentionGroup of(Attention attention, PassShape shape, boolean cached) {
    int begin = cached ? shape.uncached() : 0;
    int end = cached ? shape.sequences().size() : shape.uncached();
    return begin == end ? null : new AttentionGroup(attention, shape, cached, begin, end);
  }

  /// Entries of the offsets for so many sequences.
  static int entries(int sequences, boolean cached) {
    int padded = PassShape.bucket(sequences, 1);
    return cached ? 2 * padded : padded + 1;
  }

  /// Rows of partial results that a launch with so many is planned with.
  static int paddedPartialRows(int rows) {
    return PassShape.bucket(rows, FEW_PARTIAL_ROWS);
  }

  private int entry(int place) {
    return cached ? 2 * place : place;
  }

  PassKey.Attending key() {
    return key;
  }

  AttentionWork work() {
    return work;
  }

  /// Writes the queries' offsets, those of the keys where there is a cache, and the work.
  void write(IntBuffer to, PassTables.Attending tables) {
    int query = cached ? shape.uncachedQueries() : 0;
    int next = tables.queryOffsets();
    for (int i = begin; i < end; i++) {
      // The sequence begins where the gap before it does: that has no queries.
      int own = tables.queryOffsets() + entry(i - begin);
      for (; next <= own; next++) {
        to.put(next, query);
      }
      query += shape.packed(i).queries();
    }
    int last = tables.queryOffsets() + key.sequences();
    for (; next <= last; next++) {
      to.put(next, query);
    }
    if (cached) {
      writeKeys(to, tables.keyOffsets());
    }
    to.put(tables.work(), work.ints());
  }

  private void writeKeys(IntBuffer to, int at) {
    int cacheEnd = 0;
    int next = at;
    for (int i = begin; i < end; i++) {
      PassSequence sequence = shape.packed(i);
      cacheEnd = sequence.cacheBegin() + sequence.length();
      to.put(next++, sequence.cacheBegin());
      to.put(next++, cacheEnd);
    }
    for (; next <= at + key.sequences(); next++) {
      to.put(next, cacheEnd);
    }
  }
}
